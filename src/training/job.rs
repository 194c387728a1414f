//! A run as the server shows it: what was asked for, and what has become of it.

use serde::Serialize;

use super::event::{EpochRecord, Event};
pub use super::queue::JobState;
use super::queue::Position;
use super::request::Request;

/// A run, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// Names its folder, and its model as `run-ID`.
    pub id: String,
    /// What somebody called it.
    pub name: Option<String>,
    /// Where it is.
    pub state: JobState,
    /// Its place among those that wait, from 1; null where it does not wait.
    pub position: Option<usize>,
    /// How many wait, this one included; null where it does not.
    pub queue_length: Option<usize>,
    /// Name of its network.
    pub arch: String,
    /// Its dataset, as it was asked for.
    pub data: String,
    /// When it was asked for, as RFC 3339 has it.
    pub created: String,
    /// Epochs asked for.
    pub epochs: u32,
    /// Epochs that are over.
    pub epoch: u32,
    /// The last epoch that is over.
    pub last: Option<EpochRecord>,
    /// Why it is failed or interrupted, where that is known.
    pub error: Option<String>,
}

/// How far a run has got.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Progress {
    /// The last epoch that is over.
    pub(super) last: Option<EpochRecord>,
    /// Why it ended, where it did not end well.
    pub(super) error: Option<String>,
}

impl Progress {
    /// Of a run whose last epoch that is over is `last`.
    pub(super) fn after(last: Option<EpochRecord>) -> Self {
        Self { last, error: None }
    }

    /// Follows the run's report, and tells how it ended where that was its last.
    pub(super) fn take(&mut self, event: &Event) -> Option<JobState> {
        match event {
            Event::Data(_) | Event::Step(_) => None,
            Event::Epoch(record) => {
                self.last = Some(record.clone());
                None
            }
            Event::Done(_) => Some(JobState::Done),
            Event::Failed(failure) => {
                self.error = Some(failure.error.clone());
                Some(JobState::Failed)
            }
            Event::Cancelled(_) => Some(JobState::Cancelled),
        }
    }
}

impl Job {
    /// The run called `id`.
    pub(super) fn new(id: &str, state: JobState, request: &Request, progress: &Progress) -> Self {
        Self {
            id: id.into(),
            name: None,
            state,
            position: None,
            queue_length: None,
            arch: request.arch.name.clone(),
            data: request.data.clone(),
            created: request.created.clone(),
            epochs: request.recipe.epochs,
            epoch: progress.last.as_ref().map_or(0, |last| last.epoch),
            last: progress.last.clone(),
            error: progress.error.clone(),
        }
    }

    /// The same, waiting there.
    pub(super) fn at(self, position: Option<Position>) -> Self {
        Self { position: position.map(|at| at.place), queue_length: position.map(|at| at.of), ..self }
    }
}
