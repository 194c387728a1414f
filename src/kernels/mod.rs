//! The arithmetic: functions on slices, one file a kind of layer, forward and backward.
//!
//! Tensors are batch × channel × height × width in plain order. A kernel writes every element of what it returns, takes
//! its sizes from a value that is checked once, and gives the same bits for any number of threads: work is split by the
//! problem, never by the machine, and partial sums are added in a fixed order. [`naive`] is each kernel written as its
//! formula, which the tests compare with. Nothing here knows a tensor library, a layer's name, or where numbers come from.

pub mod activation;
pub mod adaptive_avg_pool2d;
pub mod avg_pool2d;
pub mod batch_norm2d;
pub mod blocked;
pub mod buffer;
pub mod conv2d;
pub mod cross_entropy;
pub mod dense;
pub mod dropout;
pub mod gemm;
pub mod im2col;
pub mod lanes;
pub mod linear;
pub mod max_pool2d;
pub mod mean_pool2d;
pub mod naive;
pub mod parallel;
pub mod real;
pub mod sgd;
pub mod stripes;
pub mod sum;
pub mod team;
#[cfg(test)]
pub(crate) mod testing;
pub mod tier;
pub mod window;

pub use buffer::Buffer;
pub use team::Team;
pub use tier::Tier;
