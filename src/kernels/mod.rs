//! The arithmetic of production on the processor: functions on slices of `f32`.
//!
//! [`blocked`] computes feature maps and [`dense`] vectors, both written once over [`lanes`] and compiled for every instruction
//! set ([`Tier`]), shared among the threads of a [`Team`]. A kernel takes its sizes from a value that is checked once, and gives
//! the same bits for any number of threads: work is split by the problem, never by the machine, and partial sums are added in a
//! fixed order. [`naive`] is each kernel written as its formula in `f64`, which tests compare with. Nothing here knows a tensor
//! library, a layer's name, or where numbers come from.

pub mod activation;
pub mod adamw;
pub mod blocked;
pub mod buffer;
mod crew;
pub mod cross_entropy;
pub mod dense;
pub mod dropout;
pub mod heap;
pub mod lanes;
mod lengths;
pub mod matrix;
pub mod muon;
pub mod naive;
pub mod newton_schulz;
pub mod sgd;
pub mod stripes;
pub mod team;
#[cfg(test)]
pub(crate) mod testing;
pub mod tier;
pub mod window;

pub use buffer::Buffer;
pub use crew::Crew;
pub use team::Team;
pub use tier::Tier;
