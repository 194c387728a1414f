//! Pictures in and out: bytes of an image file to pixels at a network's size, and activations to a PNG.
//!
//! In: `recognise` says which [`mod@format`] the bytes are, [`header`] reads what they will cost before anything is decoded,
//! [`decode`] turns them into the [`pixels`] that a [`target`] asks for and `fit` brings them to size; `jpeg`, `png`, `gif`,
//! `riff` (WebP) and `exif` hold what is needed beyond the codecs, `text` recognises what was sent as text. Out: [`grid`] draws
//! one tile a channel of a [`feature_map`] in the colours of [`colormap`], [`summary`] gives the numbers
//! behind them, [`encode`] writes PNGs. Knows no tensor, no HTTP and no file: bytes and slices only. Profiles (ICC, gamma) are ignored, as
//! Pillow and torchvision do: the training images were read that way.

pub mod colormap;
pub mod decode;
pub mod encode;
pub mod error;
mod exif;
pub mod feature_map;
mod fit;
pub mod format;
mod gif;
pub mod grid;
pub mod header;
mod jpeg;
pub mod pixels;
pub mod planes;
mod png;
mod quick;
mod recognise;
mod riff;
pub mod summary;
pub mod target;
mod text;

pub use colormap::Colormap;
pub use decode::{Limits, Picture};
pub use format::Format;
pub use grid::{FeatureMap, Grid, GridOptions, Scale};
pub use header::Header;
pub use pixels::{Channels, Dimensions, Pixels};
pub use planes::Planes;
pub use target::{Filter, Fit, Target};
