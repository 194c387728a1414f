//! One binary for all integration tests; a module a feature.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "where something is missing, a test has failed")]

mod gradients;
