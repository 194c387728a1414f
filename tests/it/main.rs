//! One binary for all integration tests; a module a feature.

mod gradients;
