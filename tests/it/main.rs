//! One binary for all integration tests: a module a feature.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

mod admin;
mod allocations;
mod checkpoint;
mod classify;
mod cli;
mod config;
mod dataset;
mod download;
mod errors;
mod featuremaps;
mod finite;
mod gradients;
mod grids;
mod health;
mod hostile_pictures;
mod import;
mod layers;
mod pictures;
mod program;
mod readme;
mod rules;
mod serving;
mod supervisor;
mod support;
mod train_command;
mod training;
mod weights;
