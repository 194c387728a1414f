//! One binary for all integration tests: a module a feature.

mod allocations;
mod checkpoint;
mod classify;
mod config;
mod errors;
mod featuremaps;
mod gradients;
mod health;
mod layers;
mod pictures;
mod rules;
mod support;
