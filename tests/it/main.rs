//! One binary for all integration tests; a module a feature.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail the test by panicking, as the test itself does")]

mod allocations;
mod dataset;
mod download;
mod gradients;
mod grids;
mod hostile_pictures;
mod pictures;
