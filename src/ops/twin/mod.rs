//! Every op composed of candle's own primitives, with the gradients candle's own layers get wrong put right.
//!
//! This is what a device without kernels of ours computes with, and what the kernels are tested against; the functions have
//! the signatures of [`crate::ops`], where what they compute is documented. Each gradient comes from candle's autograd over
//! primitives whose gradients are right (the tests hold them to PyTorch's numbers); where a choice must not be
//! differentiated, such as which element is a maximum, it is made on detached tensors.

mod activation;
mod batch_norm2d;
mod conv2d;
mod cross_entropy;
mod dropout;
mod linear;
mod max_pool2d;
mod mean_pool2d;
mod sgd;

pub use activation::{gelu, relu, silu};
pub use batch_norm2d::{batch_norm2d, batch_norm2d_eval};
pub use conv2d::conv2d;
pub use cross_entropy::cross_entropy;
pub use dropout::dropout;
pub use linear::linear;
pub use max_pool2d::max_pool2d;
pub use mean_pool2d::{adaptive_avg_pool2d, avg_pool2d};
pub use sgd::sgd_update;
