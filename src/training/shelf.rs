//! The server's side of the runs on disk: found at the start, put there, told what is wanted of them, taken away. Only a shelf does
//! any of this, and a server has one behind a lock: so no two of its requests write to one run at a time.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::folder::RunFolder;
use super::job::Progress;
use super::journal;
use super::name;
use super::queue::JobState;
use super::request::{Request, Wanted};
use super::state;
use crate::checkpoint::atomic::sync_folder;
use crate::checkpoint::sweep::sweep;

/// Names of folders that are not whole yet, and of such as are being removed, begin with a dot.
const NEW: &str = ".new";
const REMOVED: &str = ".removed";

/// `data_dir/runs`, and the models of its runs.
#[derive(Debug)]
pub(super) struct Shelf {
    data_dir: PathBuf,
}

/// A run as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) folder: RunFolder,
    pub(super) request: Request,
    pub(super) name: Option<String>,
    pub(super) state: JobState,
    pub(super) progress: Progress,
    /// Epochs that were over when its last attempt was asked for.
    pub(super) begun_after: u32,
}

impl Found {
    /// A run as it is put there.
    pub(super) fn new(id: String, folder: RunFolder, request: Request, name: Option<String>) -> Self {
        Self { id, folder, request, name, state: JobState::Queued, progress: Progress::default(), begun_after: 0 }
    }

    /// Whether it was interrupted after its last attempt got an epoch further: one that ends itself each time is not to be tried
    /// for ever.
    pub(super) fn goes_on(&self) -> bool {
        self.state == JobState::Interrupted && self.progress.last.as_ref().is_some_and(|last| last.epoch > self.begun_after)
    }
}

/// What is left of a run that is gone: hidden folders, which the next start of a server would remove as well.
#[derive(Debug)]
#[must_use = "until they are removed they take room"]
pub(super) struct Remains(Vec<PathBuf>);

impl Shelf {
    /// Removes what earlier servers and their runs left unfinished under `data_dir`, and finds the runs there are, in the order in
    /// which they were asked for.
    pub(super) fn open(data_dir: &Path) -> Result<(Self, Vec<Found>), Error> {
        let (runs, models) = (data_dir.join("runs"), data_dir.join("models"));
        sweep(&models);
        for folder in folders(&models)? {
            if !cleared(&folder) {
                sweep(&folder);
            }
        }
        let mut found = Vec::new();
        for path in folders(&runs)? {
            let Some(id) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if cleared(&path) {
                continue;
            }
            let folder = RunFolder::new(data_dir, id);
            folder.sweep();
            match find(id, folder) {
                Ok(run) => found.push(run),
                // Whatever it is, it is not ours to remove.
                Err(fault) => tracing::warn!(%fault, "a folder among the runs is left out"),
            }
        }
        found.sort_by(|a, b| (&a.request.created, &a.id).cmp(&(&b.request.created, &b.id)));
        Ok((Self { data_dir: data_dir.into() }, found))
    }

    /// Writes a new run down under a name of its own: wholly, or not at all.
    pub(super) fn put(&mut self, request: &Request, name: Option<&str>) -> Result<(String, RunFolder), Error> {
        let (id, folder) = loop {
            let id = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
            let folder = self.folder(&id);
            if !folder.path().exists() && !folder.models().exists() {
                break (id, folder);
            }
        };
        let new = hidden(folder.path(), NEW);
        let put = || {
            request.write(&new.join("job.json"))?;
            if name.is_some() {
                name::write(&new.join("name"), name)?;
            }
            fs::rename(&new, folder.path()).map_err(Error::io("make", folder.path()))?;
            let runs = self.data_dir.join("runs");
            sync_folder(&runs).map_err(Error::io("write", &runs))
        };
        put().inspect_err(|_| {
            // What cannot be removed now is swept at the next start.
            let _ = fs::remove_dir_all(&new);
        })?;
        Ok((id, folder))
    }

    /// Writes down that the run called `id` is to be cancelled.
    pub(super) fn cancel(&mut self, id: &str) -> Result<(), Error> {
        Wanted::Cancelled.write(&self.folder(id))
    }

