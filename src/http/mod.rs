//! HTTP: requests become calls of [`crate::serving`] and [`crate::training`], their results become answers.
//!
//! [`router`] is every route there is, [`error`] the one table of refusals, [`serve`] what starts and stops everything;
//! [`extract`] and [`upload`] hand out values that are right already; then one file a group of endpoints. An image goes
//! `upload` → `forward` → [`crate::serving::Engine`]. This module does not know what a tensor is, how a network is evaluated,
//! or how a run of training goes.

mod accept;
mod access;
mod admin;
mod arrays;
pub mod auth;
mod budget;
mod classify;
mod deadline;
pub mod error;
mod extract;
mod featuremaps;
mod forward;
mod health;
mod layers;
mod models;
mod npy;
mod page;
pub mod router;
mod samples;
pub mod serve;
pub mod state;
mod upload;

pub use serve::{Setup, run};
