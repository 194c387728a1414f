//! What a killed process leaves of a file it was writing, and how it is told from what a living one is writing.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::atomic::{PREFIX, SUFFIX};

/// Removes the temporary files of [`super::atomic::write_file`] in `folder` (not below it) whose writers are gone, and says how
/// many. A writer holds its file's lock, which the system gives back with the process; where there are no locks, nothing is
/// removed. What cannot be removed, or looked at, stays.
pub fn sweep(folder: &Path) -> usize {
    let ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let found = entries.filter(|entry| entry.file_name().to_str().is_some_and(ours));
    found.filter(|entry| remove(&entry.path())).count()
}

/// Holds the lock while it removes: a writer that has not taken it yet sees that its file is gone.
fn remove(path: &Path) -> bool {
    let file = OpenOptions::new().write(true).open(path);
    file.is_ok_and(|file| file.try_lock().is_ok() && fs::remove_file(path).is_ok())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::atomic::{temporary, write_file};
    use super::*;

    #[test]
    fn what_a_dead_writer_left_goes_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{PREFIX}abc123{SUFFIX}");
        let others = [".abc123.tmp", "model.safetensors", ".convscope", "notes.tmp"];
        for name in others.iter().copied().chain([name.as_str()]) {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let writing = temporary(folder.path()).unwrap();
        assert_eq!(sweep(folder.path()), 1);
        assert!(writing.path().exists() && !folder.path().join(name).exists());
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
        drop(writing);
        assert_eq!(sweep(&folder.path().join("not there")), 0);
    }

    #[test]
    fn writers_and_sweepers_do_not_hinder_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        thread::scope(|scope| {
            let writing: Vec<_> = (0..2)
                .map(|writer| {
                    scope.spawn(move || (0..100).for_each(|_| write_file(&path.join(format!("{writer}")), b"x").unwrap()))
                })
                .collect();
            while !writing.iter().all(thread::ScopedJoinHandle::is_finished) {
                // One that is not locked yet may be taken for a dead one's; its writer takes another.
                sweep(path);
            }
        });
        assert_eq!(fs::read_dir(path).unwrap().count(), 2);
    }
}
