//! `/admin`: datasets are sent, training runs are started, listed, followed and ended. Behind the admin token, all of it.

pub mod datasets;
pub mod events;
pub mod jobs;
pub mod train;
