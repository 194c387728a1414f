//! A run at work: what it has in memory between epochs, and how an epoch becomes files.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::Device;

use super::batches::Source;
use super::epoch::Trainee;
use super::error::Error;
use super::event::{DataStage, EpochRecord, Event, Outcome, Validation};
use super::images::Read;
use super::recipe::Recipe;
use super::start::{self, Seen};
use super::state::{Head, State};
use super::trainer::{Models, OnEvent, Run};
use super::updates::Updates;
use super::{choice, images, learner, results, room};
use crate::checkpoint::{self, Dtype};
use crate::dataset::{Dataset, TestSet};
use crate::evaluation::{self, familiarity::Pictures, temperature};
use crate::kernels::Tier;
use crate::network::learner::check_batch_size;
use crate::network::model::{FORMAT, created_by};
use crate::network::{Evaluator, Measured, Metadata, Model, Parameter, Weights, infer};
use crate::optim::{Ema, Lookahead};

/// Told how many images are measured; ends the measurement by breaking.
type Progress<'a> = &'a mut dyn FnMut(usize) -> ControlFlow<()>;

/// A run at work.
pub(super) struct Session<'a> {
    run: &'a Run,
    dataset: Dataset,
    /// What the best epoch is chosen by, where one is.
    validation: Option<TestSet>,
    /// What that epoch gave.
    best: Option<Weights>,
    /// What the images are like; looked at when a model is first written.
    pictures: OnceCell<Pictures>,
    device: Device,
    trainee: Trainee,
    head: Head,
    /// When this process began.
    started: Instant,
    /// What earlier processes spent on the run.
    spent_before: f64,
}

impl<'a> Session<'a> {
    /// Reads the images and places the network, at its beginning or where the run's state has it; none where `on_event` ended it.
    /// `fitted` says what was done for that.
    pub(super) fn open(run: &'a Run, fitted: Vec<String>, on_event: &mut OnEvent<'_>) -> Result<Option<Self>, Error> {
        let started = Instant::now();
        let layers = infer(&run.architecture)?;
        let prepared = run.recipe.prepare(&run.architecture)?;
        let device = run.device.open()?;
        if on_event(&Event::Data(DataStage::Reading)) == ControlFlow::Break(()) {
            return Ok(None);
        }
        let Some(Read { dataset, validation, data }) = images::read(run, on_event)? else { return Ok(None) };
        images::check_classes(&dataset, &layers)?;
        let (images, batch) = (dataset.train.len(), run.recipe.batch_size);
        // An epoch's last batch is what is left.
        for images in [batch.min(images), images % batch].into_iter().filter(|&images| images > 0) {
            check_batch_size(&layers, images)?;
        }
        if device.is_cpu() {
            let needs = room::Needs::of(&run.architecture, &layers, &run.recipe, images as u64);
            needs.after_reading().check_memory(room::memory())?;
        }
        let classes = dataset.classes.len();
        let mut notes: Vec<String> = fitted.into_iter().chain(dataset.notes.iter().cloned()).chain(dataset.census()).collect();
        let mut head = Head::new(run.architecture.clone(), run.recipe.clone(), data, arithmetic(&device));
        let mut kept = if run.resume { State::load(&run.output.state, &head, &layers)? } else { None };
        notes.extend(kept.as_mut().and_then(|state| state.head.go_on_with(arithmetic(&device))));
        let (train_images, test_images) = (dataset.train.len(), dataset.test.len());
        let ready = DataStage::Ready { train_images, test_images, classes, notes };
        if on_event(&Event::Data(ready)) == ControlFlow::Break(()) {
            return Ok(None);
        }
        let start = |weights: &Weights| learner::create(&prepared, weights, &device);
        let updates = Updates::new(&run.recipe, &layers, images.div_ceil(batch) as u64);
        let best = kept.as_mut().and_then(|state| state.best.take());
        let trainee = if let Some(state) = kept {
            head = state.head;
            let mut learner = start(&state.weights)?;
            learner.restore_momentum(state.momentum)?;
            learner.restore_squares(state.squares)?;
            let average = state.average.map(|average| ema(&run.recipe, &average));
            Trainee { learner, average, slow: state.slow.map(|slow| Lookahead::new(values(&slow))), updates }
        } else {
            let seen = Seen { images: &dataset.train, preprocessing: &head.data.preprocessing };
            let weights = start::weights(&run.recipe, &layers, seen)?;
            let average = (run.recipe.ema_decay > 0.0).then(|| ema(&run.recipe, &weights));
            let slow = (run.recipe.lookahead.every > 0).then(|| Lookahead::new(values(&weights)));
            Trainee { learner: start(&weights)?, average, slow, updates }
        };
        let spent_before = head.records.last().map_or(0.0, |record| record.elapsed_seconds);
        Ok(Some(Self { run, dataset, validation, best, pictures: OnceCell::new(), device, trainee, head, started, spent_before }))
    }

