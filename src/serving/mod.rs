//! Models, ready to answer: which there are, which of them are in memory, and the one thread that evaluates them.
//!
//! [`models`] is the door. Behind it, [`catalog`] says which named, versioned models there are in folders and in the binary,
//! `cache` brings them into memory, and `active` says which version answers where none is asked for; `watch` keeps that true while
//! files come and go, and [`change`] is what an operator does. What it gives is a
//! [`Served`]: loaded, warmed, and its own canary image answered. [`engine`] takes images one at a time: it has the caller's
//! thread evaluate them, or a `worker` take from the `queue` what waits as one `batch`. Plain bytes go in and plain floats come
//! out. This module does not know who asks (no request, no
//! status code), how a picture is decoded, or that models are ever trained: a trained model is a file that appears.

mod active;
mod batch;
mod cache;
pub mod canary;
pub mod catalog;
pub mod change;
pub mod engine;
pub mod file;
pub mod input;
mod load;
pub mod models;
mod pace;
mod promise;
mod queue;
mod scan;
pub mod served;
#[cfg(test)]
mod testing;
mod watch;
mod worker;

pub use engine::{Engine, Place, Reply, Request};
pub use input::Input;
pub use models::Models;
pub use served::Served;
