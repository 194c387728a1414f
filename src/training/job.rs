//! A run as the server knows it: what was asked for, and what has become of it. Both are read from the run's folder.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::event::{EpochRecord, Event};
use super::folder::RunFolder;
use super::journal::{Line, Reader};
use crate::checkpoint::atomic;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for another run to end.
    Queued,
    /// Its process is at work.
    Running,
    /// Its process ended without a word: killed, out of memory, or stopped with the server.
    Interrupted,
    /// Complete.
    Done,
    /// Gave up, and said why.
    Failed,
    /// Ended by request.
    Cancelled,
}

impl JobState {
    /// Whether more will come of it by itself.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A run, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// Names its folder, and its model as `run-ID`.
    pub id: String,
    /// Where it is.
    pub state: JobState,
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

/// What was asked for: the server's own file in the run's folder, written before the run starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) arch: String,
    pub(super) data: String,
    pub(super) data_path: PathBuf,
    pub(super) created: String,
    pub(super) epochs: u32,
    /// Somebody asked to end it, whether or not its process lived to say so.
    pub(super) cancelled: bool,
}

impl Request {
    /// What was asked for in `folder`; none where it is no run's.
    pub(super) fn read(folder: &RunFolder) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.request()).ok()?).ok()
    }

    /// Writes it down in `folder`.
    pub(super) fn write(&self, folder: &RunFolder) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_else(|e| unreachable!("plain data: {e}"));
        let path = folder.request();
        atomic::write_file(&path, &text).map_err(Error::io("write", &path))
    }
}

impl Job {
    /// A run that has not begun.
    pub(super) fn new(id: &str, request: &Request) -> Self {
        Self {
            id: id.into(),
            state: JobState::Queued,
            arch: request.arch.clone(),
            data: request.data.clone(),
            created: request.created.clone(),
            epochs: request.epochs,
            epoch: 0,
            last: None,
            error: None,
        }
    }

    /// What has become of a run whose process is not there any more; one that never began is still queued.
    pub(super) fn found(id: &str, request: &Request, folder: &RunFolder) -> Self {
        let mut job = Self::new(id, request);
        if let Ok(lines) = Reader::open(&folder.events()).and_then(|mut reader| reader.read(0)) {
            job.state = JobState::Interrupted;
            for event in lines.iter().filter_map(Line::parse) {
                // A resumed run goes on after what was its last event.
                (job.state, job.error) = (JobState::Interrupted, None);
                job.take(&event);
            }
        }
        if request.cancelled && matches!(job.state, JobState::Queued | JobState::Interrupted) {
            job.state = JobState::Cancelled;
        }
        job
    }

    /// Follows the run's report.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Data(_) | Event::Step(_) => {}
            Event::Epoch(record) => {
                self.epoch = record.epoch;
                self.last = Some(record.clone());
            }
            Event::Done(_) => self.state = JobState::Done,
            Event::Failed(failure) => {
                self.state = JobState::Failed;
                self.error = Some(failure.error.clone());
            }
            Event::Cancelled(_) => self.state = JobState::Cancelled,
        }
    }
}
