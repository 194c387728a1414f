//! The way to the model thread: a fixed number of places, a queue, and a reply for each image.
//!
//! A place is one image somewhere between the first byte of its request and its answer. Whoever holds one may submit, so the
//! queue is as long as there are places and never has to refuse what it let in. Without a place the answer comes at once:
//! full, and when to try again, computed from what is under way and the measured rates of decoding and of each model.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::input::Input;
use super::load::Load;
use super::served::Served;
use super::worker::{self, Job};
use crate::network::{Probe, Tap};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every place is taken.
    #[error("all {places} places are taken")]
    Full {
        /// How many there are.
        places: usize,
        /// When what is under way now will have been answered, at the measured rates; never 0.
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

/// One image that may be under way. Dropping it makes room for another.
#[derive(Debug)]
pub struct Place {
    /// Held, never looked at.
    #[allow(dead_code, reason = "dropping it is its use")]
    permit: OwnedSemaphorePermit,
}

/// One image to be evaluated.
#[derive(Debug)]
pub struct Request {
    /// The model, as [`Models`](super::Models) gave it.
    pub served: Arc<Served>,
    /// The image, as the model takes it.
    pub input: Input,
    /// What is wanted beyond the probabilities.
    pub probe: Probe,
    /// After this nobody waits for the answer.
    pub deadline: Option<Instant>,
    /// The image's place; none for the engine's own canary, which waits behind nobody.
    pub place: Option<Place>,
}

/// What became of one image.
#[derive(Debug, Clone)]
pub struct Reply {
    /// One a class, in class order.
    pub probabilities: Vec<f32>,
    /// What the probe asked for, in its order.
    pub taps: Vec<Tap>,
    /// From submission to the start of the batch.
    pub queued: Duration,
    /// Time the batch took.
    pub inference: Duration,
    /// Images that were in it.
    pub batch: usize,
}

/// What will have become of one image.
pub(super) type Answer = oneshot::Receiver<Result<Reply, Error>>;

/// Handle of the model thread.
#[derive(Debug)]
pub struct Engine {
    places: Arc<Semaphore>,
    capacity: usize,
    load: Arc<Load>,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the model thread.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let load = Arc::new(Load::new(std::thread::available_parallelism().map_or(1, usize::from)));
        let (queue, jobs) = mpsc::channel();
        let (places, capacity) = (Arc::new(Semaphore::new(settings.places)), settings.places);
        let worker = worker::Worker::new(settings.batch, Arc::clone(&load));
        let thread = std::thread::Builder::new().name("model".into()).spawn(move || worker.run(&jobs))?;
        Ok(Self { places, capacity, load, queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Takes places for `count` images: all of them or none.
    pub fn admit(&self, count: usize) -> Result<Vec<Place>, Error> {
        if count > self.capacity {
            return Err(Error::TooMany { wanted: count, places: self.capacity });
        }
        let mut permits = Arc::clone(&self.places).try_acquire_many_owned(count as u32).map_err(|_| self.full())?;
        // `permits` holds exactly `count`, so splitting off one `count` times never fails.
        Ok(std::iter::repeat_with(|| permits.split(1)).take(count).flatten().map(|permit| Place { permit }).collect())
    }

    /// Images under way.
    pub fn under_way(&self) -> usize {
        self.capacity - self.places.available_permits()
    }

    /// Returns once no image is under way. Whoever asks for a place meanwhile is refused.
    pub async fn idle(&self) {
        // The semaphore is fair, and never closed: this waits in front of every later caller.
        drop(self.places.acquire_many(self.capacity as u32).await);
    }

    /// The refusal that a caller gets when nothing is free.
    pub fn full(&self) -> Error {
        Error::Full { places: self.capacity, retry_after: self.load.time_for(self.under_way()) }
    }

    /// One image was decoded, which took a thread so long: what is under way and not decoded yet will take as long.
    pub fn decoded(&self, took: Duration) {
        self.load.decoding.measured(1, took);
    }

    /// Whether a batch is being evaluated that can still be expected to end.
    pub(super) fn at_work(&self) -> bool {
        self.load.at_work()
    }

    /// Queues one image. Dropping the returned future's caller takes it out of the queue again.
    pub async fn evaluate(&self, request: Request) -> Result<Reply, Error> {
        self.submit(request).await.unwrap_or_else(|_| match self.queue() {
            // Every job is answered, or this engine is at fault.
            Some(_) => Err(Error::Failed("the model thread lost an image".into())),
            None => Err(Error::Closed),
        })
    }

    /// Queues one image. Dropping what is returned takes it out of the queue again.
    pub(super) fn submit(&self, request: Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        let share = request.place.is_some().then(|| self.load.submit(&request.served));
        let job = Job { request, queued: Instant::now(), reply, share };
        let (wanted, given) = (job.request.served.dimensions(), job.request.input.dimensions());
        if given != wanted {
            // Alone: in a batch it would fail those beside it.
            let reason = format!("an image of {given:?} was decoded for a model that takes {wanted:?}");
            job.answer(Err(Error::Failed(reason)));
        } else if let Some(queue) = self.queue() {
            // Where the thread has ended the job comes back, and with it the answer is dropped.
            let _ = queue.send(job);
        } else {
            job.answer(Err(Error::Closed));
        }
        answer
    }

    fn queue(&self) -> Option<mpsc::Sender<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the model thread finish what waits, then ends it. Blocks.
    pub fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the model thread ended in a panic");
        }
    }
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
