//! A model that answers: placed on the device, warm, and known to work since its own canary image was answered.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Device;

use super::batch::Hands;
use super::canary;
use super::catalog::Known;
use super::load::Rate;
use super::pace::Pace;
use crate::network::{self, Evaluator, LayerShape, Model, Probe};
use crate::picture::Dimensions;

/// A model that answers requests.
pub struct Served {
    /// The name it is asked for by: its file's.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The model.
    pub model: Model,
    /// The file it was read from.
    pub(super) known: Arc<Known>,
    /// What an image takes.
    pub(super) rate: Rate,
    /// The reference's answer to the canary image.
    pub(super) canary: Vec<f32>,
    device: Device,
    /// On all threads. None after a failure, which may have left it half-way: the next batch makes a new one.
    whole: Mutex<Option<Hand>>,
    /// On one thread each, where the device lets several be used at once.
    alone: Option<Alone>,
    pace: Pace,
    born: Instant,
    /// When a caller's image was last answered, in nanoseconds from `born`; 0 is never.
    answered: AtomicU64,
}

/// What a batch is evaluated with.
pub(super) struct Hand {
    pub(super) evaluator: Evaluator,
    /// Normalised images of a batch; kept, so that a steady load allocates nothing.
    pub(super) images: Vec<f32>,
}

/// Hands for one thread each: as many as were ever needed at once.
struct Alone {
    /// What others are made from.
    first: Evaluator,
    free: Mutex<Vec<Hand>>,
}

/// Why a batch was not evaluated.
#[derive(Debug)]
pub(super) struct Fault {
    /// For the log.
    pub(super) reason: String,
    /// Whether the evaluator was lost over it.
    pub(super) panicked: bool,
}

impl Served {
    /// Places `model` on `device`, warms it, and has it answer its canary image. Blocks, for as long as a few images take.
    ///
    /// # Errors
    /// Why it cannot answer, for the log.
    pub(super) fn prepare(known: Arc<Known>, model: Model, device: &Device) -> Result<Self, String> {
        let mut served = Self {
            name: known.key.name.to_string(),
            version: known.key.version,
            model,
            known,
            rate: Rate::default(),
            canary: Vec::new(),
            device: device.clone(),
            whole: Mutex::new(None),
            alone: None,
            pace: Pace::default(),
            born: Instant::now(),
            answered: AtomicU64::new(0),
        };
        let image = canary::input(&served.model).map_err(|e| e.to_string())?;
        let sing =
            |served: &Self| served.with(Hands::All, |hand| Ok(hand.evaluator.evaluate(&image, &Probe::default())?.probabilities));
        // The first touches all memory for the first time; the second takes as long as those to come.
        sing(&served)?;
        let started = Instant::now();
        let answer = sing(&served)?;
        served.rate.measured(1, started.elapsed());
        canary::distribution(&answer, served.model.metadata().classes.len())?;
        served.canary = Evaluator::reference(&served.model, &image).map_err(|fault| format!("{fault}: {fault:?}"))?;
        if !canary::agree(&answer, &served.canary) {
            return Err(format!("its canary image gets {answer:?}, and {:?} by the reference", served.canary));
        }
        served.alone = served.with(Hands::All, |hand| Ok(hand.evaluator.alone()))?.map(Alone::new);
        if served.alone.is_some() {
            served.pace = Pace::measure(|images| {
                let images = image.repeat(images);
                served.with(Hands::Own, |hand| hand.evaluator.evaluate(&images, &Probe::default()).map(drop))
            })?;
        }
        Ok(served)
    }

    /// How its images are evaluated best.
    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// All threads, if nobody has them now.
    pub(super) fn hands_at_hand(&self) -> Hands {
        if self.whole.try_lock().is_ok() { Hands::All } else { Hands::Own }
    }

    /// Does `work` with what a batch is evaluated with: with all threads' alone, or with one thread's beside others. A panic is an
    /// error like any other.
    pub(super) fn with<T>(&self, hands: Hands, work: impl FnOnce(&mut Hand) -> Result<T, network::Error>) -> Result<T, Fault> {
        match (hands, &self.alone) {
            (Hands::Own, Some(alone)) => {
                let (value, hand) = attempt(|| alone.hand(), work)?;
                alone.free().push(hand);
                Ok(value)
            }
            (Hands::All, _) | (Hands::Own, None) => {
                let mut place = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
                let kept = place.take();
                let new = || Ok(Hand::of(Evaluator::new(&self.model, &self.device)?));
                let (value, hand) = attempt(|| kept.map_or_else(new, Ok), work)?;
                *place = Some(hand);
                Ok(value)
            }
        }
    }

    /// Of the image it takes.
    pub fn dimensions(&self) -> Dimensions {
        self.model.metadata().preprocessing.target().dimensions()
    }

    /// About what it takes in memory: its parameters as they are in the file and as they are computed with (a filter's
    /// transform is larger than the filter), and the largest layer's values of a few images.
    pub(super) fn bytes(&self) -> u64 {
        let layers = self.model.layers();
        let parameters: usize = layers.iter().map(LayerShape::parameter_count).sum();
        let largest = layers.iter().map(|layer| layer.output.elements()).max().unwrap_or(0);
        (4 * (3 * parameters + 32 * largest)) as u64
    }

    /// A caller's image was answered now.
    pub(super) fn answers(&self) {
        self.answered.store((self.born.elapsed().as_nanos() as u64).max(1), Ordering::Relaxed);
    }

    /// As it was before anybody had an answer.
    #[cfg(test)]
    pub(super) fn never_answered(&self) {
        self.answered.store(0, Ordering::Relaxed);
    }

    /// Whether an image was answered within `time`.
    pub(super) fn answered_within(&self, time: Duration) -> bool {
        let at = self.answered.load(Ordering::Relaxed);
        at > 0 && self.born.elapsed().saturating_sub(Duration::from_nanos(at)) < time
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("name", &self.name).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Hand {
    fn of(evaluator: Evaluator) -> Self {
        Self { evaluator, images: Vec::new() }
    }
}

impl Alone {
    fn new(first: Evaluator) -> Self {
        Self { first, free: Mutex::default() }
    }

    /// One that nobody uses; a new one where all are in use.
    fn hand(&self) -> Result<Hand, network::Error> {
        let free = self.free().pop();
        let new = || self.first.alone().map(Hand::of);
        free.or_else(new).ok_or_else(|| network::Error::Network("cannot be evaluated on one thread".into()))
    }

    fn free(&self) -> MutexGuard<'_, Vec<Hand>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work` with a hand. Where it ends early the hand is thrown away; everything else is plain data.
fn attempt<T>(
    hand: impl FnOnce() -> Result<Hand, network::Error>,
    work: impl FnOnce(&mut Hand) -> Result<T, network::Error>,
) -> Result<(T, Hand), Fault> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut hand = hand()?;
        Ok((work(&mut hand)?, hand))
    }));
    match outcome {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(fault)) => {
            let fault: network::Error = fault;
            Err(Fault { reason: format!("{fault}: {fault:?}"), panicked: false })
        }
        Err(panic) => Err(Fault { reason: format!("it panicked: {}", panic_text(panic.as_ref())), panicked: true }),
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.reason
    }
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
