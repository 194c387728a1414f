//! HTTP: requests become calls of [`crate::serving`] and [`crate::training`], their results become answers.
//!
//! [`router`] is every route there is, [`error`] the one table of refusals, [`serve`] what starts and stops everything, [`housekeeping`]
//! what is done unasked; [`listen`] and [`lines`] have the connections, [`mod@line`] is one, [`intake`], [`body`] and [`answers`] are
//! what comes and goes on it;
//! [`extract`] and [`upload`] hand out values that are right already; then one file a group of endpoints. An image goes
//! `upload` → `forward` → [`crate::serving::Engine`]. This module does not know what a tensor is, how a network is evaluated,
//! or how a run of training goes.

pub mod accept;
pub mod access;
pub mod admin;
pub mod answers;
pub mod arrays;
pub mod auth;
pub mod body;
pub mod budget;
pub mod classify;
pub mod confusion;
pub mod cors;
pub mod deadline;
pub mod decoding;
pub mod docs;
pub mod effects;
pub mod error;
pub mod extract;
pub mod featuremaps;
mod findings;
pub mod forward;
pub mod health;
pub mod housekeeping;
pub mod intake;
pub mod layers;
pub mod line;
pub mod lines;
pub mod listen;
pub mod lock;
pub mod metrics;
pub mod mistakes;
pub mod model_files;
pub mod models;
pub mod networks;
pub mod npy;
pub mod offload;
pub mod openapi;
pub mod pace;
pub mod packed;
pub mod page;
pub mod peer;
pub mod router;
pub mod samples;
pub mod serve;
pub mod state;
pub mod token;
pub mod upload;
pub mod v2;
pub mod whole;

pub use serve::{Setup, Shutdown, run};
