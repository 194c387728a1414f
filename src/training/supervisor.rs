//! Runs as processes of this same program: queued, started, watched, ended, and found again after a restart.
//!
//! A run shares nothing with the server but its folder and its pipes, so it may be killed, run out of memory or lose its GPU
//! while serving goes on. Which runs may be started or ended is [`super::queue`]'s to decide, and their files are the shelf's to
//! write. This is the only part of [`crate::training`] that knows tokio.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::child::{self, Program, Stop};
use super::error::Error;
pub use super::folder::model_of;
use super::follow::Follower;
use super::job::{Job, JobState};
use super::journal::Line;
use super::name;
use super::queue::{Cancelled, Refusal};
use super::recipe::Recipe;
use super::request::Request;
use super::roster::{Entry, Roster};
use super::shelf::{Found, Remains, Shelf};
use crate::network::{Architecture, infer, presets};

mod afford;
mod insight;
mod keep;

pub use insight::Rate;

/// The line on a run's standard input that ends it as cancelled; an end of file ends it as interrupted.
pub const CANCEL: &str = "cancel";

/// What a supervisor works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program whose `train` command is started: this one.
    pub program: PathBuf,
    /// Holds runs/ and models/.
    pub data_dir: PathBuf,
    /// What `--device` is set to: `auto`, `cpu`, `cuda:1`.
    pub device: String,
    /// Every other setting that a run needs, as its environment has it.
    pub environment: Vec<(&'static str, String)>,
    /// Runs at a time; more wait.
    pub concurrent: usize,
    /// How long a run may take to end before it is killed.
    pub grace: Duration,
    /// Whether runs that were interrupted go on when a supervisor finds them, unless their last attempt got no epoch further.
    pub resume_interrupted: bool,
    /// About so many models of a run stay on disk: how many must fit.
    pub keep_epochs: u32,
}

/// The network of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum ArchSource {
    /// A preset, by name.
    Preset(String),
    /// A layer list.
    Inline(Architecture),
}

/// A run that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRequest {
    /// The network.
    pub arch: ArchSource,
    /// The images, as they were asked for: for people.
    pub data: String,
    /// Where they are.
    pub data_path: PathBuf,
    /// A named recipe, or none for the network's own.
    pub recipe: Option<String>,
    /// Keys of the recipe that are to be otherwise.
    pub overrides: Map<String, Value>,
    /// What it is called by people.
    pub name: Option<String>,
    /// Whether the network is fitted to the images.
    pub fit_data: bool,
    /// Whether images that cannot be read are left out.
    pub skip_unreadable: bool,
}

/// Starts, watches and ends runs. Clones are the same supervisor.
#[derive(Debug, Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    /// Taken before `runs`, and held while files are written.
    shelf: Mutex<Shelf>,
    /// Held for a moment only.
    runs: Mutex<Roster>,
    tasks: TaskTracker,
}

