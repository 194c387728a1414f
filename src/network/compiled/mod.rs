//! The layer list compiled onto the kernels: what runs on the processor, in evaluation and in training. It knows no tensor.

mod lowering;
pub mod plan;
pub mod step;
