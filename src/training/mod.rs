//! A run of training: from a network, images and a recipe to a model's file, watched from outside.
//!
//! [`recipe`] says how, [`fetching`] brings CIFAR-10 where it is missing, [`trainer`] does it and reports [`event`]s, [`state`] is
//! what an interrupted run goes on from, [`journal`] what happened, on disk. [`supervisor`] runs trainers as processes of this same
//! program, each in its [`folder`] by the [`request`] there, where `room` says that they fit; [`queue`] decides which is next. Only
//! the supervisor knows tokio; nothing here knows the configuration, HTTP, or who serves the models that come out: they are files.

pub mod error;
pub mod event;
pub mod fetching;
pub mod folder;
pub mod job;
pub mod journal;
pub mod learner;
pub mod overrides;
pub mod pace;
pub mod queue;
pub mod rate;
pub mod recipe;
pub mod request;
pub mod results;
pub mod room;
pub mod state;
pub mod steps;
pub mod supervisor;
pub mod trainer;

mod batches;
mod child;
mod choice;
mod epoch;
mod fit;
mod follow;
mod images;
mod name;
mod retention;
mod roster;
mod session;
mod shelf;
mod start;
mod updates;

pub use error::Error;
pub use event::Event;
pub use recipe::Recipe;
