//! The differentiable operations of a network, composed of candle's own primitives, on any device.
//!
//! One function a kind of layer, with PyTorch's arguments. The reference runs them, and CUDA does. Each gradient comes from
//! candle's automatic differentiation over primitives whose gradients are right (the tests hold them to PyTorch's numbers and to
//! finite differences); where a choice must not be differentiated, such as which element is a maximum, it is made on detached
//! tensors. Candle's own layers are used only where theirs are right. Inputs may have any strides. This module does not know
//! layers by name, nor in which order they are computed.

mod activation;
mod adamw;
mod batch_norm2d;
mod conv2d;
mod cross_entropy;
mod dropout;
mod linear;
mod max_pool2d;
mod mean_pool2d;
mod muon;
mod sgd;
mod window;

pub use activation::activate;
pub use adamw::adamw_update;
pub use batch_norm2d::{batch_norm2d, batch_norm2d_eval};
pub use conv2d::{Conv2d, conv2d};
pub use cross_entropy::cross_entropy;
pub use dropout::dropout;
pub use linear::linear;
pub use max_pool2d::max_pool2d;
pub use mean_pool2d::{adaptive_avg_pool2d, avg_pool2d};
pub use muon::muon_update;
pub use sgd::sgd_update;
pub use window::Pool2d;
