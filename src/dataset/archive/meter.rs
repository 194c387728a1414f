//! What is written while an archive is unpacked, and when that is enough.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Allowed, Error, Progress, names};
use crate::dataset::disk;

/// So many bytes a byte that was sent: far more than images of one colour shrink in practice. Little may be anything.
const RATIO: u64 = 200;
const LITTLE: u64 = 64 << 20;
/// Between two looks at the disk.
const LOOK: u64 = 64 << 20;

/// Writes, and counts.
pub(super) struct Meter<'a, 'p> {
    into: PathBuf,
    pub(super) allowed: Allowed,
    /// Bytes of the whole archive.
    pub(super) packed: u64,
    entries: u64,
    written: u64,
    looked: u64,
    progress: &'a mut Progress<'p>,
}

impl<'a, 'p> Meter<'a, 'p> {
    pub(super) fn new(into: &Path, allowed: Allowed, packed: u64, progress: &'a mut Progress<'p>) -> Self {
        Self { into: into.into(), allowed, packed, entries: 0, written: 0, looked: 0, progress }
    }

    /// One more file or folder.
    pub(super) fn entry(&mut self) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > self.allowed.entries {
            return Err(Error::TooMuch { most: self.allowed.entries, what: "files", hint: "" });
        }
        if (self.progress)(self.written).is_break() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Makes the folder called `name`.
    pub(super) fn folder(&mut self, name: &[u8]) -> Result<(), Error> {
        let Some(path) = names::path(name).map_err(|reason| Error::entry(name, reason))? else { return Ok(()) };
        folder(name, &self.into.join(path))
    }

    /// Writes the file called `name` from `content`, all of it; `packed` says how much of the archive was read by then.
    pub(super) fn file(&mut self, name: &[u8], content: &mut dyn Read, packed: &dyn Fn() -> u64) -> Result<(), Error> {
        let path = names::path(name).map_err(|reason| Error::entry(name, reason))?;
        let Some(path) = path else { return Err(Error::entry(name, "is a file without a name")) };
        let path = self.into.join(path);
        if let Some(parent) = path.parent() {
            folder(name, parent)?;
        }
        let mut file = File::options().write(true).create_new(true).open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists if path.is_dir() => both(name),
            io::ErrorKind::AlreadyExists => Error::entry(name, "is there twice: leave one of them"),
            _ => Error::Io(error),
        })?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::reading(error)),
            };
            self.count(read as u64, packed())?;
            file.write_all(&buffer[..read]).map_err(Error::Io)?;
        }
    }

    fn count(&mut self, bytes: u64, packed: u64) -> Result<(), Error> {
        self.written += bytes;
        self.check(self.written, packed)?;
        if self.written - self.looked >= LOOK {
            self.looked = self.written;
            self.room(LOOK)?;
        }
        if (self.progress)(self.written).is_break() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Whether so many bytes may come of `packed` ones.
    pub(super) fn check(&self, unpacked: u64, packed: u64) -> Result<(), Error> {
        if unpacked > self.allowed.bytes {
            let hint = ": raise `limits.dataset_mib`, or send fewer or smaller images";
            return Err(Error::TooMuch { most: self.allowed.bytes, what: "bytes", hint });
        }
        if unpacked > LITTLE && unpacked / RATIO > packed { Err(Error::Bomb { packed, unpacked }) } else { Ok(()) }
    }

    /// Whether the disk has room for so many bytes more.
    pub(super) fn room(&self, needed: u64) -> Result<(), Error> {
        match disk::free(&self.into) {
            Some(free) if free < needed.saturating_add(disk::RESERVE) => Err(Error::Room { needed, free }),
            _ => Ok(()),
        }
    }
}

/// Makes the folder at `path`, which the entry called `name` needs.
fn folder(name: &[u8], path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|error| match error.kind() {
        // A file is where a folder should be.
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => both(name),
        _ => Error::Io(error),
    })
}

fn both(name: &[u8]) -> Error {
    Error::entry(name, "has the name of another entry, one a file and one a folder: rename one of them")
}
