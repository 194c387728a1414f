//! Convolution with 3×3 filters and step 1 by Winograd's F(4×4, 3×3), fused per block of tiles.
//!
//! A block of tiles is transformed, multiplied at its 36 points and transformed back while it is in the cache; the
//! transforms never see memory as whole tensors. The backward pass is the exact adjoint: it transforms the output's
//! gradient once and gets both the input's and the filters' gradient from it at the same points.

mod backward;
mod filters;
mod forward;
mod pooled;
mod transform;
mod window;

pub use backward::Backward;
pub use filters::{Pack, Unpack};
pub use forward::Forward;

use super::{Convolution, blocks};
use crate::kernels::lanes::WIDTH;

/// Points of the transform: 6 × 6.
const POINTS: usize = 36;
/// Outputs a tile has along each axis.
pub(super) const STEP: usize = 4;
/// Vectors of output channels that are multiplied before they are transformed back.
pub(super) const CHUNK: usize = 4;

/// A convolution's sizes in tiles.
#[derive(Debug, Clone, Copy)]
pub struct Winograd {
    conv: Convolution,
    /// Tiles along each axis.
    rows: usize,
    columns: usize,
    /// Tiles that are transformed together.
    block: usize,
}

impl Winograd {
    /// None where the filters are not 3×3, the step is not 1, or there are groups.
    pub fn new(conv: Convolution) -> Option<Self> {
        let fits = conv.kernel == 3 && conv.stride == 1 && conv.groups == 1;
        let block = if conv.input.channels.max(conv.output.channels) > 64 { 32 } else { 16 };
        let (rows, columns) = (conv.output.height.div_ceil(STEP), conv.output.width.div_ceil(STEP));
        fits.then_some(Self { conv, rows, columns, block })
    }

    /// Its sizes.
    pub fn convolution(&self) -> &Convolution {
        &self.conv
    }

    /// Tiles of one image.
    pub fn tiles(&self) -> usize {
        self.rows * self.columns
    }

    /// Images that fill a block of tiles: fewer at a time would leave registers unused.
    pub fn images_a_block(&self) -> usize {
        self.block.div_ceil(self.tiles())
    }

    /// Floats of filters at the points, for one direction: point × pair of blocks × channel read × 32.
    pub fn filters(&self) -> usize {
        let (input, output) = (self.conv.input.channels, self.conv.output.channels);
        POINTS * (blocks(output) * input).max(blocks(input) * output) * WIDTH
    }

    /// Floats of the filters' gradient at the points: point × input channel × output channel, filled up to a block.
    pub fn gradient(&self) -> usize {
        POINTS * self.conv.input.channels * self.padded_outputs()
    }

    /// Floats a thread needs to compute in.
    pub fn workspace(&self) -> usize {
        POINTS * (self.point(self.padded_inputs()) + self.point(self.padded_outputs())) + POINTS * self.point(CHUNK * WIDTH)
    }

    /// Floats of one point of a block with this many channels. The extra vector keeps the 36 points of a tile from
    /// falling into the same few sets of the cache.
    fn point(&self, channels: usize) -> usize {
        self.block * channels + WIDTH
    }

    fn padded_inputs(&self) -> usize {
        blocks(self.conv.input.channels) * WIDTH
    }

    fn padded_outputs(&self) -> usize {
        blocks(self.conv.output.channels) * WIDTH
    }

    /// Image, first row and first column of a tile's outputs, where the rows from `first` on of each image are so many tiles.
    fn place(&self, tile: usize, (first, tiles): (usize, usize)) -> Place {
        let (image, within) = (tile / tiles, tile % tiles);
        Place { image, row: first + within / self.columns * STEP, column: within % self.columns * STEP }
    }
}

#[derive(Clone, Copy)]
struct Place {
    image: usize,
    row: usize,
    column: usize,
}
