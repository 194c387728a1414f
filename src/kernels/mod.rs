//! The arithmetic: functions on slices.

pub mod blocked;
pub mod lanes;
pub mod team;
pub mod tier;

pub use team::Team;
pub use tier::Tier;
