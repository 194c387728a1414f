//! One binary for all integration tests: a module a feature.

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
mod supervisor;
mod support;
mod train_command;
mod training;
