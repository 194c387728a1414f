//! One pass over the training set.

use std::ops::ControlFlow;
use std::time::Instant;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use super::batches::Source;
use super::error::Error;
use super::event::{Event, StepRecord};
use super::recipe::Recipe;
use super::trainer::OnEvent;
use super::updates::Updates;
use crate::network::{self, Batch, Learner, Rules, StepSettings};
use crate::optim::{Ema, Lookahead};

/// Steps between two looks of the average: a look reads all parameters, and five steps' decay at once comes to the same.
const AVERAGE_EVERY: u64 = 5;

/// What is being trained.
pub(super) struct Trainee {
    pub(super) learner: Box<dyn Learner>,
    /// Of its parameters, where the recipe averages.
    pub(super) average: Option<Ema>,
    /// Slow parameters, where the recipe has them.
    pub(super) slow: Option<Lookahead>,
    /// What moves its parameters.
    pub(super) updates: Updates,
}

/// A pass, summed up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trained {
    images: usize,
    loss: f64,
    correct: usize,
    seconds: f64,
    /// Of the last step.
    pub(super) learning_rate: f64,
    /// Of the last step, where it can be told.
    gradient_norm: Option<f64>,
}

impl Trained {
    /// Mean loss of an image.
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.images as f64
    }

    /// Share of the images that were right.
    pub(super) fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }

    /// Speed.
    pub(super) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

impl Trainee {
    /// Trains on every image of `source` once, and gives what came of it and the last step's report; none where `on_event`, which
    /// sees every step, ended it.
    pub(super) fn pass(&mut self, source: Source<'_>, on_event: &mut OnEvent<'_>) -> Result<Option<(Trained, StepRecord)>, Error> {
        let Source { recipe, epoch, .. } = source;
        let steps = source.images.len().div_ceil(recipe.batch_size);
        let before = u64::from(epoch - 1) * steps as u64;
        let total = u64::from(recipe.epochs) * steps as u64;
        let started = Instant::now();
        let mut trained = Trained::default();
        std::thread::scope(|scope| {
            let batches = source.start(scope)?;
            let mut step = 0;
            while let Some(batch) = batches.next() {
                trained.learning_rate = self.updates.learning_rate(before + step);
                let settings = settings(recipe, Rules::Each(self.updates.at(before + step)), (epoch, step));
                let given = Batch { images: &batch.images, labels: &batch.labels };
                let report = self.learner.step_mixed(given, batch.mix(), &settings)?;
                step += 1;
                if !report.loss.is_finite() || !report.finite {
                    let what = if report.loss.is_finite() { "gradient" } else { "loss" };
                    return Err(Error::diverged(recipe, what, (epoch, step)));
                }
                if recipe.lookahead.meets(before + step) {
                    let share = recipe.lookahead.share(before + step, total);
                    self.meet(share).map_err(Error::if_diverged(recipe, epoch, step))?;
                }
                if self.average.is_some() && (before + step).is_multiple_of(AVERAGE_EVERY) {
                    self.look(before + step).map_err(Error::if_diverged(recipe, epoch, step))?;
                }
                trained.images += batch.labels.len();
                trained.loss += f64::from(report.loss) * batch.labels.len() as f64;
                trained.correct += report.correct;
                trained.gradient_norm = Some(report.gradient_norm).filter(|norm| norm.is_finite());
                trained.seconds = started.elapsed().as_secs_f64();
                batches.reuse(batch);
                if on_event(&Event::Step(trained.record(recipe, epoch, (step, steps)))) == ControlFlow::Break(()) {
                    return Ok(None);
                }
            }
            Ok(Some((trained, trained.record(recipe, epoch, (step, steps)))))
        })
    }

    /// Brings slow and trained parameters together.
    fn meet(&mut self, share: f64) -> Result<(), network::Error> {
        if let Some(slow) = &mut self.slow {
            let mut weights = self.learner.weights()?;
            slow.update(weights.iter_mut().map(|parameter| parameter.values.as_mut_slice()), share);
            self.learner.set_weights(&weights)?;
        }
        Ok(())
    }

    /// Takes the parameters after `step` steps of the run into the average.
    fn look(&mut self, step: u64) -> Result<(), network::Error> {
        if let Some(average) = &mut self.average {
            let weights = self.learner.weights()?;
            average.update(weights.iter().map(|parameter| parameter.values.as_slice()), step, AVERAGE_EVERY);
        }
        Ok(())
    }
}

impl Trained {
    fn record(&self, recipe: &Recipe, epoch: u32, (step, steps): (u64, usize)) -> StepRecord {
        StepRecord {
            epoch,
            epochs: recipe.epochs,
            step: step as usize,
            steps,
            train_loss: self.loss(),
            train_accuracy: self.accuracy(),
            learning_rate: self.learning_rate,
            gradient_norm: self.gradient_norm,
            images_per_second: self.images_per_second(),
        }
    }
}

/// What is particular to the step numbered `step`, from 0, of `epoch`.
fn settings<'a>(recipe: &Recipe, rules: Rules<'a>, (epoch, step): (u32, u64)) -> StepSettings<'a> {
    let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
    rng.set_stream(u64::from(epoch) << 32 | step);
    let label_smoothing = recipe.label_smoothing as f32;
    StepSettings { rules, label_smoothing, reduction: recipe.reduction.into(), seed: rng.next_u64() }
}
