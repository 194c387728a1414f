//! One binary for all integration tests: a module a feature.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

mod admin;
mod allocations;
mod checkpoint;
mod classify;
mod cli;
mod config;
mod console;
mod dataset;
mod door;
mod download;
mod errors;
mod featuremaps;
mod field_pictures;
mod folders;
mod gradients;
mod grey;
mod grids;
mod health;
mod hostile_pictures;
mod import;
mod layers;
mod networks;
mod odd_jpegs;
mod pictures;
mod program;
mod readme;
mod recovery;
mod rules;
mod standing;
mod supervisor;
mod support;
mod train_command;
mod training;
mod weights;
