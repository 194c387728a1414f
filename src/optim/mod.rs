//! How parameters move: update rules, how their learning rates change over a run, and averages of where parameters have been.
//! Rules are plain data: who holds the parameters computes them. Works on plain numbers and slices; knows neither networks nor
//! data.

pub mod adamw;
pub mod average;
pub mod lookahead;
pub mod muon;
pub mod rule;
pub mod schedule;
pub mod sgd;

pub use adamw::AdamW;
pub use average::Ema;
pub use lookahead::Lookahead;
pub use muon::{AdjustLr, Muon};
pub use rule::Rule;
pub use schedule::{Schedule, Shape};
pub use sgd::Sgd;
