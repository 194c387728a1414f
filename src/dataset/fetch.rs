//! CIFAR-10 from where it is published to a folder, whole and verified or not at all.
//!
//! Everything unfinished lives in `.fetch/` beside the set, under a lock: what was downloaded before an interruption is
//! gone on with (`download`), files are unpacked and verified there (`unpack`) and moved into place last.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::cifar10;
use super::download::{Part, download};
use super::error::Error;
pub use super::source::{Patience, Progress, Source, URL};
use super::unpack::{is_complete, unpack};

const WORK: &str = ".fetch";

/// Brings the files of `source` into `dir` and returns their folder. Returns at once when they are there and right. May be
/// called from several processes: they take turns.
pub fn fetch(dir: &Path, source: &Source, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, Error> {
    let target = dir.join(cifar10::FOLDER);
    if is_complete(&target, source)? {
        progress(Progress::Present);
        return Ok(target);
    }
    let work = dir.join(WORK);
    fs::create_dir_all(&work).map_err(|error| Error::io(&work, error))?;
    let _turn = lock(&work.join("lock"))?;
    // Another process may have done it while this one waited.
    if is_complete(&target, source)? {
        progress(Progress::Present);
        return Ok(target);
    }
    let part = Part::new(&work, &source.url);
    let mut left_over = part.len() > 0;
    let unpacked = loop {
        download(&part, source, progress)?;
        progress(Progress::Unpacking);
        match unpack(part.path(), &work, source) {
            Ok(folder) => break folder,
            Err(error) => {
                // Nothing wrong is kept; what an earlier run left may be to blame, so one fresh try follows.
                part.discard();
                if !std::mem::take(&mut left_over) {
                    return Err(error);
                }
                progress(Progress::Retrying { reason: error.to_string() });
            }
        }
    };
    replace(&unpacked, &target, &work)?;
    part.discard();
    Ok(target)
}

/// Waits for its turn; the lock goes with the process, however that ends.
fn lock(path: &Path) -> Result<File, Error> {
    let failed = |error| Error::io(path, error);
    let file = File::create(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// Moves `unpacked` to `target`; what was there goes only when the new is in place.
fn replace(unpacked: &Path, target: &Path, work: &Path) -> Result<(), Error> {
    let old = work.join("old");
    let failed = |error| Error::io(target, error);
    if target.exists() {
        // Left by a crash between the two renames.
        let _ = fs::remove_dir_all(&old);
        fs::rename(target, &old).map_err(failed)?;
    }
    fs::rename(unpacked, target).map_err(failed)?;
    let _ = fs::remove_dir_all(&old);
    // Renames are on disk when their folder is; not every system can sync one.
    if let Some(parent) = target.parent() {
        let _ = File::open(parent).and_then(|folder| folder.sync_all());
    }
    Ok(())
}
