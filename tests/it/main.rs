//! One binary for all integration tests: a module a feature.

mod allocations;
mod checkpoint;
mod config;
mod pictures;
mod supervisor;
mod train_command;
mod training;
