//! Training.
pub mod error;
pub mod overrides;
pub mod recipe;

pub use error::Error;
pub use recipe::Recipe;