    pub(super) fn epochs_over(&self) -> u32 {
        self.head.records.len() as u32
    }

    /// Whether the run ends here, whatever epochs are left: those since the best were as many as its recipe waits for.
    pub(super) fn waited_enough(&self) -> bool {
        choice::waited_enough(&self.run.recipe, &self.head.records)
    }

    /// Trains an epoch, measures it and keeps it; none where `on_event` ended it.
    pub(super) fn epoch(&mut self, epoch: u32, on_event: &mut OnEvent<'_>) -> Result<Option<EpochRecord>, Error> {
        let source =
            Source { images: &self.dataset.train, preprocessing: &self.head.data.preprocessing, recipe: &self.run.recipe, epoch };
        let Some((trained, last)) = self.trainee.pass(source, on_event)? else { return Ok(None) };
        // All steps are over, and will be for as long as this takes: to say so again is to ask whether to go on.
        let mut told = |_| on_event(&Event::Step(last.clone()));
        // The last step's update may have left the finite numbers, and no loss has told it yet.
        let steps = self.dataset.train.len().div_ceil(self.run.recipe.batch_size);
        self.trainee.learner.weights().map_err(Error::if_diverged(&self.run.recipe, epoch, steps as u64))?;
        let Some((model, validation)) = self.finished(&self.weights()?, &mut told)? else { return Ok(None) };
        let Some(test) = self.measure(&model, &self.dataset.test, &mut told)? else { return Ok(None) };
        let mut record = EpochRecord {
            epoch,
            epochs: self.run.recipe.epochs,
            train_loss: trained.loss(),
            train_accuracy: trained.accuracy(),
            validation,
            test_loss: test.loss,
            test_accuracy: test.accuracy,
            test_images: test.images,
            learning_rate: trained.learning_rate,
            images_per_second: trained.images_per_second(),
            elapsed_seconds: self.elapsed(),
        };
        self.head.records.push(record.clone());
        let best = choice::restored(&self.run.recipe, &self.head.records).map(|best| best.epoch);
        for record in self.head.records.last_mut().into_iter().chain([&mut record]) {
            record.validation.iter_mut().for_each(|set| set.best_epoch = best);
        }
        if best == Some(epoch) {
            self.best = Some(self.weights()?);
        }
        // The state comes last: with it the epoch counts, and what was written before it is written again otherwise.
        if let Models::Every(folder) = &self.run.output.models {
            let model = test.told_by(model).with_familiarity(self.pictures()?.familiarity(&test))?;
            checkpoint::save(&folder.join(format!("{epoch}.safetensors")), &model)?;
            if let Some(preferred) = choice::preferred(&self.run.recipe, &self.head.records) {
                checkpoint::preferred::write(folder, &preferred)?;
            }
            results::keep(&self.run.output.state, &self.head.data, &self.dataset.test, epoch, test)?;
        }
        self.state()?.save(&self.run.output.state)?;
        Ok(Some(record))
    }

    /// Writes the model, where it is not written yet. What it says of itself is measured on the numbers that are stored; nobody is
    /// asked meanwhile: the run is over.
    pub(super) fn finish(self) -> Result<Outcome, Error> {
        let (recipe, records) = (&self.run.recipe, &self.head.records);
        let chosen = choice::chosen(recipe, records).ok_or_else(|| Error::Mismatch("the run has no epochs".into()))?;
        let mut outcome = Outcome {
            model: self.run.output.name.clone(),
            epochs: self.epochs_over(),
            best_epoch: choice::restored(recipe, records).map(|best| best.epoch),
            note: choice::note(recipe, records),
            test_accuracy: chosen.test_accuracy,
            test_loss: chosen.test_loss,
            test_images: chosen.test_images,
            elapsed_seconds: self.elapsed(),
        };
        if let Models::Last { path, dtype } = &self.run.output.models {
            let weights = self.best.clone().map_or_else(|| self.weights(), Ok)?;
            let mut to_the_end = |_| ControlFlow::Continue(());
            // The figures of the validation images are the epoch's, and are known.
            let model = if recipe.calibrate {
                self.finished(&weights, &mut to_the_end)?.map(|(model, _)| model)
            } else {
                Some(self.model(&weights)?)
            };
            let stored = model.map(|model| if *dtype == Dtype::F32 { Ok(model) } else { checkpoint::rounded(&model, *dtype) });
            let measured = match stored.transpose()? {
                Some(stored) => self.measure(&stored, &self.dataset.test, &mut to_the_end)?.map(|test| (stored, test)),
                None => None,
            };
            // Nothing broke it off.
            let (stored, test) = measured.unwrap_or_else(|| unreachable!("a measurement to the end"));
            (outcome.test_accuracy, outcome.test_loss) = (test.accuracy, test.loss);
            let model = test.told_by(stored).with_familiarity(self.pictures()?.familiarity(&test))?;
            checkpoint::save_as(path, &model, *dtype)?;
            outcome.elapsed_seconds = self.elapsed();
        }
        Ok(outcome)
    }

