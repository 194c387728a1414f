//! Each kernel as its formula, in `f64`: plain loops over tensors in plain order (batch × channel × height × width), one number
//! at a time, nothing shared with the quick ones but their sizes.
//!
//! They are the truth that tests compare with, and slow on purpose. Every function writes all of its results.

pub mod activation;
pub mod adamw;
pub mod adaptive_avg_pool2d;
pub mod avg_pool2d;
pub mod batch_norm2d;
pub mod conv2d;
pub mod cross_entropy;
pub mod dropout;
pub mod linear;
pub mod max_pool2d;
pub mod newton_schulz;
pub mod sgd;
pub mod window;
