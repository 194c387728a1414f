//! A network is data: a list of named layers. Everything that computes with it is derived from that list.
//!
//! [`spec`] is the list, [`shape`] what follows from it, [`weights`] its parameters as plain numbers, [`model`] all of it
//! together with what is needed to use it rightly. [`forward`] reads the list with candle and [`autograd`] trains so; [`plan`] and
//! [`step`] are compiled from it for the processor. [`evaluator`] and [`learner`] are the doors to either. This module does not know where a model comes from (files are
//! [`crate::checkpoint`]'s), who asks for a forward pass, or how a run of training is organised.

pub mod autograd;
pub mod device;
pub mod error;
pub mod evaluator;
pub mod forward;
pub mod init;
pub mod learner;
mod lowering;
pub mod model;
pub mod plan;
pub mod preprocessing;
pub mod presets;
pub mod probe;
#[cfg(test)]
pub(crate) mod random;
pub mod shape;
pub mod spec;
pub mod step;
pub mod weights;

pub use autograd::Autograd;
pub use device::DeviceChoice;
pub use error::Error;
pub use evaluator::Evaluator;
pub use init::Init;
pub use learner::{Batch, Learner, StepReport, StepSettings};
pub use model::{Accuracy, Metadata, Model};
pub use plan::Plan;
pub use preprocessing::Preprocessing;
pub use probe::{Evaluation, Mask, Probe, Tap};
pub use shape::{LayerShape, Shape, infer};
pub use spec::{Architecture, Layer, LayerKind};
pub use step::Step;
pub use weights::{Parameter, Weights};
