//! A run of training, from images to a model's file: epochs of steps, each epoch measured on the test set and kept.
//!
//! It reports through one callback, which also ends it. Who listens, and where the run's files lie, is the caller's business;
//! there is no tokio and no configuration here. Everything random follows from the recipe's seed, the epoch and an index, so
//! that a run which was interrupted gives the same bytes as one which was not.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::error::Error;
use super::event::{Ended, Event, Outcome};
use super::fit;
use super::recipe::Recipe;
use super::session::Session;
use super::state;
use crate::checkpoint::Dtype;
use crate::dataset::Rules;
use crate::network::{Architecture, DeviceChoice};

/// What is trained, on what, how, and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The network.
    pub architecture: Architecture,
    /// The images: a dataset's folder or archive.
    pub data: PathBuf,
    /// What the images may cost, and whether unreadable ones are left out.
    pub rules: Rules,
    /// How.
    pub recipe: Recipe,
    /// Where the arithmetic runs.
    pub device: DeviceChoice,
    /// The files.
    pub output: Output,
    /// Whether to go on from the state's file, where there is one.
    pub resume: bool,
    /// Whether the network's input and last layer are made what the images need.
    pub fit_data: bool,
}

/// Where a run's results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The model's name.
    pub name: String,
    /// What the run resumes from; replaced after every epoch, and kept, so that more epochs can follow.
    pub state: PathBuf,
    /// The model.
    pub models: Models,
}

/// Which models are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Models {
    /// The last epoch's, to this file.
    Last {
        /// The file.
        path: PathBuf,
        /// How its numbers are stored. What the model says of its accuracy is measured on the stored numbers.
        dtype: Dtype,
    },
    /// Every epoch's, to `EPOCH.safetensors` in this folder: versions of one model.
    Every(PathBuf),
}

/// How a run that did not fail ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// All epochs are over and the model is written.
    Done(Outcome),
    /// The callback ended it; what is kept can be resumed.
    Stopped(Ended),
}

/// Sees every event, and ends the run by breaking. It is called at every step and, with an event that it has seen, again and again
/// while images are read and the test set is measured, so that no end is waited for; [`super::pace`] chooses what to pass on.
pub type OnEvent<'a> = dyn FnMut(&Event) -> ControlFlow<()> + 'a;

/// Trains as `run` says. The last event of a run ([`Event::is_last`]) is the caller's to send: it knows why it ended the run,
/// and what went wrong before it began.
pub fn train(run: &Run, on_event: &mut OnEvent<'_>) -> Result<Finish, Error> {
    let Some((run, notes)) = fit::fitted(run, on_event)? else { return stopped(run) };
    let run = &*run;
    let Some(mut session) = Session::open(run, notes, on_event)? else { return stopped(run) };
    for epoch in session.epochs_over() + 1..=run.recipe.epochs {
        if session.waited_enough() {
            break;
        }
        let Some(record) = session.epoch(epoch, on_event)? else { break };
        if on_event(&Event::Epoch(record)) == ControlFlow::Break(()) {
            break;
        }
    }
    if session.epochs_over() < run.recipe.epochs && !session.waited_enough() {
        return Ok(Finish::Stopped(run.ended(session.epochs_over())));
    }
    session.finish().map(Finish::Done)
}

/// Before the first step.
fn stopped(run: &Run) -> Result<Finish, Error> {
    let kept = if run.resume { state::records(&run.output.state)?.len() } else { 0 };
    Ok(Finish::Stopped(run.ended(kept as u32)))
}

impl Run {
    fn ended(&self, epoch: u32) -> Ended {
        Ended { epoch, epochs: self.recipe.epochs }
    }
}
