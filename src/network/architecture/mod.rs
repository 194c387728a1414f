//! The layer list, and what follows from it alone: shapes, parameters' names and sizes, cost, or why it is no network.
//!
//! It knows no values, no device and no kernel.

mod arguments;
pub mod check;
mod draft;
pub mod fault;
pub mod fit;
pub mod infer;
mod output;
mod parse;
pub mod presets;
#[cfg(test)]
pub(crate) mod random;
pub mod shape;
pub mod spec;
mod written;
