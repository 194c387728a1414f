//! Pictures in and out: bytes of an image file to RGB at a network's size, and activations to a PNG.
//!
//! In: [`mod@format`] recognises what the bytes are, [`header`] reads what they will cost before anything is decoded,
//! [`decode`] turns them into RGB and `fit` brings them to size; `jpeg` and `riff` hold what JPEG and WebP need beyond the
//! `image` crate. Out: [`grid`] draws one tile a channel in the colours of [`colormap`], [`summary`] gives the numbers
//! behind them, [`encode`] writes PNGs. Knows no tensor, no HTTP and no file: bytes and slices only. Profiles (ICC, gamma) are ignored, as
//! Pillow and torchvision do: the training images were read that way.

pub mod colormap;
pub mod decode;
pub mod encode;
pub mod error;
mod fit;
pub mod format;
pub mod grid;
pub mod header;
mod jpeg;
mod riff;
pub mod summary;

pub use colormap::Colormap;
pub use decode::{Limits, Picture};
pub use format::Format;
pub use grid::{FeatureMap, Grid, GridOptions, Scale};
pub use header::Header;