impl Supervisor {
    /// Finds the runs of earlier servers under `data_dir`, and starts those that were still waiting or are to go on. Needs a tokio
    /// runtime.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let (mut shelf, found) = Shelf::open(&settings.data_dir)?;
        let mut runs = Roster::new(settings.concurrent);
        for mut found in found {
            if settings.resume_interrupted && found.goes_on() {
                match shelf.resume(&found.id) {
                    Ok(()) => found.state = JobState::Queued,
                    Err(fault) => tracing::warn!(job = found.id, %fault, "an interrupted run cannot go on"),
                }
            }
            runs.add(found);
        }
        let (shelf, runs) = (Mutex::new(shelf), Mutex::new(runs));
        let supervisor = Self { shared: Arc::new(Shared { settings, shelf, runs, tasks: TaskTracker::new() }) };
        supervisor.shared.start_waiting();
        Ok(supervisor)
    }

    /// Checks what is asked for, writes it down, and starts it or lets it wait.
    pub async fn start(&self, run: RunRequest) -> Result<Job, Error> {
        let architecture = run.arch.architecture()?;
        let layers = infer(&architecture)?;
        let recipe = run.recipe.as_deref().map_or_else(|| Recipe::of(&architecture), Recipe::named)?;
        let recipe = recipe.fitted(&architecture, &run.overrides)?;
        let name = run.name.as_deref().map(name::checked).transpose()?.flatten();
        let (data, data_path, created) = (run.data, self.shared.storable(&run.data_path)?, jiff::Timestamp::now().to_string());
        let RunRequest { fit_data, skip_unreadable, .. } = run;
        let request = Request { arch: architecture, recipe, data, data_path, fit_data, skip_unreadable, created };
        self.shared.afford(&layers, &request, 0).await?;
        self.shared.change(move |shared, shelf| shared.put(shelf, request, name)).await
    }

    /// Every run, in the order in which they were asked for.
    pub fn jobs(&self) -> Vec<Job> {
        let runs = self.shared.runs();
        runs.queue.ids().filter_map(|id| runs.job(id)).collect()
    }

    /// The run called `id`.
    pub fn job(&self, id: &str) -> Option<Job> {
        self.shared.runs().job(id)
    }

    /// Asks the run called `id` to end; one at work takes a moment to do so, and is killed where it takes too long.
    pub async fn cancel(&self, id: &str) -> Result<Job, Error> {
        let id = id.to_owned();
        self.shared.change(move |shared, shelf| shared.cancel(shelf, &id)).await
    }

    /// Lets a run that ended before its last epoch go on from the last one it kept, or from its beginning where it kept none.
    pub async fn resume(&self, id: &str) -> Result<Job, Error> {
        self.settled(id).await;
        if let Some((request, epochs)) = self.shared.resumable(id)? {
            self.shared.afford(&infer(&request.arch)?, &request, epochs).await?;
        }
        let id = id.to_owned();
        self.shared.change(move |shared, shelf| shared.resume(shelf, &id)).await
    }

    /// Removes a run that is over, with its journal and the models of its epochs; one that was activated under another name
    /// is a copy, and stays. A run that cannot be removed is still there.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        self.settled(id).await;
        let (shared, id) = (Arc::clone(&self.shared), id.to_owned());
        // To its end, whether or not whoever asked is still there; others need not wait for the disk.
        blocking(move || {
            shared.take_away(&id)?.remove();
            Ok(())
        })
        .await
    }

    /// The events of the run called `id` whose number is above `after`: those there are, then those to come, until it is over.
    pub fn events(&self, id: &str, after: u64) -> Result<mpsc::Receiver<Line>, Error> {
        let (path, changed) = {
            let runs = self.shared.runs();
            // One that is being removed is there no more.
            runs.queue.state(id).ok_or_else(|| Error::UnknownJob(id.into()))?;
            let entry = runs.entry(id)?;
            (entry.folder.events(), entry.changed.subscribe())
        };
        let (lines, receiver) = mpsc::channel(64);
        let (shared, id) = (Arc::clone(&self.shared), id.to_owned());
        let live = move || {
            let runs = shared.runs();
            !runs.queue.is_closing() && runs.queue.state(&id).is_some_and(JobState::is_live)
        };
        tokio::spawn(Follower { path, changed, lines }.run(after, live));
        Ok(receiver)
    }

    /// Ends every process, as interrupted, and returns once they are gone. Runs that wait are started by the next server.
    pub async fn shutdown(&self) {
        {
            let mut runs = self.shared.runs();
            for id in runs.queue.close() {
                runs.ask(&id, Stop::Shutdown);
            }
            runs.entries.values().for_each(Entry::announce);
        }
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Waits for a process that has said its last word to be gone. One that does not go is for the run's lock to refuse.
    async fn settled(&self, id: &str) {
        let Some(mut changed) = self.shared.runs().entries.get(id).map(|entry| entry.changed.subscribe()) else { return };
        let leaving = || {
            let runs = self.shared.runs();
            runs.queue.at_work(id) && runs.queue.state(id).is_some_and(|state| !state.is_live())
        };
        let gone = async { while leaving() && changed.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(self.shared.settings.grace, gone).await;
    }
}

impl Shared {
    fn runs(&self) -> MutexGuard<'_, Roster> {
        // Nothing is left half changed by a panic elsewhere: every change is a queue's single step and an assignment.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // It holds nothing but a path.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what writes to a run's folder: one such thing after the other, each to its end, whether or not whoever asked for it is
    /// still there.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>, &mut Shelf) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = Arc::clone(self);
        blocking(move || work(&shared, &mut shared.shelf())).await
    }

    /// `path` as it will be found when the server is started elsewhere, or its folder was moved.
    fn storable(&self, path: &Path) -> Result<PathBuf, Error> {
        match path.strip_prefix(&self.settings.data_dir) {
            Ok(inner) => Ok(inner.into()),
            Err(_) => std::path::absolute(path).map_err(Error::io("find", path)),
        }
    }

    fn put(self: &Arc<Self>, shelf: &mut Shelf, request: Request, name: Option<String>) -> Result<Job, Error> {
        self.runs().queue.may_add().map_err(|refusal| Error::refused("", refusal))?;
        let (id, folder) = shelf.put(&request, name.as_deref())?;
        self.runs().add(Found::new(id.clone(), folder, request, name));
        self.start_waiting();
        self.told(&id)
    }

    fn cancel(&self, shelf: &mut Shelf, id: &str) -> Result<Job, Error> {
        let refused = |refusal| Error::refused(id, refusal);
        // Not within the match, which would hold the lock.
        let what = self.runs().queue.may_cancel(id).map_err(refused)?;
        match what {
            // Its process writes down itself that it ended so: a full disk must not keep it from ending.
            Cancelled::Ask => {
                self.runs().ask(id, Stop::Cancel);
                if let Err(fault) = shelf.cancel(id) {
                    tracing::warn!(job = id, %fault, "that a run is cancelled cannot be written down");
                }
            }
            // Nothing else remembers it.
            Cancelled::AtOnce => {
                shelf.cancel(id)?;
                let mut runs = self.runs();
                // It may have begun in the meantime.
                if runs.queue.cancel(id).map_err(refused)? == Cancelled::Ask {
                    runs.ask(id, Stop::Cancel);
                }
                runs.entry(id)?.announce();
            }
        }
        self.told(id)
    }

    fn resume(self: &Arc<Self>, shelf: &mut Shelf, id: &str) -> Result<Job, Error> {
        let refused = |refusal| match refusal {
            Refusal::Live(state) | Refusal::Over(state) => Error::GoesOn { id: id.into(), state },
            other => Error::refused(id, other),
        };
        self.runs().queue.may_resume(id).map_err(refused)?;
        shelf.resume(id)?;
        let mut runs = self.runs();
        runs.queue.resume(id).map_err(refused)?;
        runs.entry_mut(id)?.progress.error = None;
        drop(runs);
        self.start_waiting();
        self.told(id)
    }

    fn take_away(&self, id: &str) -> Result<Remains, Error> {
        let mut shelf = self.shelf();
        self.runs().queue.leave(id).map_err(|refusal| Error::refused(id, refusal))?;
        let taken = shelf.take_away(id);
        let mut runs = self.runs();
        if taken.is_ok() {
            runs.queue.left(id);
            runs.entries.remove(id);
        } else {
            runs.queue.stayed(id);
        }
        taken
    }

    fn told(&self, id: &str) -> Result<Job, Error> {
        self.runs().job(id).ok_or_else(|| Error::UnknownJob(id.into()))
    }

    /// Starts waiting runs while there is room.
    fn start_waiting(self: &Arc<Self>) {
        let mut runs = self.runs();
        while let Some(id) = runs.queue.start_next() {
            let Ok(entry) = runs.entry_mut(&id) else { continue };
            let (stop, stopped) = mpsc::channel(1);
            entry.stop = Some(stop);
            entry.announce();
            let program = Program::new(&self.settings, &entry.folder);
            let shared = Arc::clone(self);
            self.tasks.spawn(async move { shared.watch(&id, program, stopped).await });
        }
    }

    async fn watch(self: Arc<Self>, id: &str, program: Program, stopped: mpsc::Receiver<Stop>) {
        tracing::info!(job = id, "a run starts");
        let ending = program.run(stopped, |event| self.runs().heard(id, &event)).await;
        let (silent, why) = child::conclude(&ending);
        let state = self.runs().gone(id, silent, why);
        if let Some(Job { state, error, .. }) = state {
            tracing::info!(job = id, %state, error, "a run is over");
        }
        self.start_waiting();
    }
}

impl ArchSource {
    fn architecture(self) -> Result<Architecture, Error> {
        match self {
            Self::Inline(architecture) => Ok(architecture),
            Self::Preset(name) => {
                presets::named(&name).ok_or_else(|| Error::UnknownArchitecture { known: presets::names().collect(), name })
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(fault) => match fault.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends.
            Err(_) => Err(Error::Closing),
        },
    }
}
