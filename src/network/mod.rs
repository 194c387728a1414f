//! A network is data: a list of named layers. Everything that computes with it is derived from that list.
//!
//! [`architecture`] is that list and what follows from it, [`parameters`] its numbers, [`model`] both together with what is needed
//! to use them rightly. [`mod@reference`] reads the list with candle; [`compiled`] makes of it what runs on the processor. [`evaluator`]
//! and [`learner`] are the doors to either; [`familiarity`] says how far an answer is about something the model knows. This module does not know where a model comes from (files are
//! [`crate::checkpoint`]'s), who asks for a forward pass, or how a run of training is organised.

pub mod architecture;
pub mod compiled;
pub mod device;
pub mod error;
pub mod evaluator;
pub mod familiarity;
pub mod learner;
pub mod model;
pub mod parameters;
pub mod preprocessing;
pub mod probe;
pub mod reference;
pub mod rules;

pub use architecture::fault::Fault;
pub use architecture::infer::infer;
#[cfg(test)]
pub(crate) use architecture::random;
pub use architecture::shape::{LayerShape, Shape};
pub use architecture::spec::{Architecture, Layer, LayerKind};
pub use architecture::{check, presets, shape, spec};
pub use compiled::memory::Memory;
pub use compiled::plan::Plan;
pub use compiled::step::Step;
pub use compiled::{plan, step};
pub use error::Error;
pub use evaluator::Evaluator;
pub use familiarity::Familiarity;
pub use learner::{Batch, Learner, Mix, Reduction, StepReport, StepSettings};
pub use model::{Accuracy, Measured, Metadata, Model, Temperature};
pub use parameters::init::Init;
pub use parameters::weights::{Parameter, Weights};
pub use parameters::{init, temper, weights};
pub use preprocessing::Preprocessing;
pub use probe::{Evaluation, Mask, Probe, Tap};
pub use reference::autograd::Autograd;
pub use reference::{autograd, forward};
pub use rules::Rules;

pub use crate::words::DeviceChoice;
