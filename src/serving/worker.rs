//! A model thread. It takes what waits, evaluates it as one batch, answers, and starts over. No timer: an idle engine adds no
//! wait, a busy one fills its batches by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::batch::serve;
use super::load::Load;
use super::queue::Queue;
use super::served::panic_text;

/// What a model thread works on.
pub(super) struct Worker {
    /// Where images wait.
    pub(super) queue: Arc<Queue>,
    /// Images evaluated together, at most.
    pub(super) batch: usize,
    pub(super) load: Arc<Load>,
}

impl Worker {
    /// Works until the queue is closed and nothing waits.
    pub(super) fn run(&self) {
        keep_at(&self.load, || {
            while let Some(turn) = self.queue.take(self.batch) {
                serve(turn.batch, turn.hands, &self.load);
            }
        });
    }
}

/// Does `work` to its end, from the beginning where it panics: whoever was in its hands is told so, the others are served.
fn keep_at(load: &Load, mut work: impl FnMut()) {
    while let Err(panic) = catch_unwind(AssertUnwindSafe(&mut work)) {
        load.replace();
        tracing::error!(panic = panic_text(panic.as_ref()), "a model thread ended in a panic; another takes its place");
    }
}

#[cfg(test)]
mod tests;