    /// Writes down what the run called `id` is called by people.
    pub(super) fn rename(&mut self, id: &str, name: Option<&str>) -> Result<(), Error> {
        name::write(&self.folder(id).name(), name)
    }

    /// Writes down that the run called `id` is to go on from where it is now.
    pub(super) fn resume(&mut self, id: &str) -> Result<(), Error> {
        let folder = self.folder(id);
        let path = folder.events();
        let after = journal::last(&path).map_err(Error::io("read", &path))?.map_or(0, |last| last.end);
        // A state that cannot be read is for the run to tell of.
        let epochs = state::records(&folder.state()).map_or(0, |records| records.len() as u32);
        Wanted::Run { after, epochs }.write(&folder)
    }

    /// Takes the run called `id` and its models off the shelf, unless a process still works on it, whoever started that.
    pub(super) fn take_away(&mut self, id: &str) -> Result<Remains, Error> {
        let folder = self.folder(id);
        let lock = match folder.lock() {
            Ok(lock) => Some(lock),
            // Removed by somebody else.
            Err(Error::NoRun(_)) => None,
            Err(fault) => return Err(fault),
        };
        let paths = [folder.models(), folder.path().to_owned()];
        let mut moved: Vec<&Path> = Vec::new();
        for path in paths.iter().filter(|path| path.exists()) {
            // Left by a server that was killed, or by a disk that did not remove it.
            let _ = fs::remove_dir_all(hidden(path, REMOVED));
            if let Err(fault) = fs::rename(path, hidden(path, REMOVED)) {
                // All of it is removed, or nothing.
                for path in moved {
                    let _ = fs::rename(hidden(path, REMOVED), path);
                }
                return Err(Error::io("remove", path)(fault));
            }
            moved.push(path);
        }
        let remains = moved.into_iter().map(|path| hidden(path, REMOVED)).collect();
        drop(lock);
        Ok(Remains(remains))
    }

    fn folder(&self, id: &str) -> RunFolder {
        RunFolder::new(&self.data_dir, id)
    }
}

impl Remains {
    /// Removes them; takes as long as a disk takes.
    pub(super) fn remove(self) {
        for path in self.0 {
            if let Err(fault) = fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %fault, "what is left of a run stays until the next start");
            }
        }
    }
}

/// The name beside `path` under which nobody looks for it.
fn hidden(path: &Path, ending: &str) -> PathBuf {
    path.with_file_name(format!(".{}{ending}", path.file_name().unwrap_or_default().to_string_lossy()))
}

/// Whether `path` is what a killed server left unfinished; such a folder is removed.
fn cleared(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let left = name.starts_with('.') && (name.ends_with(NEW) || name.ends_with(REMOVED));
    if left && let Err(fault) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %fault, "what an earlier server left unfinished cannot be removed");
    }
    left
}

/// Folders in `folder`, which need not exist.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let paths = fs::read_dir(folder).and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    let paths: Vec<PathBuf> = paths.map_err(Error::io("list", folder))?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

/// What has become of the run in `folder`, whose process is not ours: told by little, however long the run was.
fn find(id: &str, folder: RunFolder) -> Result<Found, Error> {
    let request = Request::read(&folder)?;
    let events = folder.events();
    let last = journal::last(&events).map_err(Error::io("read", &events))?;
    // With a state that cannot be read the run is still a run: going on with it will say what is wrong.
    let records = state::records(&folder.state()).inspect_err(|fault| tracing::warn!(%fault, "a run's epochs cannot be told"));
    let mut progress = Progress::after(records.unwrap_or_default().pop());
    let begun = last.as_ref().map_or(0, |last| last.end);
    let ended = || last.and_then(|last| last.event).and_then(|event| progress.take(&event));
    let (state, begun_after) = match Wanted::read(&folder)? {
        Wanted::Run { after, epochs } if begun <= after => (JobState::Queued, epochs),
        Wanted::Run { epochs, .. } => (ended().unwrap_or(JobState::Interrupted), epochs),
        Wanted::Cancelled => (ended().unwrap_or(JobState::Cancelled), 0),
    };
    let name = name::read(&folder.name());
    Ok(Found { state, progress, begun_after, ..Found::new(id.into(), folder, request, name) })
}
