//! Everything that is tested from outside. One module a feature.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

mod allocations;
mod checkpoint;
mod cli;
mod config;
mod dataset;
mod download;
mod import;
mod pictures;
