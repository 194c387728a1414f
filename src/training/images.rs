//! A run's images: read, told apart from others, and checked against the network before an epoch is spent on them.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::error::Error;
use super::event::{DataStage, Event};
use super::recipe::Normalize;
use super::state::DataSummary;
use super::trainer::{OnEvent, Run};
use crate::dataset::{self, Dataset, Images};
use crate::network::{Architecture, LayerShape, Preprocessing};

/// How often somebody who wants the run to end is listened to while its images are read.
const LISTEN_EVERY: Duration = Duration::from_millis(50);

/// What pictures have: grey, or red, green and blue.
const CHANNELS: [usize; 2] = [1, 3];

/// Reads the images of `run`; none where `on_event` ended it. They are read by a thread of their own, so that a disk that does not
/// answer keeps nobody waiting: it is left behind, and ends with its read or with the process.
pub(super) fn read(run: &Run, on_event: &mut OnEvent<'_>) -> Result<Option<(Dataset, DataSummary)>, Error> {
    let (path, seed, normalize) = (run.data.clone(), run.recipe.seed, run.recipe.normalize);
    let unit = Preprocessing::unit(run.architecture.input);
    let (done, result) = sync_channel(1);
    let reader = thread::Builder::new().name("images".into()).spawn(move || {
        let read = dataset::open_at(&path, seed, &unit).map(|dataset| {
            let summary = summary(&dataset, unit, normalize);
            (dataset, summary)
        });
        // Nobody waits any more where the run was ended.
        let _ = done.send(read);
    });
    let reader = reader.map_err(Error::io("start a thread that reads", &run.data))?;
    loop {
        match result.recv_timeout(LISTEN_EVERY) {
            Ok(read) => return Ok(Some(read?)),
            Err(RecvTimeoutError::Timeout) => {
                if on_event(&Event::Data(DataStage::Reading)) == ControlFlow::Break(()) {
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

/// Whether any images could be what `architecture` takes.
pub(super) fn check_channels(architecture: &Architecture) -> Result<(), Error> {
    let channels = architecture.input.channels;
    if CHANNELS.contains(&channels) {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "the network `{}` takes images of {channels} channels, and pictures have 1 (grey) or 3 (colour): let its input have \
         `channels = 3`, or 1",
        architecture.name
    )))
}

/// Whether `dataset` has what the network with these `layers` takes and tells apart.
pub(super) fn check(dataset: &Dataset, architecture: &Architecture, layers: &[LayerShape]) -> Result<(), Error> {
    let channels = architecture.input.channels;
    if dataset.channels != channels {
        return Err(Error::Mismatch(format!(
            "the images have {} channels and the network `{}` takes {channels}: let its input have `channels = {}`",
            dataset.channels, architecture.name, dataset.channels
        )));
    }
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

/// What a run depends on of `dataset`, whose images lie as `unit` has them.
fn summary(dataset: &Dataset, unit: Preprocessing, normalize: Normalize) -> DataSummary {
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
        train_digest: digest(&dataset.train),
        test_images: dataset.test.len(),
        test_digest: digest(&dataset.test),
    }
}

/// SHA-256 of every image's class and pixels, in order.
fn digest(images: &Images) -> String {
    let mut hash = Sha256::new();
    for (index, label) in images.labels().iter().enumerate() {
        hash.update(label.to_le_bytes());
        hash.update(images.pixels(index));
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
