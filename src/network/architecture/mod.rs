//! The layer list, and what follows from it alone: shapes, parameters' names and sizes, cost, or why it is no network.
//!
//! It knows no values, no device and no kernel.

pub mod fault;
pub mod infer;
mod parse;
pub mod presets;
#[cfg(test)]
pub(crate) mod random;
pub mod shape;
pub mod spec;
mod written;
