//! Training.
pub mod error;
pub mod event;
pub mod folder;
pub mod job;
pub mod journal;
pub mod overrides;
pub mod recipe;
pub mod state;
pub mod supervisor;

mod child;
mod follow;

pub use error::Error;
pub use event::Event;
pub use recipe::Recipe;
