//! One binary for all integration tests: a module a feature.

mod checkpoint;
mod config;
mod picture;
