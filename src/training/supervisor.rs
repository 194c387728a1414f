//! Runs as processes of this same program: queued, started, watched, ended, and found again after a restart.
//!
//! A run shares nothing with the server but its folder and its pipes, so it may be killed, run out of memory or lose its GPU
//! while serving goes on. This is the only part of [`crate::training`] that knows tokio.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::child::{self, Program, Stop};
use super::error::Error;
use super::folder::RunFolder;
use super::follow::Follower;
use super::job::{Job, JobState, Request};
use super::journal::Line;
use super::recipe::Recipe;
use crate::checkpoint::atomic;
use crate::network::{Architecture, infer, presets};

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
    /// Runs at a time; more wait.
    pub concurrent: usize,
    /// How long a run may take to end before it is killed.
    pub grace: Duration,
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
}

/// Starts, watches and ends runs. Clones are the same supervisor.
#[derive(Debug, Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    jobs: Mutex<Jobs>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Jobs {
    /// In the order in which they were asked for.
    entries: Vec<Entry>,
    closing: bool,
}

#[derive(Debug)]
struct Entry {
    job: Job,
    request: Request,
    folder: RunFolder,
    /// Marked whenever the journal has grown or the state has changed.
    changed: watch::Sender<()>,
    /// Ends the process, while there is one.
    stop: Option<mpsc::Sender<Stop>>,
}

