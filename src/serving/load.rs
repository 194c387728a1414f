//! How much there is to do, and how long it will take at the measured rates: what a caller who is refused is told.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Hands;
use super::served::{Fault, Served};

/// An image's time where nothing was measured yet.
const UNMEASURED: Duration = Duration::from_millis(1);
/// A batch that takes this long, and this many times what it should, will never end.
const OVERDUE: (Duration, u32) = (Duration::from_secs(10), 20);

/// The measured time an image takes of the whole machine's, smoothed over the last ones: a thread alone has its share of it.
#[derive(Debug, Default)]
pub(super) struct Rate {
    nanoseconds_per_image: AtomicU64,
}

impl Rate {
    /// Takes `images` into account that took so long together. Where two are told at once, one may be lost.
    pub(super) fn measured(&self, images: usize, took: Duration) {
        let newest = (took.as_nanos() as u64 / images.max(1) as u64).max(1);
        let before = self.nanoseconds_per_image.load(Ordering::Relaxed);
        let smoothed = if before == 0 { newest } else { before - before / 8 + newest / 8 };
        self.nanoseconds_per_image.store(smoothed, Ordering::Relaxed);
    }

    /// Nanoseconds of an image, if any was measured.
    pub(super) fn get(&self) -> Option<u64> {
        Some(self.nanoseconds_per_image.load(Ordering::Relaxed)).filter(|&measured| measured > 0)
    }
}

/// What the engine has to do.
#[derive(Debug)]
pub(super) struct Load {
    /// Of decoding, on one thread.
    pub(super) decoding: Rate,
    /// Of the model, whichever it was.
    pub(super) evaluating: Rate,
    /// Threads that decode, or evaluate.
    cores: u64,
    /// Images whose pixels wait, or are being evaluated.
    submitted: AtomicUsize,
    /// Their time in the model, each by its own model's rate, in nanoseconds.
    owed: AtomicU64,
    /// The batches that are being evaluated.
    batches: Mutex<Vec<Batch>>,
    /// Threads and evaluators that ended in a panic.
    replaced: AtomicU64,
}

/// A batch that is being evaluated.
#[derive(Debug, Clone, Copy)]
struct Batch {
    number: u64,
    since: Instant,
    /// How long it should take.
    expected: Duration,
}

/// One submitted image's share of the load, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    load: Arc<Load>,
    nanoseconds: u64,
}

/// A batch that is being evaluated, until it is dropped.
#[derive(Debug)]
pub(super) struct Working<'a>(&'a Load, u64);

impl Load {
    /// Nothing, for a machine of so many cores.
    pub(super) fn new(cores: usize) -> Self {
        Self {
            decoding: Rate::default(),
            evaluating: Rate::default(),
            cores: cores.max(1) as u64,
            submitted: AtomicUsize::new(0),
            owed: AtomicU64::new(0),
            batches: Mutex::default(),
            replaced: AtomicU64::new(0),
        }
    }

    /// Takes one image of `served` on, which is evaluated `passes` times.
    pub(super) fn submit(self: &Arc<Self>, served: &Served, passes: usize) -> Share {
        let nanoseconds = self.image(&served.rate).saturating_mul(passes as u64);
        self.submitted.fetch_add(1, Ordering::Relaxed);
        self.owed.fetch_add(nanoseconds, Ordering::Relaxed);
        Share { load: Arc::clone(self), nanoseconds }
    }

    /// When `under_way` images will all have been answered, those included that are submitted; never 0.
    pub(super) fn time_for(&self, under_way: usize) -> Duration {
        let arriving = under_way.saturating_sub(self.submitted.load(Ordering::Relaxed)) as u64;
        let each = self.time_for_one().as_nanos() as u64;
        let owed = self.owed.load(Ordering::Relaxed);
        Duration::from_nanos(owed.saturating_add(arriving.saturating_mul(each)).max(1))
    }

    /// What an image takes of the whole machine's time, from its bytes to its answer.
    pub(super) fn time_for_one(&self) -> Duration {
        Duration::from_nanos(self.decoding.get().unwrap_or(0) / self.cores + self.image(&self.evaluating))
    }

