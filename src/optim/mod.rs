//! How parameters move: the update rule, how its learning rate changes over a run, and averages of where they have been.
//! Works on plain numbers and slices; knows neither networks nor data.

pub mod average;
pub mod schedule;
pub mod sgd;

pub use average::Ema;
pub use schedule::Schedule;
pub use sgd::Sgd;
