//! One binary for all integration tests; a module a feature.

mod allocations;
mod gradients;
mod pictures;
