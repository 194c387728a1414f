//! Training.
pub mod error;
pub mod event;
pub mod journal;
pub mod overrides;
pub mod recipe;

pub use error::Error;
pub use event::Event;
pub use recipe::Recipe;
