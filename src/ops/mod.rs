//! The differentiable operations of a network, on candle's tensors.
//!
//! One function a kind of layer, with the arguments of the architecture file. On the CPU each is a candle custom op around a
//! kernel of [`crate::kernels`], gradient included; elsewhere it is its [`twin`], the same function composed of candle's own
//! primitives. Inputs may have any strides, in `f32` or `f64`. Gradients are computed for those arguments only that depend
//! on a variable. This module does not know layers by name, nor in which order they are computed.

mod activation;
mod batch_norm2d;
mod conv2d;
mod cross_entropy;
mod dropout;
mod linear;
mod numbers;
mod pool2d;
mod sgd;
pub mod twin;
mod weighted;

pub use activation::{gelu, relu, silu};
pub use batch_norm2d::{batch_norm2d, batch_norm2d_eval};
pub use conv2d::conv2d;
pub use cross_entropy::cross_entropy;
pub use dropout::dropout;
pub use linear::linear;
pub use pool2d::{adaptive_avg_pool2d, avg_pool2d, max_pool2d};
pub use sgd::sgd_update;
