//! `/admin`: datasets are sent, training runs are started, listed, followed and ended; versions of models are activated and removed.
//! Behind the admin token, all of it.

pub mod datasets;
pub mod events;
pub mod jobs;
pub mod models;
pub mod train;
