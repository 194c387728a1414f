//! Everything that is tested from outside. One module a feature.

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
mod health;
mod import;
mod layers;
mod pictures;
mod rules;
mod support;
mod training;
