//! Convolution with 3×3 filters and step 1 by Winograd's F(4×4, 3×3), fused per block of tiles.
//!
//! A block of tiles is transformed, multiplied at its 36 points and transformed back while it is in the cache; the
//! transforms never see memory as whole tensors. The backward pass is the exact adjoint: it transforms the output's
//! gradient once and gets both the input's and the filters' gradient from it at the same points.

mod backward;
mod filters;
mod forward;
mod gradient;
mod pooled;
mod product;
mod transform;
mod window;

pub use backward::Backward;
pub use filters::{Pack, Unpack};
pub use forward::Forward;

use super::{Convolution, blocks};
use crate::kernels::lanes::WIDTH;
use crate::kernels::lengths::{product, sum};

/// Points of the transform: 6 × 6.
const POINTS: usize = 36;
/// Outputs a tile has along each axis.
pub(super) const STEP: usize = 4;
/// Vectors of output channels whose filters lie together.
pub(super) const PAIR: usize = 2;
/// Tiles whose vectors of one block of channels lie together, all points: few enough that what one transform touches is on as
/// few pages as a processor keeps at hand for stores (16 on Intel's).
const GROUP: usize = 16;
/// Floats from one point to the next of a group. The extra vector keeps the 36 points of a tile from falling into the same few
/// sets of the cache.
const POINT: usize = (GROUP + 1) * WIDTH;
/// Floats of a group's vectors of one block of channels.
const PLANE: usize = POINTS * POINT;
/// Groups of tiles that are multiplied together, so that filters are read once for all of them.
const GROUPS: usize = 4;
/// Tiles that are transformed and multiplied together.
const BLOCK: usize = GROUPS * GROUP;
/// Images that go through a network together at most, however few tiles they have: more would not fit the caches.
const IMAGES: usize = 16;

/// A convolution's sizes in tiles.
#[derive(Debug, Clone, Copy)]
pub struct Winograd {
    conv: Convolution,
    /// Tiles along each axis.
    rows: usize,
    columns: usize,
}

impl Winograd {
    /// None where the filters are not 3×3, step or dilation are not 1, or there are groups.
    pub fn new(conv: Convolution) -> Option<Self> {
        conv.check();
        let fits = conv.kernel == 3 && conv.stride == 1 && conv.dilation == 1 && conv.groups == 1;
        let (rows, columns) = (conv.output.height.div_ceil(STEP), conv.output.width.div_ceil(STEP));
        fits.then_some(Self { conv, rows, columns })
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
        BLOCK.div_ceil(self.tiles()).min(IMAGES)
    }

    /// Floats of filters at the points, for one direction: point × pair of blocks × channel read × 32.
    pub fn filters(&self) -> usize {
        let (input, output) = (self.conv.input.channels, self.conv.output.channels);
        let pairs = product([blocks(output), input]).max(product([blocks(input), output]));
        product([POINTS, pairs, WIDTH])
    }

    /// Floats of the filters' gradient: tap × input channel × output channel, filled up to a block.
    pub fn gradient(&self) -> usize {
        product([9, self.conv.input.channels, self.padded_outputs()])
    }

    /// Floats a thread needs to compute in.
    pub fn workspace(&self) -> usize {
        let (inputs, outputs) = (points(blocks(self.conv.input.channels)), points(blocks(self.conv.output.channels)));
        sum([inputs, outputs, inputs.max(outputs)])
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

/// Floats of a block of tiles at the points: block of channels × group × point × tile × 16.
fn points(blocks: usize) -> usize {
    product([blocks, GROUPS, PLANE])
}

/// The first float of a tile's vectors of a block of channels; its points are [`POINT`] apart.
fn vectors(block: usize, tile: usize) -> usize {
    (block * GROUPS + tile / GROUP) * PLANE + tile % GROUP * WIDTH
}

#[derive(Clone, Copy)]
struct Place {
    image: usize,
    row: usize,
    column: usize,
}
