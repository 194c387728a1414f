//! How parameters move: the update rule, and how its learning rate changes over a run. Knows neither networks nor data.

pub mod sgd;

pub use sgd::Sgd;
