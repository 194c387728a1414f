//! Which runs there are, how each stands, and which may run next: rules alone, without files, processes or a clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// Why something cannot be done with a run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such run, or it is being removed.
    Unknown,
    /// It is not over.
    Live(JobState),
    /// It is over.
    Over(JobState),
    /// No runs are taken any more.
    Closing,
}

/// What a cancellation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It was waiting, and is over.
    AtOnce,
    /// Its process is to be asked to end.
    Ask,
}

/// Where a run that waits is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// 1 is the next to be started.
    pub place: usize,
    /// Runs that wait.
    pub of: usize,
}

/// Runs in the order in which they were asked for, and the places they share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Queue {
    runs: Vec<Run>,
    /// Processes at a time.
    places: usize,
    closing: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Run {
    id: String,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Waiting,
    /// It has a process, which may have said its last word already.
    AtWork(Option<JobState>),
    Over(JobState),
    /// Being removed; what it was, should that fail.
    Leaving(JobState),
}

impl Stage {
    fn state(self) -> Option<JobState> {
        match self {
            Self::Waiting => Some(JobState::Queued),
            Self::AtWork(said) => Some(said.unwrap_or(JobState::Running)),
            Self::Over(state) => Some(state),
            Self::Leaving(_) => None,
        }
    }
}

impl Queue {
    /// Without runs; at most `places` of them will be at work together.
    pub fn new(places: usize) -> Self {
        Self { runs: Vec::new(), places, closing: false }
    }

    /// Takes in the run called `id`, as it was found or asked for: nothing found is at work.
    pub fn add(&mut self, id: &str, state: JobState) {
        let stage = match state {
            JobState::Queued => Stage::Waiting,
            JobState::Running => Stage::Over(JobState::Interrupted),
            over => Stage::Over(over),
        };
        self.runs.push(Run { id: id.into(), stage });
    }

    /// Whether a new run can be taken.
    pub fn may_add(&self) -> Result<(), Refusal> {
        if self.closing { Err(Refusal::Closing) } else { Ok(()) }
    }

    /// Every run there is, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().filter(|run| run.stage.state().is_some()).map(|run| run.id.as_str())
    }

    /// How the run called `id` stands.
    pub fn state(&self, id: &str) -> Option<JobState> {
        self.find(id).ok().and_then(|run| run.stage.state())
    }

    /// The place of the run called `id` among those that wait, from 1, and how many wait; none where it does not wait.
    pub fn position(&self, id: &str) -> Option<Position> {
        let waiting = self.runs.iter().filter(|run| run.stage == Stage::Waiting);
        let place = waiting.clone().position(|run| run.id == id)? + 1;
        Some(Position { place, of: waiting.count() })
    }

    /// Whether a run that is taken now is started at once.
    pub fn has_place(&self) -> bool {
        self.runs.iter().filter(|run| matches!(run.stage, Stage::Waiting | Stage::AtWork(_))).count() < self.places
    }

    /// Whether the run called `id` has a process, even one that has nothing left to say.
    pub fn at_work(&self, id: &str) -> bool {
        self.find(id).is_ok_and(|run| matches!(run.stage, Stage::AtWork(_)))
    }

    /// Whether no more runs are started.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// The run that is to be started now; it counts as at work from here on.
    pub fn start_next(&mut self) -> Option<String> {
        let busy = self.runs.iter().filter(|run| matches!(run.stage, Stage::AtWork(_))).count();
        if self.closing || busy >= self.places {
            return None;
        }
        let run = self.runs.iter_mut().find(|run| run.stage == Stage::Waiting)?;
        run.stage = Stage::AtWork(None);
        Some(run.id.clone())
    }

    /// Whether the run called `id` can be cancelled, and what that would come to.
    pub fn may_cancel(&self, id: &str) -> Result<Cancelled, Refusal> {
        match self.find(id)?.stage {
            Stage::Waiting => Ok(Cancelled::AtOnce),
            Stage::AtWork(None) => Ok(Cancelled::Ask),
            Stage::AtWork(Some(state)) | Stage::Over(state) => Err(Refusal::Over(state)),
            Stage::Leaving(_) => Err(Refusal::Unknown),
        }
    }

    /// Cancels the run called `id`: one at work goes on until its process has ended.
    pub fn cancel(&mut self, id: &str) -> Result<Cancelled, Refusal> {
        let cancelled = self.may_cancel(id)?;
        if cancelled == Cancelled::AtOnce {
            self.set(id, Stage::Over(JobState::Cancelled));
        }
        Ok(cancelled)
    }

    /// Whether the run called `id` can go on.
    pub fn may_resume(&self, id: &str) -> Result<(), Refusal> {
        match self.find(id)?.stage {
            _ if self.closing => Err(Refusal::Closing),
            Stage::Waiting => Err(Refusal::Live(JobState::Queued)),
            Stage::AtWork(_) => Err(Refusal::Live(JobState::Running)),
            Stage::Over(JobState::Done) => Err(Refusal::Over(JobState::Done)),
            Stage::Over(_) => Ok(()),
            Stage::Leaving(_) => Err(Refusal::Unknown),
        }
    }

    /// Lets the run called `id` wait for a place again.
    pub fn resume(&mut self, id: &str) -> Result<(), Refusal> {
        self.may_resume(id)?;
        self.set(id, Stage::Waiting);
        Ok(())
    }

    /// The process of the run called `id` said its last word.
    pub fn said(&mut self, id: &str, last: JobState) {
        if self.at_work(id) {
            self.set(id, Stage::AtWork(Some(last)));
        }
    }

    /// The process of the run called `id` is gone; `silent` is what that means where it said nothing. Gives how it ended.
    pub fn gone(&mut self, id: &str, silent: JobState) -> Option<JobState> {
        let Stage::AtWork(said) = self.find(id).ok()?.stage else { return None };
        let state = said.unwrap_or(silent);
        self.set(id, Stage::Over(state));
        Some(state)
    }

    /// Begins to remove the run called `id`: from now on there is none to anybody else.
    pub fn leave(&mut self, id: &str) -> Result<(), Refusal> {
        match self.find(id)?.stage {
            Stage::Waiting => Err(Refusal::Live(JobState::Queued)),
            Stage::AtWork(_) => Err(Refusal::Live(JobState::Running)),
            Stage::Over(state) => {
                self.set(id, Stage::Leaving(state));
                Ok(())
            }
            Stage::Leaving(_) => Err(Refusal::Unknown),
        }
    }

    /// The run called `id` is removed.
    pub fn left(&mut self, id: &str) {
        self.runs.retain(|run| run.id != id || !matches!(run.stage, Stage::Leaving(_)));
    }

    /// The run called `id` could not be removed, and is what it was.
    pub fn stayed(&mut self, id: &str) {
        if let Ok(Stage::Leaving(state)) = self.find(id).map(|run| run.stage) {
            self.set(id, Stage::Over(state));
        }
    }

    /// Starts and takes nothing any more. Gives the runs whose processes are to be ended.
    pub fn close(&mut self) -> Vec<String> {
        self.closing = true;
        self.runs.iter().filter(|run| matches!(run.stage, Stage::AtWork(_))).map(|run| run.id.clone()).collect()
    }

    fn find(&self, id: &str) -> Result<&Run, Refusal> {
        self.runs.iter().find(|run| run.id == id).ok_or(Refusal::Unknown)
    }

    fn set(&mut self, id: &str, stage: Stage) {
        if let Some(run) = self.runs.iter_mut().find(|run| run.id == id) {
            run.stage = stage;
        }
    }
}

#[cfg(test)]
mod tests;
