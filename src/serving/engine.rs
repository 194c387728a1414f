//! The way to the models: a fixed number of places, a queue, and a reply for each image.
//!
//! A place is one image somewhere between the first byte of its request and its answer. Whoever holds one may submit, so the
//! queue is as long as there are places and never has to refuse what it let in. Without a place the answer comes at once:
//! full, and when to try again, computed from what is under way, the measured rates of decoding and of each model, and those who were
//! told the same before.
//!
//! Where a change of threads would cost more than it gives, the caller's own thread evaluates the image: of a small network an
//! image takes a fraction of a millisecond, and callers are as many threads as there are cores. The rest waits for a model
//! thread: images of networks that take long, with a probe, or of a network that a busy machine evaluates better in batches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::batch::{Hands, Job, serve_here};
use super::input::Input;
use super::load::Load;
use super::promise::Promises;
use super::queue::Queue;
use super::served::Served;
use super::worker::Worker;
use crate::network::{Probe, Tap};

/// After so many images of which each was alone, the next one probably is, too. Of many callers some are alone for a moment.
const QUIET: usize = 64;

/// So many images a core are next. More, and requests wait unread behind them; fewer, and who only refuses evaluates too little.
const TURNS: usize = 8;
/// Of the places that become free, one in so many is for those who were refused: whoever had an answer is soon back. (With one in
/// one, 1,000 callers on two cores were refused 7,000 times a second, which took a third of the machine.)
const SPACING: u32 = 8;
/// Of those who are refused nobody is told to wait for longer than all places are taken so many times.
const MOST_TURNS: u32 = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every place is taken.
    #[error("all {places} places are taken")]
    Full {
        /// How many there are.
        places: usize,
        /// When what is under way now, and those who were refused before, will have been answered, at the measured rates; never 0.
        retry_after: Duration,
    },
    /// More images at once than there are places at all.
    #[error("{wanted} images are more than the {places} places there are")]
    TooMany {
        /// Images in the request.
        wanted: usize,
        /// How many places there are.
        places: usize,
    },
    /// The deadline passed before the model's turn came.
    #[error("the deadline passed before the answer was ready")]
    Late,
    /// The engine is closed.
    #[error("the engine is closed")]
    Closed,
    /// The model cannot be evaluated. The text is for the log.
    #[error("the model failed: {0}")]
    Failed(String),
}

/// How an engine is set up.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Images that may be under way at once, at least 1.
    pub places: usize,
    /// Images evaluated together, at most.
    pub batch: usize,
}

/// One image that may be under way. Dropping it makes room for another; a clone is the same place, for an image that is evaluated
/// more than once.
#[derive(Debug, Clone)]
pub struct Place {
    /// Held, never looked at.
    #[allow(dead_code, reason = "dropping it is its use")]
    permit: Arc<OwnedSemaphorePermit>,
}

/// One image to be evaluated.
#[derive(Debug)]
pub struct Request {
    /// The model, as [`Models`](super::Models) gave it.
    pub served: Arc<Served>,
    /// The image, as the model takes it.
    pub input: Input,
    /// What is wanted beyond the probabilities. With masks in `each` the image is evaluated once with each of them, as one batch.
    pub probe: Probe,
    /// After this nobody waits for the answer.
    pub deadline: Option<Instant>,
    /// The image's place; none for the engine's own canary, which waits behind nobody.
    pub place: Option<Place>,
}

/// What became of one image.
#[derive(Debug, Clone)]
pub struct Reply {
    /// One a class, in class order; where the probe has masks in `each`, those of each of them in turn.
    pub probabilities: Vec<f32>,
    /// What the probe asked for, in its order.
    pub taps: Vec<Tap>,
    /// Share of the test images that looked stranger to the model; none where it cannot tell.
    pub familiarity: Option<f32>,
    /// From submission to the start of the evaluation.
    pub queued: Duration,
    /// Time the batch took.
    pub inference: Duration,
    /// Images that were in it.
    pub batch: usize,
}

/// What will have become of one image.
pub(super) type Answer = oneshot::Receiver<Result<Reply, Error>>;

/// Handle of the model threads.
#[derive(Debug)]
pub struct Engine {
    places: Arc<Semaphore>,
    capacity: usize,
    cores: usize,
    load: Arc<Load>,
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Callers that are evaluating themselves.
    callers: AtomicUsize,
    /// Images since two were under way at once.
    lone: AtomicUsize,
    /// Of images that are about to be decoded and evaluated.
    turns: Semaphore,
    promises: Promises,
}

