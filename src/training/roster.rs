//! The runs as the server has them in memory: the queue, and beside it what is known of each.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::{mpsc, watch};

use super::child::Stop;
use super::error::Error;
use super::event::Event;
use super::folder::RunFolder;
use super::job::{Job, JobState, Progress};
use super::queue::Queue;
use super::request::Request;
use super::shelf::Found;

/// Every run there is.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) queue: Queue,
    pub(super) entries: HashMap<String, Entry>,
}

/// One run.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) request: Request,
    pub(super) folder: RunFolder,
    pub(super) name: Option<String>,
    pub(super) progress: Progress,
    /// The epochs to keep, as of the last one that is over.
    pub(super) kept: Option<(u32, BTreeSet<u64>)>,
    /// Marked whenever the journal has grown or the state has changed.
    pub(super) changed: watch::Sender<()>,
    /// Ends the process, while there is one.
    pub(super) stop: Option<mpsc::Sender<Stop>>,
}

impl Roster {
    pub(super) fn new(places: usize) -> Self {
        Self { queue: Queue::new(places), entries: HashMap::new() }
    }

    pub(super) fn add(&mut self, found: Found) {
        let Found { id, folder, request, name, state, progress, .. } = found;
        self.queue.add(&id, state);
        let entry = Entry { request, folder, name, progress, kept: None, changed: watch::Sender::new(()), stop: None };
        self.entries.insert(id, entry);
    }

    pub(super) fn entry(&self, id: &str) -> Result<&Entry, Error> {
        self.entries.get(id).ok_or_else(|| Error::UnknownJob(id.into()))
    }

    pub(super) fn entry_mut(&mut self, id: &str) -> Result<&mut Entry, Error> {
        self.entries.get_mut(id).ok_or_else(|| Error::UnknownJob(id.into()))
    }

    pub(super) fn job(&self, id: &str) -> Option<Job> {
        let (state, entry) = (self.queue.state(id)?, self.entries.get(id)?);
        let job = Job { name: entry.name.clone(), ..Job::new(id, state, &entry.request, &entry.progress) };
        Some(job.at(self.queue.position(id)))
    }

    /// Asks the process of the run called `id` to end, if it has one.
    pub(super) fn ask(&self, id: &str, stop: Stop) {
        if let Some(asked) = self.entries.get(id).and_then(|entry| entry.stop.as_ref()) {
            // A full channel holds a request to end already.
            let _ = asked.try_send(stop);
        }
    }

    /// The run called `id` reported `event`.
    pub(super) fn heard(&mut self, id: &str, event: &Event) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if let Some(last) = entry.progress.take(event) {
            self.queue.said(id, last);
        }
        entry.announce();
    }

    /// The process of the run called `id` is gone, which means `silent`, and `why`, where it did not say how it ended.
    pub(super) fn gone(&mut self, id: &str, silent: JobState, why: Option<String>) -> Option<Job> {
        let spoke = self.queue.state(id).is_some_and(|state| !state.is_live());
        self.queue.gone(id, silent)?;
        let entry = self.entries.get_mut(id)?;
        entry.stop = None;
        if !spoke {
            entry.progress.error = why;
        }
        entry.announce();
        self.job(id)
    }
}

impl Entry {
    pub(super) fn announce(&self) {
        self.changed.send_replace(());
    }
}
