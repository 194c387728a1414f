//! A run at work: what it has in memory between epochs, and how an epoch becomes files.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::Device;

use super::batches::Source;
use super::epoch::Trainee;
use super::error::Error;
use super::event::{DataStage, EpochRecord, Event, Outcome};
use super::learner;
use super::recipe::{Normalize, Recipe};
use super::state::{DataSummary, Head, State};
use super::trainer::{Models, OnEvent, Run};
use crate::checkpoint::{self, Dtype};
use crate::dataset::{self, Dataset};
use crate::evaluation;
use crate::network::model::{FORMAT, created_by};
use crate::network::{Accuracy, Evaluator, LayerShape, Metadata, Model, Parameter, Preprocessing, Weights, infer, init};
use crate::optim::Ema;

/// A run at work.
pub(super) struct Session<'a> {
    run: &'a Run,
    dataset: Dataset,
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
    pub(super) fn open(run: &'a Run, on_event: &mut OnEvent<'_>) -> Result<Option<Self>, Error> {
        let started = Instant::now();
        let layers = infer(&run.architecture)?;
        let prepared = run.recipe.prepare(&run.architecture)?;
        let device = run.device.open()?;
        if on_event(&Event::Data(DataStage::Reading)) == ControlFlow::Break(()) {
            return Ok(None);
        }
        let dataset = dataset::open_at(&run.data, run.recipe.seed, &Preprocessing::unit(run.architecture.input))?;
        check_classes(&dataset, &layers)?;
        let data = summary(&dataset, run);
        let ready = DataStage::Ready {
            train_images: data.train_images,
            test_images: data.test_images,
            classes: data.classes.len(),
            notes: dataset.notes.clone(),
        };
        if on_event(&Event::Data(ready)) == ControlFlow::Break(()) {
            return Ok(None);
        }
        let mut head = Head::new(run.architecture.clone(), run.recipe.clone(), data);
        let kept = if run.resume { State::load(&run.output.state, &head, &layers)? } else { None };
        let start = |weights: &Weights| learner::create(&prepared, weights, &device);
        let trainee = if let Some(state) = kept {
            head = state.head;
            let mut learner = start(&state.weights)?;
            learner.restore_momentum(state.momentum)?;
            Trainee { learner, average: state.average.map(|average| ema(&run.recipe, &average)) }
        } else {
            let weights = init::weights(&layers, run.recipe.init(), run.recipe.seed);
            let average = (run.recipe.ema_decay > 0.0).then(|| ema(&run.recipe, &weights));
            Trainee { learner: start(&weights)?, average }
        };
        let spent_before = head.records.last().map_or(0.0, |record| record.elapsed_seconds);
        Ok(Some(Self { run, dataset, device, trainee, head, started, spent_before }))
    }

    pub(super) fn epochs_over(&self) -> u32 {
        self.head.records.len() as u32
    }

    /// Trains an epoch, measures it and keeps it; none where `on_event` ended it.
    pub(super) fn epoch(&mut self, epoch: u32, on_event: &mut OnEvent<'_>) -> Result<Option<EpochRecord>, Error> {
        let source =
            Source { images: &self.dataset.train, preprocessing: &self.head.data.preprocessing, recipe: &self.run.recipe, epoch };
        let Some(trained) = self.trainee.pass(source, on_event)? else { return Ok(None) };
        let test = self.measure(epoch)?;
        let record = EpochRecord {
            epoch,
            epochs: self.run.recipe.epochs,
            train_loss: trained.loss(),
            train_accuracy: trained.accuracy(),
            test_loss: test.loss,
            test_accuracy: test.accuracy,
            test_images: test.images,
            learning_rate: trained.learning_rate,
            images_per_second: trained.images_per_second(),
            elapsed_seconds: self.elapsed(),
        };
        self.head.records.push(record.clone());
        // The state comes last: with it the epoch counts, and what was written before it is written again otherwise.
        if let Models::Every(folder) = &self.run.output.models {
            checkpoint::save(&folder.join(format!("{epoch}.safetensors")), &self.model()?)?;
        }
        self.state()?.save(&self.run.output.state)?;
        Ok(Some(record))
    }

    /// Writes the model, where it is not written yet.
    pub(super) fn finish(self) -> Result<Outcome, Error> {
        let last = self.head.records.last().ok_or_else(|| Error::Mismatch("the run has no epochs".into()))?;
        let mut outcome = Outcome {
            model: self.run.output.name.clone(),
            epochs: last.epoch,
            test_accuracy: last.test_accuracy,
            test_loss: last.test_loss,
            test_images: last.test_images,
            elapsed_seconds: self.elapsed(),
        };
        if let Models::Last { path, dtype } = &self.run.output.models {
            let mut model = self.model()?;
            if *dtype != Dtype::F32 {
                let stored = checkpoint::rounded(&model, *dtype)?;
                let test = self.test(&stored)?;
                (outcome.test_accuracy, outcome.test_loss) = (test.accuracy, test.loss);
                model = stored.with_accuracy(Accuracy { accuracy: test.accuracy, images: test.images });
            }
            checkpoint::save_as(path, &model, *dtype)?;
            outcome.elapsed_seconds = self.elapsed();
        }
        Ok(outcome)
    }

    fn elapsed(&self) -> f64 {
        self.spent_before + self.started.elapsed().as_secs_f64()
    }

    /// The parameters as they would be used now: the average, where there is one.
    fn weights(&self) -> Result<Weights, Error> {
        let mut weights = self.trainee.learner.weights()?;
        if let Some(average) = &self.trainee.average {
            weights.iter_mut().zip(average.values()).for_each(|(parameter, mean)| parameter.values.clone_from(mean));
        }
        Ok(weights)
    }

    /// The model as it is now, with what the last epoch measured.
    fn model(&self) -> Result<Model, Error> {
        let last = self.head.records.last();
        let metadata = Metadata {
            format: FORMAT,
            name: self.run.output.name.clone(),
            architecture: self.run.architecture.clone(),
            preprocessing: self.head.data.preprocessing.clone(),
            classes: self.head.data.classes.clone(),
            accuracy: last.map(|record| Accuracy { accuracy: record.test_accuracy, images: record.test_images }),
            recipe: serde_json::to_value(&self.run.recipe).ok(),
            created_by: created_by(),
        };
        Ok(Model::new(metadata, self.weights()?.iter().cloned().collect::<Vec<Parameter>>())?)
    }

    fn state(&self) -> Result<State, Error> {
        let learner = &self.trainee.learner;
        let average = self.trainee.average.is_some().then(|| self.weights()).transpose()?;
        Ok(State { head: self.head.clone(), weights: learner.weights()?, momentum: learner.momentum()?, average })
    }
}

