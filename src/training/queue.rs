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
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Act {
        Next,
        Cancel,
        Resume,
        Said(JobState),
        Gone(JobState),
        Leave,
        Left,
        Stayed,
        Close,
    }

    const LAST: [JobState; 3] = [JobState::Done, JobState::Failed, JobState::Cancelled];

    fn acts() -> Vec<Act> {
        let mut acts = vec![Act::Next, Act::Cancel, Act::Resume, Act::Gone(JobState::Interrupted), Act::Leave, Act::Left];
        acts.extend([Act::Stayed, Act::Close]);
        acts.extend(LAST.map(Act::Said));
        acts
    }

    /// `queue` after `act` on `id`, and whether it was refused.
    fn after(queue: &Queue, act: Act, id: &str) -> (Queue, Option<Refusal>) {
        let mut next = queue.clone();
        let mut refusal = None;
        match act {
            Act::Cancel => refusal = next.cancel(id).err(),
            Act::Resume => refusal = next.resume(id).err(),
            Act::Leave => refusal = next.leave(id).err(),
            Act::Next => drop(next.start_next()),
            Act::Said(state) => next.said(id, state),
            Act::Gone(silent) => assert!(next.gone(id, silent).is_none_or(|state| !state.is_live())),
            Act::Left => next.left(id),
            Act::Stayed => next.stayed(id),
            Act::Close => drop(next.close()),
        }
        (next, refusal)
    }

    fn stage(queue: &Queue, id: &str) -> Option<Stage> {
        queue.find(id).ok().map(|run| run.stage)
    }

    /// Which stages one act may lead to from `before`.
    fn allowed(before: Stage, act: Act) -> Vec<Option<Stage>> {
        let to = match (before, act) {
            (Stage::Waiting, Act::Next) => vec![Stage::Waiting, Stage::AtWork(None)],
            (Stage::Waiting, Act::Cancel) => vec![Stage::Over(JobState::Cancelled)],
            (Stage::AtWork(_), Act::Said(state)) => vec![Stage::AtWork(Some(state))],
            (Stage::AtWork(None), Act::Gone(silent)) => vec![Stage::Over(silent)],
            (Stage::AtWork(Some(said)), Act::Gone(_)) => vec![Stage::Over(said)],
            (Stage::Over(state), Act::Resume) if state != JobState::Done => vec![Stage::Waiting, before],
            (Stage::Over(state), Act::Leave) => vec![Stage::Leaving(state)],
            (Stage::Leaving(_), Act::Left) => return vec![None],
            (Stage::Leaving(state), Act::Stayed) => vec![Stage::Over(state)],
            _ => vec![before],
        };
        to.into_iter().map(Some).collect()
    }

    #[test]
    fn every_state_that_can_be_reached_keeps_the_rules() {
        let ids = ["a", "b", "c"];
        for places in 1..=2 {
            let mut first = Queue::new(places);
            for id in ids {
                first.add(id, JobState::Queued);
            }
            let (mut seen, mut open) = (HashSet::from([first.clone()]), vec![first]);
            while let Some(queue) = open.pop() {
                for (id, act) in ids.iter().flat_map(|id| acts().into_iter().map(move |act| (*id, act))) {
                    let (next, refusal) = after(&queue, act, id);
                    let busy = ids.iter().filter(|id| next.at_work(id)).count();
                    assert!(busy <= places, "{queue:?} {act:?} {id}");
                    assert!(refusal.is_none() || next == queue, "a refusal changes nothing: {queue:?} {act:?} {id}");
                    for other in ids {
                        let (before, now) = (stage(&queue, other), stage(&next, other));
                        match before {
                            Some(before) if other == id || act == Act::Next => {
                                assert!(allowed(before, act).contains(&now), "{before:?} {act:?} {now:?}");
                            }
                            _ => assert_eq!(before, now, "{act:?} of {id} is no business of {other}"),
                        }
                    }
                    if act == Act::Next && next != queue {
                        let started = ids.iter().position(|id| stage(&queue, id) != stage(&next, id)).unwrap();
                        assert!(!queue.closing && ids[..started].iter().all(|id| stage(&queue, id) != Some(Stage::Waiting)));
                    }
                    if act == Act::Next && next == queue && !queue.closing && busy < places {
                        assert!(ids.iter().all(|id| stage(&queue, id) != Some(Stage::Waiting)), "a free place is not left empty");
                    }
                    if queue.closing {
                        assert!(next.closing && (act != Act::Resume || refusal.is_some()));
                    }
                    if seen.insert(next.clone()) {
                        open.push(next);
                    }
                }
            }
            assert!(seen.len() > 1000, "{}", seen.len());
        }
    }

    #[test]
    fn who_is_being_removed_is_not_there_for_anybody() {
        let mut queue = Queue::new(1);
        queue.add("a", JobState::Interrupted);
        queue.leave("a").unwrap();
        assert_eq!((queue.state("a"), queue.ids().count()), (None, 0));
        assert_eq!(queue.cancel("a"), Err(Refusal::Unknown));
        assert_eq!(queue.resume("a"), Err(Refusal::Unknown));
        assert_eq!(queue.leave("a"), Err(Refusal::Unknown));
        queue.stayed("a");
        assert_eq!(queue.state("a"), Some(JobState::Interrupted));
    }

    #[test]
    fn what_is_refused_says_how_it_stands() {
        let mut queue = Queue::new(1);
        queue.add("a", JobState::Queued);
        queue.add("b", JobState::Queued);
        assert_eq!(queue.start_next().as_deref(), Some("a"));
        assert_eq!(
            (queue.leave("a"), queue.leave("b")),
            (Err(Refusal::Live(JobState::Running)), Err(Refusal::Live(JobState::Queued)))
        );
        assert_eq!((queue.cancel("a"), queue.cancel("b")), (Ok(Cancelled::Ask), Ok(Cancelled::AtOnce)));
        queue.said("a", JobState::Done);
        assert_eq!(queue.cancel("a"), Err(Refusal::Over(JobState::Done)));
        assert_eq!(queue.gone("a", JobState::Interrupted), Some(JobState::Done), "its own word stands");
        assert_eq!((queue.resume("a"), queue.resume("b")), (Err(Refusal::Over(JobState::Done)), Ok(())));
        queue.close();
        assert_eq!((queue.may_add(), queue.may_resume("b")), (Err(Refusal::Closing), Err(Refusal::Closing)));
    }
}