    fn image(&self, rate: &Rate) -> u64 {
        rate.get().or_else(|| self.evaluating.get()).unwrap_or(UNMEASURED.as_nanos() as u64)
    }

    /// A batch of `images` of `served` took so long.
    pub(super) fn measured(&self, served: &Served, images: usize, took: Duration, hands: Hands) {
        let took = match hands {
            Hands::All => took,
            Hands::Own => took / self.cores as u32,
        };
        served.rate.measured(images, took);
        self.evaluating.measured(images, took);
    }

    /// A batch failed.
    pub(super) fn failed(&self, fault: &Fault) {
        if fault.panicked {
            self.replace();
        }
    }

    /// A thread or an evaluator ended in a panic.
    pub(super) fn replace(&self) {
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }

    /// How many threads and evaluators ended in a panic.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// A batch of `images` of `served` begins.
    pub(super) fn work(&self, served: &Served, images: usize, hands: Hands) -> Working<'_> {
        let threads = if hands == Hands::Own { self.cores } else { 1 };
        let expected = Duration::from_nanos(self.image(&served.rate).saturating_mul(threads * images as u64));
        let mut batches = self.batches();
        let number = batches.iter().map(|batch| batch.number + 1).max().unwrap_or(0);
        batches.push(Batch { number, since: Instant::now(), expected });
        Working(self, number)
    }

    /// Whether a batch is being evaluated that can still be expected to end.
    pub(super) fn at_work(&self) -> bool {
        let lasts = |batch: &Batch| batch.since.elapsed() < OVERDUE.0.max(batch.expected.saturating_mul(OVERDUE.1));
        self.batches().iter().any(lasts)
    }

    fn batches(&self) -> MutexGuard<'_, Vec<Batch>> {
        // Entries are written whole: a panic elsewhere leaves nothing half done.
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.load.submitted.fetch_sub(1, Ordering::Relaxed);
        self.load.owed.fetch_sub(self.nanoseconds, Ordering::Relaxed);
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.batches().retain(|batch| batch.number != self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::testing::served;

    #[test]
    fn a_rate_follows_what_is_measured() {
        let rate = Rate::default();
        assert_eq!(rate.get(), None);
        rate.measured(4, Duration::from_millis(8));
        assert_eq!(rate.get(), Some(2_000_000));
        for _ in 0..100 {
            rate.measured(1, Duration::from_millis(10));
        }
        let settled = rate.get().unwrap();
        assert!(settled > 9_500_000 && settled <= 10_000_000, "{settled}");
        rate.measured(1, Duration::ZERO);
        assert!(rate.get().is_some());
    }

    #[test]
    fn the_time_to_wait_is_that_of_what_is_decoded_and_of_what_waits() {
        let load = Arc::new(Load::new(2));
        assert!(load.time_for(0) > Duration::ZERO && load.time_for(1) == UNMEASURED, "never nothing, and a guess at first");
        load.evaluating.measured(10, Duration::from_millis(20));
        assert_eq!(load.time_for(10), Duration::from_millis(20));
        // Two threads decode, at 4 ms an image.
        load.decoding.measured(1, Duration::from_millis(4));
        assert_eq!(load.time_for(10), Duration::from_millis(40));

        // Of these ten, two are decoded already, and their model is a slow one.
        let slow = served();
        (0..200).for_each(|_| slow.rate.measured(1, Duration::from_millis(100)));
        let each = Duration::from_nanos(slow.rate.get().unwrap());
        let shares = [load.submit(&slow, 1), load.submit(&slow, 1)];
        assert_eq!(load.time_for(10), Duration::from_millis(8 * 4) + 2 * each);
        drop(shares);
        assert_eq!(load.time_for(10), Duration::from_millis(40), "what is answered is not waited for");
    }

    #[test]
    fn a_batch_is_work_until_it_ends() {
        let load = Load::new(1);
        assert!(!load.at_work());
        let (first, second) = (load.work(&served(), 3, Hands::All), load.work(&served(), 1, Hands::Own));
        drop(first);
        assert!(load.at_work());
        drop(second);
        assert!(!load.at_work());
    }
}
