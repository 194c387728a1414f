//! Models, ready to answer: which there are, and the one thread that evaluates them.
//!
//! [`registry`] finds named, versioned models in folders and in the binary; [`engine`] takes images one at a time, and
//! `worker` evaluates what waits as one batch. Plain bytes go in and plain floats come out. This module does not know who
//! asks (no request, no status code), how a picture is decoded, or that models are ever trained: a trained model is a file
//! that appears.

pub mod canary;
pub mod engine;
pub mod registry;
mod scan;
mod worker;

pub use engine::{Engine, Place, Reply, Request};
pub use registry::{Registry, Served};
