//! A model that answers: placed on the device, warm, and known to work since its own canary image was answered.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Device;

use super::canary;
use super::catalog::Known;
use super::load::Rate;
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
    /// Its answer to the canary image when it was loaded.
    pub(super) canary: Vec<f32>,
    device: Device,
    /// None after a failure, which may have left it half-way: the next batch makes a new one.
    evaluator: Mutex<Option<Evaluator>>,
    born: Instant,
    /// When a caller's image was last answered, in nanoseconds from `born`; 0 is never.
    answered: AtomicU64,
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
            evaluator: Mutex::new(None),
            born: Instant::now(),
            answered: AtomicU64::new(0),
        };
        let image = canary::input(&served.model).map_err(|e| e.to_string())?;
        let sing = || served.with(|evaluator| Ok(evaluator.evaluate(&image, &Probe::default())?.probabilities));
        // The first touches all memory for the first time; the second takes as long as those to come.
        sing()?;
        let started = Instant::now();
        let answer = sing()?;
        served.rate.measured(1, started.elapsed());
        canary::distribution(&answer, served.model.metadata().classes.len())?;
        served.canary = answer;
        Ok(served)
    }

    /// Does `work` with the evaluator, alone. A panic is an error like any other.
    ///
    /// # Errors
    /// What went wrong, for the log.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Evaluator) -> Result<T, network::Error>) -> Result<T, String> {
        let mut place = self.evaluator.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = place.take();
        // Where it ends early the evaluator is thrown away; everything else is plain data.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut evaluator = kept.map_or_else(|| Evaluator::new(&self.model, &self.device), Ok)?;
            Ok((work(&mut evaluator)?, evaluator))
        }));
        match outcome {
            Ok(Ok((value, evaluator))) => {
                *place = Some(evaluator);
                Ok(value)
            }
            Ok(Err(fault)) => {
                let fault: network::Error = fault;
                Err(format!("{fault}: {fault:?}"))
            }
            Err(panic) => Err(format!("it panicked: {}", panic_text(panic.as_ref()))),
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

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
