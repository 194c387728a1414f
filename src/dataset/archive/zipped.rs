//! A .zip, by its directory. What the directory claims is checked before anything is unpacked, and again as it comes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use super::Error;
use super::meter::Meter;

/// Kinds of files in a Unix mode.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

pub(super) fn unpack(archive: &Path, meter: &mut Meter<'_, '_>) -> Result<(), Error> {
    let mut file = File::open(archive).map_err(Error::Io)?;
    let count = entries(&mut file).map_err(Error::reading)?;
    if count > meter.allowed.entries {
        return Err(Error::TooMuch { most: meter.allowed.entries, what: "files", hint: "" });
    }
    let damaged = |error: zip::result::ZipError| Error::Damaged(error.to_string());
    // The end record states where the directory is: see the import of PyTorch's files.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut zip = ZipArchive::with_config(config, file).map_err(damaged)?;
    let (mut packed, mut unpacked) = (0_u64, 0_u64);
    for at in 0..zip.len() {
        let entry = zip.by_index_raw(at).map_err(damaged)?;
        let (name, mode) = (entry.name_raw(), entry.unix_mode());
        packed = packed.saturating_add(entry.compressed_size());
        unpacked = unpacked.saturating_add(entry.size());
        match mode.map_or(0, |mode| mode & KIND) {
            0 | REGULAR | FOLDER => {}
            LINK => return Err(Error::entry(name, "is a link: make the archive with the files themselves (`zip` without `-y`)")),
            _ => return Err(Error::entry(name, "is a device or a pipe, and no file: leave it out")),
        }
        if entry.encrypted() {
            return Err(Error::entry(name, "is encrypted: make the archive without a password"));
        }
        if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::DEFLATE) {
            let reason =
                format!("is compressed by {:?}: make the archive with ordinary compression (deflate)", entry.compression());
            return Err(Error::entry(name, reason));
        }
    }
    if (zip.len() as u64) < count {
        let twice = "some names are there twice, and one of each pair would be lost";
        return Err(Error::Damaged(twice.into()));
    }
    // Entries that share their bytes, as bombs do that unpack to more than any ratio.
    if packed > meter.packed {
        return Err(Error::Bomb { packed: meter.packed, unpacked });
    }
    meter.check(unpacked, meter.packed)?;
    meter.room(unpacked)?;
    for at in 0..zip.len() {
        meter.entry()?;
        let mut entry = zip.by_index_raw(at).map_err(damaged)?;
        let (name, size, checksum) = (entry.name_raw().to_vec(), entry.size(), entry.crc32());
        if entry.is_dir() || name.ends_with(b"\\") {
            meter.folder(&name)?;
            continue;
        }
        let packed = meter.packed;
        let mut content: Checked<Box<dyn Read + '_>> = Checked {
            inner: match entry.compression() {
                CompressionMethod::Stored => Box::new(&mut entry),
                _ => Box::new(DeflateDecoder::new(&mut entry)),
            },
            left: size,
            crc: Crc::new(),
        };
        meter.file(&name, &mut content, &|| packed)?;
        if content.left > 0 || content.crc.sum() != checksum {
            return Err(Error::entry(
                &name,
                "is damaged: its length or checksum is not what the archive says; make the archive again",
            ));
        }
    }
    Ok(())
}

/// No more than was claimed, and its checksum.
struct Checked<R> {
    inner: R,
    left: u64,
    crc: Crc,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left =
            self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other("a file is longer than its directory says"))?;
        self.crc.update(&buffer[..read]);
        Ok(read)
    }
}

/// How many entries the end record says there are: a directory is read into memory, so that it must be known before.
fn entries(file: &mut File) -> io::Result<u64> {
    /// The record, and the longest comment behind it.
    const TAIL: u64 = 22 + 65_535;
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let missing = || io::Error::other("it has no directory");
    let at = tail.windows(4).rposition(|window| window == b"PK\x05\x06").ok_or_else(missing)?;
    let record = tail.get(at..at + 22).ok_or_else(missing)?;
    let count = u64::from(u16::from_le_bytes([record[10], record[11]]));
    if count < 0xFFFF {
        return Ok(count);
    }
    // A zip64's, whose place is said just before.
    let Some(locator) = at.checked_sub(20).map(|before| &tail[before..at]).filter(|locator| locator.starts_with(b"PK\x06\x07"))
    else {
        return Ok(count);
    };
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    file.seek(SeekFrom::Start(number(&locator[8..16])))?;
    let mut record = [0; 56];
    file.read_exact(&mut record)?;
    if record.starts_with(b"PK\x06\x06") { Ok(number(&record[32..40])) } else { Err(missing()) }
}