    fn pictures(&self) -> Result<&Pictures, Error> {
        if let Some(pictures) = self.pictures.get() {
            return Ok(pictures);
        }
        let (dataset, preprocessing) = (&self.dataset, &self.head.data.preprocessing);
        let pictures = Pictures::of(&dataset.train, &dataset.test, preprocessing, self.run.architecture.input)?;
        Ok(self.pictures.get_or_init(|| pictures))
    }

    fn elapsed(&self) -> f64 {
        self.spent_before + self.started.elapsed().as_secs_f64()
    }

    /// The parameters as they would be used now: the average, where there is one, or the slow ones.
    fn weights(&self) -> Result<Weights, Error> {
        let weights = self.trainee.learner.weights()?;
        let (average, slow) = (self.trainee.average.as_ref().map(Ema::values), self.trainee.slow.as_ref().map(Lookahead::values));
        Ok(average.or(slow).map_or_else(|| weights.clone(), |values| with(&weights, values)))
    }

    /// The model of these parameters, of which nothing is measured.
    fn model(&self, weights: &Weights) -> Result<Model, Error> {
        let metadata = Metadata {
            format: FORMAT,
            name: self.run.output.name.clone(),
            architecture: self.run.architecture.clone(),
            preprocessing: self.head.data.preprocessing.clone(),
            classes: self.head.data.classes.clone(),
            accuracy: None,
            measured: Measured::default(),
            recipe: serde_json::to_value(&self.run.recipe).ok(),
            familiarity: None,
            created_by: created_by(),
        };
        Ok(Model::new(metadata, weights.iter().cloned().collect::<Vec<Parameter>>())?)
    }

    fn state(&self) -> Result<State, Error> {
        let learner = &self.trainee.learner;
        let (weights, momentum, squares) = (learner.weights()?, learner.momentum()?, learner.squares()?);
        let average = self.trainee.average.as_ref().map(|average| with(&weights, average.values()));
        let slow = self.trainee.slow.as_ref().map(|slow| with(&weights, slow.values()));
        Ok(State { head: self.head.clone(), weights, momentum, squares, average, slow, best: self.best.clone() })
    }
}

impl Session<'_> {
    /// The model that these parameters give, calibrated where the recipe says so, and what the validation images say of that; none
    /// where `progress` broke it off. So a figure of an epoch is one of what would be written, and training goes on from what is not.
    fn finished(&self, weights: &Weights, progress: Progress<'_>) -> Result<Option<(Model, Option<Validation>)>, Error> {
        let model = self.model(weights)?;
        let Some(images) = &self.validation else { return Ok(Some((model, None))) };
        let found = if self.run.recipe.calibrate {
            let mut evaluator = Evaluator::new(&model, &self.device)?;
            let fitted = temperature::fit(&mut evaluator, &model, images, progress)?;
            fitted.map(|(temperature, found)| Ok::<_, Error>((model.tempered(temperature)?, found))).transpose()?
        } else {
            self.measure(&model, images, progress)?.map(|found| (model, found))
        };
        let validation = |found: evaluation::Report| Validation {
            loss: found.loss,
            accuracy: found.accuracy,
            images: found.images,
            best_epoch: None,
        };
        Ok(found.map(|(model, found)| (model, Some(validation(found)))))
    }

    /// The figures of `images`; none where `progress` broke it off.
    fn measure(&self, model: &Model, images: &TestSet, progress: Progress<'_>) -> Result<Option<evaluation::Report>, Error> {
        let mut evaluator = Evaluator::new(model, &self.device)?;
        Ok(evaluation::evaluate_while(&mut evaluator, model, images, progress)?)
    }
}

/// The average, with `weights` as where it stands.
fn ema(recipe: &Recipe, weights: &Weights) -> Ema {
    Ema::new(recipe.ema_decay, values(weights))
}

/// Their numbers alone.
fn values(weights: &Weights) -> Vec<Vec<f32>> {
    weights.iter().map(|parameter| parameter.values.clone()).collect()
}

/// Parameters as `weights` with these numbers.
fn with(weights: &Weights, values: &[Vec<f32>]) -> Weights {
    let mut weights = weights.clone();
    weights.iter_mut().zip(values).for_each(|(parameter, values)| parameter.values.clone_from(values));
    weights
}

/// What computes on `device`: each rounds in its own way.
fn arithmetic(device: &Device) -> String {
    if device.is_cpu() { Tier::detect().to_string() } else { "cuda".into() }
}
