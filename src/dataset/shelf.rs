//! Datasets that come and go as a whole: made beside the others under a hidden name and moved into place, moved away before they are
//! removed, and what a killed server left of either swept away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk;

/// How the hidden names end, of what is being made and of what is being removed.
const NEW: &str = ".new";
const REMOVED: &str = ".removed";

/// Room for a set that is being made; removed again with this value, unless it was put into its place.
#[derive(Debug)]
pub struct Draft {
    room: tempfile::TempDir,
    place: PathBuf,
}

impl Draft {
    /// For the set called `name` in `folder`, which is made if it is not there.
    pub fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let room = tempfile::Builder::new().prefix(&format!(".{name}-")).suffix(NEW).tempdir_in(folder)?;
        Ok(Self { room, place: folder.join(name) })
    }

    /// The archive as it comes.
    pub fn archive(&self) -> PathBuf {
        self.room.path().join("archive")
    }

    /// The set itself, to be made.
    pub fn set(&self) -> PathBuf {
        self.room.path().join("set")
    }

    /// Puts the set into its place, where none of this name is, once it would survive a loss of power.
    pub fn finish(self) -> io::Result<()> {
        let set = self.set();
        disk::sync(&set)?;
        if self.place.symlink_metadata().is_ok() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        fs::rename(&set, &self.place)?;
        self.place.parent().map_or(Ok(()), disk::sync)
    }
}

/// A set that was moved out of its place.
#[derive(Debug)]
pub struct Removed {
    place: PathBuf,
    hidden: PathBuf,
}

impl Removed {
    /// Moves the set at `place` away.
    pub fn take(place: &Path) -> io::Result<Self> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let hidden = place.with_file_name(format!(".{name}{REMOVED}"));
        // Left by a disk that did not remove it.
        remove(&hidden);
        fs::rename(place, &hidden)?;
        Ok(Self { place: place.into(), hidden })
    }

    /// Puts it back.
    pub fn put_back(self) -> io::Result<()> {
        fs::rename(&self.hidden, &self.place)
    }

    /// Removes it; takes as long as a disk takes. What cannot be removed is swept later.
    pub fn remove(self) {
        remove(&self.hidden);
    }
}

/// Removes what a killed server left unfinished in `folder`. No other server may be at work there.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && (name.ends_with(NEW) || name.ends_with(REMOVED)) {
            remove(&entry.path());
        }
    }
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(fault) = removed
        && fault.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %fault, "what is left of a dataset stays until the next start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_there_whole_or_not_at_all_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let sets = folder.path().join("datasets");
        let there = || {
            let names = fs::read_dir(&sets).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.collect();
            names.sort_unstable();
            names
        };
        let given_up = Draft::begin(&sets, "pets").unwrap();
        fs::create_dir(given_up.set()).unwrap();
        assert!(there()[0].starts_with(".pets-"));
        drop(given_up);
        assert_eq!(there(), [""; 0]);
        let draft = Draft::begin(&sets, "pets").unwrap();
        fs::create_dir(draft.set()).unwrap();
        fs::write(draft.archive(), "x").unwrap();
        draft.finish().unwrap();
        assert_eq!(there(), ["pets"]);
        let second = Draft::begin(&sets, "pets").unwrap();
        fs::create_dir(second.set()).unwrap();
        assert_eq!(second.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);

        Removed::take(&sets.join("pets")).unwrap().put_back().unwrap();
        assert_eq!(there(), ["pets"]);
        Removed::take(&sets.join("pets")).unwrap().remove();
        for left in [".a-x1.new", ".b.removed", ".fetch", "cats"] {
            fs::create_dir(sets.join(left)).unwrap();
        }
        sweep(&sets);
        assert_eq!(there(), [".fetch", "cats"]);
    }
}