impl Supervisor {
    /// Finds the runs of earlier servers under `data_dir`, and starts those that were still waiting. Needs a tokio runtime.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mut entries = Vec::new();
        let runs = settings.data_dir.join("runs");
        if runs.is_dir() {
            for found in std::fs::read_dir(&runs).map_err(Error::io("list", &runs))? {
                let path = found.map_err(Error::io("list", &runs))?.path();
                entries.extend(Entry::found(RunFolder::new(path)));
            }
        }
        entries.sort_by(|a, b| (&a.job.created, &a.job.id).cmp(&(&b.job.created, &b.job.id)));
        let jobs = Mutex::new(Jobs { entries, closing: false });
        let supervisor = Self { shared: Arc::new(Shared { settings, jobs, tasks: TaskTracker::new() }) };
        supervisor.shared.start_waiting();
        Ok(supervisor)
    }

    /// Checks what is asked for, writes it down, and starts it or lets it wait.
    pub async fn start(&self, run: RunRequest) -> Result<Job, Error> {
        let architecture = run.arch.architecture()?;
        infer(&architecture)?;
        let recipe = run.recipe.as_deref().map_or_else(|| Recipe::of(&architecture), Recipe::named)?;
        let recipe = recipe.fitted(&architecture, &run.overrides)?;
        if self.shared.lock().closing {
            return Err(Error::Closing);
        }
        let request = Request {
            arch: architecture.name.clone(),
            data: run.data,
            data_path: run.data_path,
            created: jiff::Timestamp::now().to_string(),
            epochs: recipe.epochs,
            cancelled: false,
        };
        let runs = self.shared.settings.data_dir.join("runs");
        let entry = blocking(move || Entry::create(&runs, request, &architecture, &recipe)).await?;
        let id = entry.job.id.clone();
        self.shared.lock().entries.push(entry);
        self.shared.start_waiting();
        self.job(&id).ok_or(Error::UnknownJob(id))
    }

    /// Every run, in the order in which they were asked for.
    pub fn jobs(&self) -> Vec<Job> {
        self.shared.lock().entries.iter().map(|entry| entry.job.clone()).collect()
    }

    /// The run called `id`.
    pub fn job(&self, id: &str) -> Option<Job> {
        self.shared.lock().entries.iter().find(|entry| entry.job.id == id).map(|entry| entry.job.clone())
    }

    /// Asks the run called `id` to end; one at work takes a moment to do so, and is killed where it takes too long.
    pub async fn cancel(&self, id: &str) -> Result<Job, Error> {
        let (folder, request) = {
            let mut jobs = self.shared.lock();
            let entry = jobs.entry(id)?;
            if !entry.job.state.is_live() {
                return Err(Error::Over { id: id.into(), state: entry.job.state });
            }
            entry.request.cancelled = true;
            match &entry.stop {
                // A full channel holds a request to end already.
                Some(stop) => drop(stop.try_send(Stop::Cancel)),
                None => entry.job.state = JobState::Cancelled,
            }
            entry.changed.send_replace(());
            (entry.folder.clone(), entry.request.clone())
        };
        blocking(move || request.write(&folder)).await?;
        self.job(id).ok_or_else(|| Error::UnknownJob(id.into()))
    }

    /// Lets a run that ended before its last epoch go on from the last one it kept.
    pub async fn resume(&self, id: &str) -> Result<Job, Error> {
        let (folder, request) = {
            let mut jobs = self.shared.lock();
            if jobs.closing {
                return Err(Error::Closing);
            }
            let entry = jobs.entry(id)?;
            match entry.job.state {
                JobState::Done => return Err(Error::Over { id: id.into(), state: entry.job.state }),
                state if state.is_live() || entry.stop.is_some() => return Err(Error::Live { id: id.into(), state }),
                _ => {}
            }
            entry.request.cancelled = false;
            (entry.job.state, entry.job.error) = (JobState::Queued, None);
            (entry.folder.clone(), entry.request.clone())
        };
        blocking(move || request.write(&folder)).await?;
        self.shared.start_waiting();
        self.job(id).ok_or_else(|| Error::UnknownJob(id.into()))
    }

    /// Removes a run that is over, with its journal and the models of its epochs; one that was activated under another name
    /// is a copy, and stays.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        let entry = {
            let mut jobs = self.shared.lock();
            let entry = jobs.entry(id)?;
            if entry.job.state.is_live() {
                return Err(Error::Live { id: id.into(), state: entry.job.state });
            }
            jobs.entries.iter().position(|entry| entry.job.id == id).map(|at| jobs.entries.remove(at))
        };
        let Some(entry) = entry else { return Ok(()) };
        let models = self.shared.models(&entry.job.id);
        blocking(move || {
            for folder in [entry.folder.path(), &models] {
                match std::fs::remove_dir_all(folder) {
                    Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", folder)(fault)),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// The events of the run called `id` whose number is above `after`: those there are, then those to come, until it is over.
    pub fn events(&self, id: &str, after: u64) -> Result<mpsc::Receiver<Line>, Error> {
        let (folder, changed) = {
            let mut jobs = self.shared.lock();
            let entry = jobs.entry(id)?;
            (entry.folder.clone(), entry.changed.subscribe())
        };
        let (lines, receiver) = mpsc::channel(64);
        let (shared, id) = (Arc::clone(&self.shared), id.to_owned());
        let live = move || {
            let mut jobs = shared.lock();
            !jobs.closing && jobs.entry(&id).is_ok_and(|entry| entry.job.state.is_live())
        };
        tokio::spawn(Follower { path: folder.events(), changed, lines }.run(after, live));
        Ok(receiver)
    }

    /// Ends every process, as interrupted, and returns once they are gone. Runs that wait are started by the next server.
    pub async fn shutdown(&self) {
        {
            let mut jobs = self.shared.lock();
            jobs.closing = true;
            for entry in &jobs.entries {
                if let Some(stop) = &entry.stop {
                    let _ = stop.try_send(Stop::Shutdown);
                }
                entry.changed.send_replace(());
            }
        }
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        // Nothing is left half changed by a panic elsewhere: every change below is one assignment.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn models(&self, id: &str) -> PathBuf {
        self.settings.data_dir.join("models").join(format!("run-{id}"))
    }

    /// Starts waiting runs while there is room.
    fn start_waiting(self: &Arc<Self>) {
        let mut jobs = self.lock();
        while !jobs.closing && jobs.entries.iter().filter(|entry| entry.stop.is_some()).count() < self.settings.concurrent {
            let Some(entry) = jobs.entries.iter_mut().find(|entry| entry.job.state == JobState::Queued) else { return };
            let (stop, stopped) = mpsc::channel(1);
            entry.stop = Some(stop);
            entry.job.state = JobState::Running;
            entry.changed.send_replace(());
            let id = entry.job.id.clone();
            let arguments = child::arguments(&entry.folder, &entry.request.data_path, &self.models(&id), &self.settings.device);
            let program = Program { path: self.settings.program.clone(), arguments, grace: self.settings.grace };
            let shared = Arc::clone(self);
            self.tasks.spawn(async move { shared.watch(&id, program, stopped).await });
        }
    }

    async fn watch(self: Arc<Self>, id: &str, program: Program, stopped: mpsc::Receiver<Stop>) {
        let report = |change: &mut dyn FnMut(&mut Job)| {
            if let Ok(entry) = self.lock().entry(id) {
                change(&mut entry.job);
                entry.changed.send_replace(());
            }
        };
        tracing::info!(job = id, "a run starts");
        let ending = program.run(stopped, |event| report(&mut |job| job.take(&event))).await;
        if let Ok(entry) = self.lock().entry(id) {
            entry.stop = None;
        }
        report(&mut |job| {
            if job.state == JobState::Running {
                (job.state, job.error) = child::conclude(&ending);
            }
            tracing::info!(job = id, state = %job.state, error = job.error, "a run is over");
        });
        self.start_waiting();
    }
}

impl Jobs {
    fn entry(&mut self, id: &str) -> Result<&mut Entry, Error> {
        self.entries.iter_mut().find(|entry| entry.job.id == id).ok_or_else(|| Error::UnknownJob(id.into()))
    }
}

impl Entry {
    fn new(job: Job, request: Request, folder: RunFolder) -> Self {
        Self { job, request, folder, changed: watch::Sender::new(()), stop: None }
    }

    /// The run in `folder`, if it is one.
    fn found(folder: RunFolder) -> Option<Self> {
        let id = folder.path().file_name()?.to_str()?.to_owned();
        let request = Request::read(&folder)?;
        let job = Job::found(&id, &request, &folder);
        Some(Self::new(job, request, folder))
    }

    /// Writes a new run down under a name of its own.
    fn create(runs: &std::path::Path, request: Request, architecture: &Architecture, recipe: &Recipe) -> Result<Self, Error> {
        let id = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        let folder = RunFolder::new(runs.join(&id));
        let text = |value: Result<String, toml::ser::Error>| value.unwrap_or_else(|e| unreachable!("plain data: {e}"));
        for (path, text) in
            [(folder.architecture(), text(toml::to_string(architecture))), (folder.recipe(), text(toml::to_string(recipe)))]
        {
            atomic::write_file(&path, text.as_bytes()).map_err(Error::io("write", &path))?;
        }
        // Last: a folder without it is no run.
        request.write(&folder)?;
        Ok(Self::new(Job::new(&id, &request), request, folder))
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
