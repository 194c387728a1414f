//! A run's images: read, told apart from others, and checked against the network before an epoch is spent on them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::error::Error;
use super::event::{DataStage, Event};
use super::recipe::Normalize;
use super::state::DataSummary;
use super::trainer::{OnEvent, Run};
use crate::dataset::{self, Dataset, Reading, TestSet};
use crate::network::{LayerShape, Preprocessing};

/// How often somebody who wants the run to end is listened to while its images are read.
const LISTEN_EVERY: Duration = Duration::from_millis(50);

/// A run's images.
pub(super) struct Read {
    pub(super) dataset: Dataset,
    /// Training images that are not trained on: what the best epoch is chosen by.
    pub(super) validation: Option<TestSet>,
    pub(super) data: DataSummary,
}

/// Reads the images of `run`; none where `on_event` ended it.
pub(super) fn read(run: &Run, on_event: &mut OnEvent<'_>) -> Result<Option<Read>, Error> {
    let (path, normalize) = (run.data.clone(), run.recipe.normalize);
    let (share, seed) = (run.recipe.validation_share, run.recipe.seed);
    let why = if run.recipe.restore_best { " to choose the best epoch by" } else { "" };
    let unit = Preprocessing { fit: run.recipe.fit, ..Preprocessing::unit(run.architecture.input) };
    let reading = Reading { seed: run.recipe.seed, target: unit.target(), rules: run.rules };
    in_background(run, on_event, move |goes_on| {
        let mut dataset = dataset::open_watched(&path, &reading, goes_on)?;
        // Of all training images: those held out are as much what the run depends on.
        let train_digest = dataset.train.digest();
        let validation = if share > 0.0 {
            let all = dataset.train.len();
            let (train, validation) = dataset.train.split(share, seed)?;
            dataset.notes.push(format!("{} of {all} training images are held out{why}", validation.len()));
            dataset.train = train;
            Some(validation)
        } else {
            None
        };
        let data = summary(&dataset, train_digest, unit, normalize);
        Ok(Read { dataset, validation, data })
    })
}

/// Does `work` with the images of `run` in a thread of its own, so that a disk that does not answer keeps nobody waiting: `work` hears
/// that the run was ended when it asks, or ends with the process. None where `on_event` ended it.
pub(super) fn in_background<T: Send + 'static>(
    run: &Run,
    on_event: &mut OnEvent<'_>,
    work: impl FnOnce(&mut dataset::Progress<'_>) -> Result<T, dataset::Error> + Send + 'static,
) -> Result<Option<T>, Error> {
    let (done, result) = sync_channel(1);
    let over = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&over);
    let reader = thread::Builder::new().name("images".into()).spawn(move || {
        let mut goes_on = |_, _| if asked.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        // Nobody waits any more where the run was ended.
        let _ = done.send(work(&mut goes_on));
    });
    let reader = reader.map_err(Error::io("start a thread that reads", &run.data))?;
    loop {
        match result.recv_timeout(LISTEN_EVERY) {
            Ok(done) => return Ok(Some(done?)),
            Err(RecvTimeoutError::Timeout) => {
                if on_event(&Event::Data(DataStage::Reading)) == ControlFlow::Break(()) {
                    over.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
            }
            // It panicked, and so does whoever waited for it.
            Err(RecvTimeoutError::Disconnected) => match reader.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(Error::Mismatch("the images were not read to their end".into())),
            },
        }
    }
}

/// Whether the network with these `layers` tells the classes of `dataset` apart.
pub(super) fn check_classes(dataset: &Dataset, layers: &[LayerShape]) -> Result<(), Error> {
    let (classes, scores) = (dataset.classes.len(), layers.last().map_or(0, |last| last.output.elements()));
    if classes == scores {
        return Ok(());
    }
    let last = layers.last().map_or("", |last| &last.name);
    Err(Error::Mismatch(format!(
        "the images have {classes} classes and the network gives {scores} scores: let its last layer, `{last}`, have \
         `out_features = {classes}`, or fit the network to the images with --fit-data (`fit_data` in a request)"
    )))
}

/// What a run depends on of `dataset`, whose images lie as `unit` has them; `train_digest` is of all training images.
fn summary(dataset: &Dataset, train_digest: String, unit: Preprocessing, normalize: Normalize) -> DataSummary {
    let preprocessing = match normalize {
        Normalize::Unit => unit,
        Normalize::Channel => {
            let measured = dataset.train.statistics();
            // A channel that never changes has no deviation to divide by.
            let std = measured.std.iter().map(|&std| if std > 0.0 { std as f32 } else { 1.0 }).collect();
            Preprocessing { mean: measured.mean.iter().map(|&mean| mean as f32).collect(), std, ..unit }
        }
    };
    DataSummary {
        preprocessing,
        classes: dataset.classes.clone(),
        train_images: dataset.train.len(),
        train_digest,
        test_images: dataset.test.len(),
        test_digest: dataset.test.digest(),
    }
}