impl Engine {
    /// Starts the model threads: as many as there are cores.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        Self::with_threads(settings, cores())
    }

    /// The same, with so many model threads.
    fn with_threads(settings: Settings, threads: usize) -> std::io::Result<Self> {
        let (cores, capacity) = (cores(), settings.places);
        let (load, queue) = (Arc::new(Load::new(cores)), Arc::new(Queue::new(threads)));
        let engine = Self {
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
            cores,
            load: Arc::clone(&load),
            queue: Arc::clone(&queue),
            threads: Mutex::default(),
            callers: AtomicUsize::new(0),
            lone: AtomicUsize::new(0),
            turns: Semaphore::new(cores * TURNS),
            promises: Promises::new(),
        };
        for thread in 0..queue.threads() {
            let worker = Worker { queue: Arc::clone(&queue), batch: settings.batch, load: Arc::clone(&load) };
            match std::thread::Builder::new().name(format!("model-{thread}")).spawn(move || worker.run()) {
                Ok(thread) => engine.threads().push(thread),
                Err(fault) => {
                    engine.close();
                    return Err(fault);
                }
            }
        }
        Ok(engine)
    }

    /// With one model thread: a card evaluates one batch after another, and several threads would share out among them what fills it.
    /// (Measured on an H200 with 16 cores at 32 connections: 27,800 requests/s by one thread, 4,300 by sixteen.)
    pub fn one_thread(settings: Settings) -> std::io::Result<Self> {
        Self::with_threads(settings, 1)
    }

    /// Cores that this process may use.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Takes places for `count` images: all of them or none.
    pub fn admit(&self, count: usize) -> Result<Vec<Place>, Error> {
        if count > self.capacity {
            return Err(Error::TooMany { wanted: count, places: self.capacity });
        }
        let mut permits = Arc::clone(&self.places).try_acquire_many_owned(count as u32).map_err(|_| self.full())?;
        // `permits` holds exactly `count`, so splitting off one `count` times never fails.
        Ok(std::iter::repeat_with(|| permits.split(1))
            .take(count)
            .flatten()
            .map(|permit| Place { permit: Arc::new(permit) })
            .collect())
    }

    /// Has an image wait for its turn, in the order of admission, while others' requests are read: those who have sent an image soon
    /// have a place, or hear that there is none, so that what waits is known and bounded. At once where callers come one by one.
    pub async fn turn(&self) {
        if self.lone.load(Ordering::Relaxed) < QUIET {
            // Never closed. Whoever has it lets all that can be read pass by, and gives it on.
            let _turn = self.turns.acquire().await;
            tokio::task::yield_now().await;
        }
    }

    /// Images under way.
    pub fn under_way(&self) -> usize {
        self.capacity - self.places.available_permits()
    }

    /// Images that wait for a model thread.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Model threads and evaluators that ended in a panic, each of which another has replaced.
    pub fn replaced(&self) -> u64 {
        self.load.replaced()
    }

    /// Returns once no image is under way. Whoever asks for a place meanwhile is refused.
    pub async fn idle(&self) {
        // The semaphore is fair, and never closed: this waits in front of every later caller.
        drop(self.places.acquire_many(self.capacity as u32).await);
    }

    /// The refusal that a caller gets when nothing is free.
    pub fn full(&self) -> Error {
        let (free, each) = (self.load.time_for(self.under_way()), self.load.time_for_one().saturating_mul(SPACING));
        let retry_after = self.promises.next(free, each, free.saturating_mul(MOST_TURNS));
        Error::Full { places: self.capacity, retry_after }
    }

    /// One image was decoded, which took a thread so long: what is under way and not decoded yet will take as long.
    pub fn decoded(&self, took: Duration) {
        self.load.decoding.measured(1, took);
    }

    /// Whether a batch is being evaluated that can still be expected to end.
    pub(super) fn at_work(&self) -> bool {
        self.load.at_work()
    }

    /// Evaluates one image: here and now where that is best, else on a model thread when its turn has come. Dropping the returned
    /// future takes it out of the queue again.
    pub async fn evaluate(&self, request: Request) -> Result<Reply, Error> {
        if self.is_best_here(&request) {
            let _caller = Caller::of(&self.callers);
            let hands = if self.is_quiet() { request.served.hands_at_hand() } else { Hands::Own };
            return serve_here(&request, hands, &self.load);
        }
        // Every job is answered, or this engine is at fault.
        self.submit(request).await.unwrap_or_else(|_| Err(Error::Failed("the model thread lost an image".into())))
    }

    /// Whether callers have come one by one for a while: then other threads have nothing better to do than to help.
    fn is_quiet(&self) -> bool {
        if self.under_way() > 1 {
            self.lone.store(0, Ordering::Relaxed);
            return false;
        }
        self.lone.fetch_add(1, Ordering::Relaxed) >= QUIET
    }

    /// Whether the caller's thread is to evaluate the image.
    fn is_best_here(&self, request: &Request) -> bool {
        let pace = request.served.pace();
        if !pace.brief || !request.probe.is_empty() || request.input.dimensions() != request.served.dimensions() {
            return false;
        }
        let (open, idle) = self.queue.stands();
        open && (!pace.better_together || idle && self.callers.load(Ordering::Relaxed) == 0)
    }

    /// Queues one image. Dropping what is returned takes it out of the queue again.
    pub(super) fn submit(&self, request: Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        let share = request.place.is_some().then(|| self.load.submit(&request.served, request.passes()));
        let job = Job { request, queued: Instant::now(), reply, share };
        let (wanted, given) = (job.request.served.dimensions(), job.request.input.dimensions());
        if given != wanted {
            // Alone: in a batch it would fail those beside it.
            let reason = format!("an image of {given:?} was decoded for a model that takes {wanted:?}");
            job.answer(Err(Error::Failed(reason)));
        } else if let Some(job) = self.queue.push(job) {
            job.answer(Err(Error::Closed));
        }
        answer
    }

    /// Lets the model threads finish what waits, then ends them. Blocks.
    pub fn close(&self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a model thread ended in a panic");
            }
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that evaluates itself, until it is dropped.
struct Caller<'a>(&'a AtomicUsize);

impl<'a> Caller<'a> {
    fn of(callers: &'a AtomicUsize) -> Self {
        callers.fetch_add(1, Ordering::Relaxed);
        Self(callers)
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_all_at_once_or_not_at_all() {
        let engine = Engine::start(Settings { places: 3, batch: 2 }).unwrap();
        let two = engine.admit(2).unwrap();
        assert_eq!((two.len(), engine.under_way()), (2, 2));
        assert!(matches!(engine.admit(2), Err(Error::Full { places: 3, .. })));
        assert!(matches!(engine.admit(4), Err(Error::TooMany { wanted: 4, places: 3 })));
        assert_eq!(engine.under_way(), 2, "a refusal keeps nothing");
        drop(two);
        assert_eq!(engine.admit(3).unwrap().len(), 3);
        engine.close();
    }
}
