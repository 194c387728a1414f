//! The wanted files out of an archive, verified on the way.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::digest::hex;
use super::error::Error;
use super::source::Source;

/// More than the wanted archive holds: what unpacks to more is none.
const MOST: u64 = 1 << 30;

/// Whether `folder` has every file of `source` with the right content.
pub(super) fn is_complete(folder: &Path, source: &Source) -> Result<bool, Error> {
    for (name, expected) in &source.files {
        let path = folder.join(name);
        if !path.is_file() {
            return Ok(false);
        }
        let failed = |error| Error::io(&path, error);
        let found = copy(&mut File::open(&path).map_err(failed)?, &mut io::sink()).map_err(failed)?;
        if found != *expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Unpacks the files of `source` into a new folder in `work` and returns it. Nothing is left there on failure.
pub(super) fn unpack(archive: &Path, work: &Path, source: &Source) -> Result<PathBuf, Error> {
    let folder = work.join("unpacked");
    // Left by a crash.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).map_err(|error| Error::io(&folder, error))?;
    let result = extract(archive, &folder, source);
    if result.is_err() {
        let _ = fs::remove_dir_all(&folder);
    }
    result.map(|()| folder)
}

fn extract(archive: &Path, folder: &Path, source: &Source) -> Result<(), Error> {
    let file = File::open(archive).map_err(|error| Error::io(archive, error))?;
    let no_archive = |error: io::Error| Error::Download {
        url: source.url.clone(),
        reason: format!("what came is not the archive expected ({error}): check the address"),
    };
    let mut wanted: Vec<_> = source.files.iter().collect();
    let mut tar = tar::Archive::new(GzDecoder::new(file).take(MOST));
    for entry in tar.entries().map_err(no_archive)? {
        let mut entry = entry.map_err(no_archive)?;
        // By name alone, wherever in the archive: no path of it is ever used.
        let path = entry.path().map_err(no_archive)?;
        let Some(place) = wanted.iter().position(|(name, _)| path.file_name().is_some_and(|file| file == name.as_str())) else {
            continue;
        };
        let (name, expected) = wanted.swap_remove(place);
        let target = folder.join(name);
        let mut out = File::create(&target).map_err(|error| Error::io(&target, error))?;
        let found = copy(&mut entry, &mut out).map_err(no_archive)?;
        out.sync_all().map_err(|error| Error::io(&target, error))?;
        if found != *expected {
            return Err(Error::Digest { file: name.clone(), expected: expected.clone(), found });
        }
    }
    match wanted.first() {
        None => Ok(()),
        Some((name, _)) => Err(Error::Missing { path: PathBuf::from(&source.url), file: name.clone() }),
    }
}

/// Copies all of `from` and returns its SHA-256.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(read) => {
                digest.update(&buffer[..read]);
                to.write_all(&buffer[..read])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