impl Session<'_> {
    /// The figures of the test set after `epoch`.
    fn measure(&self, epoch: u32) -> Result<evaluation::Report, Error> {
        // The last step's update may have left the finite numbers, and no loss has told it yet.
        let steps = self.dataset.train.len().div_ceil(self.run.recipe.batch_size);
        self.trainee.learner.weights().map_err(Error::if_diverged(&self.run.recipe, epoch, steps as u64))?;
        self.test(&self.model()?)
    }

    fn test(&self, model: &Model) -> Result<evaluation::Report, Error> {
        let mut evaluator = Evaluator::new(model, &self.device)?;
        Ok(evaluation::evaluate(&mut evaluator, model, &self.dataset.test, &mut |_| {})?)
    }
}

/// The average, with `weights` as where it stands.
fn ema(recipe: &Recipe, weights: &Weights) -> Ema {
    Ema::new(recipe.ema_decay, weights.iter().map(|parameter| parameter.values.clone()).collect())
}

fn check_classes(dataset: &Dataset, layers: &[LayerShape]) -> Result<(), Error> {
    let (classes, scores) = (dataset.classes.len(), layers.last().map_or(0, |last| last.output.elements()));
    if classes == scores {
        return Ok(());
    }
    let last = layers.last().map_or("", |last| &last.name);
    Err(Error::Mismatch(format!(
        "the images have {classes} classes and the network gives {scores} scores: let its last layer, `{last}`, have \
         `out_features = {classes}`"
    )))
}

fn summary(dataset: &Dataset, run: &Run) -> DataSummary {
    let input = run.architecture.input;
    let preprocessing = match run.recipe.normalize {
        Normalize::Unit => Preprocessing::unit(input),
        Normalize::Channel => {
            let measured = dataset.train.statistics();
            // A channel that never changes has no deviation to divide by.
            let std = measured.std.iter().map(|&std| if std > 0.0 { std as f32 } else { 1.0 }).collect();
            Preprocessing::normalized(input, measured.mean.iter().map(|&mean| mean as f32).collect(), std)
        }
    };
    let (train_images, test_images) = (dataset.train.len(), dataset.test.len());
    DataSummary { preprocessing, classes: dataset.classes.clone(), train_images, test_images }
}
