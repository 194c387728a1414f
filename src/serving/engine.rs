//! The way to the model thread: a fixed number of places, a queue, and a reply for each image.
//!
//! A place is one image somewhere between the first byte of its request and its answer. Whoever holds one may submit, so the
//! queue is as long as there are places and never has to refuse what it let in. Without a place the answer comes at once:
//! full, and when to try again, computed from the measured speed of the model.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candle_core::Device;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::registry::Served;
use super::worker::{self, Job};
use crate::network::{Probe, Tap};
use crate::picture::Pixels;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every place is taken.
    #[error("all {places} places are taken")]
    Full {
        /// How many there are.
        places: usize,
        /// When what waits now will have been evaluated, at the measured speed.
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
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where models are evaluated.
    pub device: Device,
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
    /// The model, as found in the registry.
    pub served: Arc<Served>,
    /// The image, as the model takes it.
    pub pixels: Pixels,
    /// What is wanted beyond the probabilities.
    pub probe: Probe,
    /// After this nobody waits for the answer.
    pub deadline: Option<Instant>,
    /// The image's place; none for the engine's own canary.
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
}

/// Handle of the model thread.
#[derive(Debug)]
pub struct Engine {
    places: Arc<Semaphore>,
    capacity: usize,
    speed: Arc<Speed>,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the model thread.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let speed = Arc::new(Speed::default());
        let (queue, jobs) = mpsc::channel();
        let (places, capacity) = (Arc::new(Semaphore::new(settings.places)), settings.places);
        let worker = worker::Worker::new(settings, Arc::clone(&speed));
        let thread = std::thread::Builder::new().name("model".into()).spawn(move || worker.run(&jobs))?;
        Ok(Self { places, capacity, speed, queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
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
        Error::Full { places: self.capacity, retry_after: self.speed.time_for(self.under_way()) }
    }

    /// Queues one image. Dropping the returned future's caller takes it out of the queue again.
    pub async fn evaluate(&self, request: Request) -> Result<Reply, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Job { request, queued: Instant::now(), reply };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        queue.ok_or(Error::Closed)?.send(job).map_err(|_| Error::Closed)?;
        answer.await.unwrap_or(Err(Error::Closed))
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

/// The measured time an image takes, smoothed over the last batches.
#[derive(Debug, Default)]
pub(super) struct Speed {
    nanoseconds_per_image: AtomicU64,
}

impl Speed {
    /// Takes one batch into account. Called by the model thread alone.
    pub(super) fn measured(&self, images: usize, took: Duration) {
        let newest = took.as_nanos() as u64 / images.max(1) as u64;
        let before = self.nanoseconds_per_image.load(Ordering::Relaxed);
        let smoothed = if before == 0 { newest } else { before - before / 8 + newest / 8 };
        self.nanoseconds_per_image.store(smoothed, Ordering::Relaxed);
    }

    fn time_for(&self, images: usize) -> Duration {
        Duration::from_nanos(self.nanoseconds_per_image.load(Ordering::Relaxed).saturating_mul(images as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_follows_from_the_measured_speed_and_the_queue() {
        let speed = Speed::default();
        assert_eq!(speed.time_for(10), Duration::ZERO);
        speed.measured(4, Duration::from_millis(8));
        assert_eq!(speed.time_for(10), Duration::from_millis(20));
        for _ in 0..100 {
            speed.measured(1, Duration::from_millis(10));
        }
        let settled = speed.time_for(10);
        assert!(settled > Duration::from_millis(95) && settled <= Duration::from_millis(100), "{settled:?}");
    }

    #[test]
    fn places_are_given_all_at_once_or_not_at_all() {
        let engine = Engine::start(Settings { device: Device::Cpu, places: 3, batch: 2 }).unwrap();
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
