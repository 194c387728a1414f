//! The Open Inference Protocol, version 2: what clients of Triton and `KServe` speak, over HTTP.
//!
//! The standard is the [specification](https://github.com/kserve/open-inference-protocol)'s REST part; tensors as bytes and
//! answers as classes are Triton's extensions `binary_tensor_data` and `classification`. Every model has one input, [`INPUT`],
//! and an output, [`OUTPUT`]; one that can tell how familiar an image is, another, [`FAMILIARITY`]. [`server`] and [`mod@model`] say what there is; for `…/infer`, [`body`] admits and reads, [`request`]
//! is the JSON, [`data`] a tensor in it, [`tensor`] makes images of it, [`output`] and [`answer`] are the way back, and [`infer`]
//! goes through them all. This module does not know how an image is decoded, queued or evaluated: that is [`super::forward`]'s and
//! the engine's, as for `/classify`.

pub mod answer;
pub mod body;
pub mod data;
pub mod few;
pub mod infer;
pub mod model;
pub mod output;
pub mod request;
pub mod server;
pub mod tensor;

use crate::network::Model;

/// The input of every model: images, as numbers or as files.
pub const INPUT: &str = "image";
/// The output of every model: a probability a class.
pub const OUTPUT: &str = "probabilities";
/// The output of a model that can tell: the share of its test images that looked stranger to it, a number an image.
pub const FAMILIARITY: &str = "familiarity";

/// What `model` gives, in order.
pub fn outputs(model: &Model) -> &'static [&'static str] {
    if model.metadata().familiarity.is_some() { &[OUTPUT, FAMILIARITY] } else { &[OUTPUT] }
}
