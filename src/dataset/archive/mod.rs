//! Archives of folders that somebody sent, unpacked: .zip and .tar.gz. Nothing in one is trusted: neither names, nor sizes, nor that it
//! ends.
//!
//! Files and folders are made in an empty folder, under names that lead nowhere else (`names`); links and devices are refused, so
//! nothing written can lead out. `meter` bounds what is written, and refuses early what unpacks to far more than was sent. This
//! module does not know what the files are.

mod meter;
mod names;
mod tarball;
mod zipped;

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use self::meter::Meter;

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is something else.
    #[error("this is {0}, and a dataset is sent as a .zip or .tar.gz of a folder of images")]
    NoArchive(&'static str),
    /// It ends too early, or its parts contradict each other.
    #[error("the archive is damaged or was cut off ({0}): make it again, and send it whole")]
    Damaged(String),
    /// One thing in it.
    #[error("`{name}` in the archive {reason}")]
    Entry {
        /// As it is called there.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// More than is allowed.
    #[error("the archive holds more than the {most} {what} allowed{hint}")]
    TooMuch {
        /// The limit.
        most: u64,
        /// Of what.
        what: &'static str,
        /// What to change.
        hint: &'static str,
    },
    /// So much more than was sent that it is no folder of images.
    #[error(
        "the archive unpacks to {unpacked} bytes from {packed}: images do not shrink so much, so it is refused; send the images themselves"
    )]
    Bomb {
        /// Bytes of the archive, as far as it was read.
        packed: u64,
        /// Bytes it gave.
        unpacked: u64,
    },
    /// The disk has no room.
    #[error("the archive needs {needed} bytes, and {free} are free on the server's disk: make room there")]
    Room {
        /// Bytes to be written.
        needed: u64,
        /// Bytes that may be.
        free: u64,
    },
    /// Whoever follows ended it.
    #[error("the unpacking was stopped")]
    Stopped,
    /// The disk.
    #[error("the archive cannot be unpacked: {0}")]
    Io(io::Error),
}

/// What an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Bytes unpacked.
    pub bytes: u64,
    /// Files and folders.
    pub entries: u64,
}

/// Told how many bytes are unpacked; ends it by breaking.
pub type Progress<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// Unpacks `archive` into the new folder `into`. What is there after an error is the caller's to remove.
pub fn unpack(archive: &Path, into: &Path, allowed: Allowed, progress: &mut Progress<'_>) -> Result<(), Error> {
    let mut start = [0; 512];
    let mut file = File::open(archive).map_err(Error::Io)?;
    let packed = file.metadata().map_err(Error::Io)?.len();
    let mut read = 0;
    while read < start.len() {
        match file.read(&mut start[read..]).map_err(Error::Io)? {
            0 => break,
            more => read += more,
        }
    }
    std::fs::create_dir(into).map_err(Error::Io)?;
    let mut meter = Meter::new(into, allowed, packed, progress);
    match &start[..read] {
        [] => Err(Error::NoArchive("an empty body")),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => zipped::unpack(archive, &mut meter),
        [0x1F, 0x8B, ..] => tarball::unpack(archive, &mut meter),
        [b'B', b'Z', b'h', ..] => Err(Error::NoArchive("a bzip2 file")),
        [0xFD, b'7', b'z', b'X', b'Z', ..] => Err(Error::NoArchive("an xz file")),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Err(Error::NoArchive("a zstd file")),
        [b'7', b'z', 0xBC, 0xAF, ..] => Err(Error::NoArchive("a 7z archive")),
        [b'R', b'a', b'r', b'!', ..] => Err(Error::NoArchive("a RAR archive")),
        start if start.get(257..262) == Some(b"ustar") => Err(Error::NoArchive("a .tar that is not compressed")),
        [b'<', ..] => Err(Error::NoArchive("a web page")),
        [b'-', b'-', ..] => Err(Error::NoArchive("a form (send the file itself: curl --data-binary @FILE, or -T FILE)")),
        _ => Err(Error::NoArchive("no archive")),
    }
}

impl Error {
    fn entry(name: &[u8], reason: impl Into<String>) -> Self {
        const SHOWN: usize = 200;
        let name = String::from_utf8_lossy(&name[..name.len().min(SHOWN)]).replace(|c: char| c.is_control(), "\u{fffd}");
        Self::Entry { name, reason: reason.into() }
    }

    /// Of reading it.
    #[allow(clippy::needless_pass_by_value, reason = "as `map_err` calls it")]
    fn reading(error: io::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
