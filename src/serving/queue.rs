//! Images that wait for a model thread, and how the threads share them out: one thread takes what waits as one batch, and several
//! take a part each where there is enough for all. It does not know what is done with a batch.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::{Hands, Job, line_up, next_batch};

/// Images that wait.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something waits, or nothing ever will.
    changed: Condvar,
    /// That take batches.
    threads: usize,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Job>,
    /// Threads at work on a batch.
    working: usize,
    open: bool,
}

/// A batch, and a thread's turn at it until it is dropped.
pub(super) struct Turn<'a> {
    /// At least one image.
    pub(super) batch: Vec<Job>,
    /// Who is to compute it.
    pub(super) hands: Hands,
    _working: Working<'a>,
}

struct Working<'a>(&'a Queue);

impl Queue {
    /// For so many threads.
    pub(super) fn new(threads: usize) -> Self {
        let state = State { waiting: VecDeque::new(), working: 0, open: true };
        Self { state: Mutex::new(state), changed: Condvar::new(), threads: threads.max(1) }
    }

    /// How many threads take batches.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Has `job` wait; gives it back where the queue is closed.
    pub(super) fn push(&self, job: Job) -> Option<Job> {
        let mut state = self.lock();
        if !state.open {
            return Some(job);
        }
        line_up(&mut state.waiting, job);
        drop(state);
        self.changed.notify_one();
        None
    }

    /// The next batch, of at most `limit` images, once there is one; none when the queue is closed and nothing waits.
    ///
    /// One batch on all threads leaves most of them waiting for the slowest at each layer, so where every thread can have images
    /// of its own each takes its part. A lone thread has the others' help.
    pub(super) fn take(&self, limit: usize) -> Option<Turn<'_>> {
        let mut state = self.lock();
        loop {
            let (waiting, beside) = (state.waiting.len(), state.working);
            let shared = self.threads > 1 && (beside > 0 || waiting >= self.threads);
            let part = if shared { waiting.div_ceil(self.threads.saturating_sub(beside).max(1)) } else { waiting };
            let batch = next_batch(&mut state.waiting, part.min(limit));
            if !batch.is_empty() {
                state.working += 1;
                let more = !state.waiting.is_empty();
                drop(state);
                if more {
                    self.changed.notify_one();
                }
                let hands = if shared { Hands::Own } else { Hands::All };
                return Some(Turn { batch, hands, _working: Working(self) });
            }
            if !state.waiting.is_empty() {
                continue;
            }
            if !state.open {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Images that wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether the queue is open, and whether nothing waits and no thread is at work.
    pub(super) fn stands(&self) -> (bool, bool) {
        let state = self.lock();
        (state.open, state.waiting.is_empty() && state.working == 0)
    }

    /// Lets nothing more in. What waits is still taken.
    pub(super) fn close(&self) {
        self.lock().open = false;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Jobs are moved whole: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.lock().working -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::testing::{job, request, served};

    #[test]
    fn a_lone_image_has_all_hands_and_many_are_shared_out() {
        let (queue, model) = (Queue::new(2), served());
        let mut answers = Vec::new();
        let mut push = |count| {
            for _ in 0..count {
                let (job, answer) = job(request(&model));
                assert!(queue.push(job).is_none());
                answers.push(answer);
            }
        };
        push(1);
        let turn = queue.take(32).unwrap();
        assert_eq!((turn.batch.len(), turn.hands), (1, Hands::All));
        push(1);
        let beside = queue.take(32).unwrap();
        assert_eq!((beside.batch.len(), beside.hands), (1, Hands::Own), "another thread has the help");
        drop((turn, beside));
        push(9);
        let turns = [queue.take(32).unwrap(), queue.take(32).unwrap()];
        assert_eq!(turns.each_ref().map(|turn| (turn.batch.len(), turn.hands)), [(5, Hands::Own), (4, Hands::Own)]);
        drop(turns);
        assert_eq!(queue.stands(), (true, true));
        push(40);
        assert_eq!(queue.take(8).unwrap().batch.len(), 8);
        assert_eq!(queue.waiting(), 32);
    }

    #[test]
    fn what_waits_when_it_is_closed_is_still_taken_and_nothing_else() {
        let (queue, model) = (Queue::new(1), served());
        let ((early, _early), (late, _late)) = (job(request(&model)), job(request(&model)));
        assert!(queue.push(early).is_none());
        queue.close();
        assert!(queue.push(late).is_some());
        assert_eq!(queue.take(4).unwrap().batch.len(), 1);
        assert!(queue.take(4).is_none());
    }
}
