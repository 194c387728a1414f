//! Where the files of a run lie: `data_dir/runs/ID/`, and the models of its epochs in `data_dir/models/run-ID/`. The server writes
//! what was asked for and what is wanted; everything else the run's own process, which holds the lock while it works.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::checkpoint::sweep::sweep;

/// One run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder(PathBuf);

/// The name of the model of the run called `id`.
pub fn model_of(id: &str) -> String {
    format!("run-{id}")
}

impl RunFolder {
    /// The folder of the run called `id` under `data_dir`.
    pub fn new(data_dir: &Path, id: &str) -> Self {
        Self(data_dir.join("runs").join(id))
    }

    /// The folder at `path`, which ends in `runs/ID`.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(Error::io("find", path))?;
        let folder = Self(path);
        let run = folder.0.file_name().is_some() && folder.0.parent().is_some_and(|runs| runs.ends_with("runs"));
        if run { Ok(folder) } else { Err(Error::NoRun(folder.0)) }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder that holds `runs/`, `models/` and `datasets/`.
    pub fn data_dir(&self) -> &Path {
        self.0.parent().and_then(Path::parent).unwrap_or(&self.0)
    }

    /// The name of the run's model.
    pub fn model(&self) -> String {
        model_of(&self.0.file_name().unwrap_or_default().to_string_lossy())
    }

    /// The models of its epochs.
    pub fn models(&self) -> PathBuf {
        self.data_dir().join("models").join(self.model())
    }

    /// What was asked for.
    pub fn request(&self) -> PathBuf {
        self.0.join("job.json")
    }

    /// What somebody called it.
    pub fn name(&self) -> PathBuf {
        self.0.join("name")
    }

    /// What is wanted of it now.
    pub fn wanted(&self) -> PathBuf {
        self.0.join("wanted.json")
    }

    /// What the run resumes from.
    pub fn state(&self) -> PathBuf {
        self.0.join("state.safetensors")
    }

    /// The journal.
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// Claims the folder for this process until the file is dropped; a process that dies gives it back. A folder that is not
    /// there is not made: its run was removed.
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.0.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|fault| match fault.kind() {
            ErrorKind::NotFound => Error::NoRun(self.0.clone()),
            _ => Error::io("write", &path)(fault),
        })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::Locked(self.0.clone())),
            Err(TryLockError::Error(fault)) => Err(Error::io("lock", &path)(fault)),
        }
    }

    /// Removes what a process left half written when it was killed.
    pub fn sweep(&self) {
        sweep(&self.0);
        sweep(&self.models());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_processs_at_a_time_and_is_not_made_by_locking_it() {
        let data = tempfile::tempdir().unwrap();
        let run = RunFolder::new(data.path(), "a");
        assert!(matches!(run.lock(), Err(Error::NoRun(path)) if path == run.path()));
        assert!(!data.path().join("runs").exists());
        std::fs::create_dir_all(run.path()).unwrap();
        let held = run.lock().unwrap();
        assert!(matches!(run.lock(), Err(Error::Locked(path)) if path == run.path()));
        drop(held);
        run.lock().unwrap();
    }

    #[test]
    fn everything_is_found_from_the_folder_alone() {
        let data = tempfile::tempdir().unwrap();
        let run = RunFolder::at(&data.path().join("runs/a1")).unwrap();
        assert_eq!(run, RunFolder::new(data.path(), "a1"));
        assert_eq!((run.data_dir(), run.model().as_str()), (data.path(), "run-a1"));
        assert_eq!(run.models(), data.path().join("models/run-a1"));
        for other in ["models/a1", "runs", ""] {
            assert!(matches!(RunFolder::at(&data.path().join(other)), Err(Error::NoRun(_))), "{other}");
        }
    }
}
