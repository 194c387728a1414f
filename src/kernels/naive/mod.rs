//! Each kernel as its formula: plain loops, one number at a time, nothing shared with the quick ones but their sizes.
//!
//! Tests and benches compare with these. They are slow on purpose.

pub mod activation;
pub mod adaptive_avg_pool2d;
pub mod avg_pool2d;
pub mod batch_norm2d;
pub mod conv2d;
pub mod cross_entropy;
pub mod dropout;
pub mod linear;
pub mod max_pool2d;
pub mod sgd;
mod window;
