//! Where the files of a run lie: `data_dir/runs/ID/`. The server writes what was asked for, once; from then on the run's own
//! process alone writes here, and holds the lock while it does.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::Error;

/// One run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What was asked for.
    pub fn request(&self) -> PathBuf {
        self.0.join("job.json")
    }

    /// The network.
    pub fn architecture(&self) -> PathBuf {
        self.0.join("arch.toml")
    }

    /// The recipe, with every key.
    pub fn recipe(&self) -> PathBuf {
        self.0.join("recipe.toml")
    }

    /// What the run resumes from.
    pub fn state(&self) -> PathBuf {
        self.0.join("state.safetensors")
    }

    /// The journal.
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// Claims the folder for this process until the file is dropped; a process that dies gives it back.
    pub fn lock(&self) -> Result<File, Error> {
        std::fs::create_dir_all(&self.0).map_err(Error::io("make", &self.0))?;
        let path = self.0.join("lock");
        let file = File::create(&path).map_err(Error::io("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::Locked(self.0.clone())),
            Err(TryLockError::Error(fault)) => Err(Error::io("lock", &path)(fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_processs_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path().join("runs/a"));
        let held = run.lock().unwrap();
        assert!(matches!(run.lock(), Err(Error::Locked(path)) if path == run.path()));
        drop(held);
        run.lock().unwrap();
    }
}
