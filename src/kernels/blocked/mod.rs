//! Fast kernels over one layout: feature maps in blocks of sixteen channels.
//!
//! An image is stored block × row × column × 16: all that a vector of sixteen channels needs lies together, for every
//! instruction set alike, and nothing is reordered between the first layer and the last. Channels that do not fill a block
//! are zeros. Batches are image after image. Functions here know neither layers nor networks; each is compared with the
//! formula in f64 in `naive`.

pub mod activate;
pub mod conv;
pub mod direct;
pub mod norm;
pub mod part;
pub mod pointwise;
pub mod pool;
pub(super) mod tile;
pub mod winograd;

use super::lanes::WIDTH;
use super::lengths::{product, sum};
use super::window::count;

/// Blocks that hold `channels`.
pub const fn blocks(channels: usize) -> usize {
    channels.div_ceil(WIDTH)
}

/// Shape of one image's feature maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maps {
    /// Feature maps.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Maps {
    /// Pixels of one map.
    pub const fn plane(&self) -> usize {
        product([self.height, self.width])
    }

    /// Floats of one image in the blocked layout.
    pub const fn len(&self) -> usize {
        product([blocks(self.channels), self.height, self.width, WIDTH])
    }

    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads one image in plain order (channel × height × width) into the blocked layout.
    pub fn block(&self, plain: &[f32], blocked: &mut [f32]) {
        let plane = self.plane();
        for (block, pixels) in blocked.chunks_exact_mut(plane * WIDTH).enumerate() {
            let channels = &plain[block * WIDTH * plane..plain.len().min((block + 1) * WIDTH * plane)];
            if channels.len() < WIDTH * plane {
                pixels.fill(0.0);
            }
            for (lane, channel) in channels.chunks_exact(plane).enumerate() {
                for (pixel, &x) in pixels.chunks_exact_mut(WIDTH).zip(channel) {
                    pixel[lane] = x;
                }
            }
        }
    }

    /// Writes one image in the blocked layout in plain order.
    pub fn unblock(&self, blocked: &[f32], plain: &mut [f32]) {
        let plane = self.plane();
        for (channel, values) in plain.chunks_exact_mut(plane).enumerate() {
            let (block, lane) = (channel / WIDTH, channel % WIDTH);
            let pixels = blocked[block * plane * WIDTH..].chunks_exact(WIDTH);
            for (x, pixel) in values.iter_mut().zip(pixels) {
                *x = pixel[lane];
            }
        }
    }
}

/// A convolution's sizes, as `torch.nn.Conv2d` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// What it reads.
    pub input: Maps,
    /// What it writes.
    pub output: Maps,
    /// Side of the square filter.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// Pixels from one tap of the filter to the next.
    pub dilation: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Convolution {
    /// The sizes that follow: `(n + 2·padding − reach) / stride + 1`; 0 where the window is larger than the padded plane.
    pub fn new(input: Maps, out_channels: usize, kernel: usize) -> Self {
        let output = Maps { channels: out_channels, ..input };
        Self { input, output, kernel, stride: 1, padding: 0, dilation: 1, groups: 1 }.sized()
    }

    /// With this step and padding.
    #[must_use]
    pub fn window(self, stride: usize, padding: usize) -> Self {
        Self { stride, padding, ..self }.sized()
    }

    /// With this distance between taps.
    #[must_use]
    pub fn dilated(self, dilation: usize) -> Self {
        Self { dilation, ..self }.sized()
    }

    /// With this many groups.
    #[must_use]
    pub fn grouped(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    fn sized(mut self) -> Self {
        let side = |n: usize| count(n, self.reach(), self.stride, self.padding);
        let (height, width) = (side(self.input.height), side(self.input.width));
        self.output = Maps { height, width, ..self.output };
        self
    }

    /// Side of what a window covers, from its first tap to its last: `(kernel − 1)·dilation + 1`.
    pub const fn reach(&self) -> usize {
        sum([product([self.kernel - 1, self.dilation]), 1])
    }

    /// What the kernels rely on when they read without looking.
    ///
    /// # Panics
    /// Where sizes do not belong together, or are larger than memory could be.
    fn check(&self) {
        let Self { input, output, kernel, stride, dilation, groups, .. } = *self;
        assert!(kernel.min(stride).min(dilation).min(groups) > 0, "convolution: no argument is 0");
        assert!(self.sized() == *self && !input.is_empty() && !output.is_empty(), "convolution: the output of these windows");
        let whole = |maps: Maps| maps.channels.is_multiple_of(groups);
        assert!(whole(input) && whole(output), "convolution: groups of as many channels, and something in each");
        // The whole padded plane: more than any frame.
        let padded = |side: usize| sum([side, self.padding, self.padding]);
        product([blocks(input.channels), padded(input.height), padded(input.width), WIDTH]);
        product([blocks(output.channels), padded(input.height), padded(input.width), WIDTH]);
        self.weights();
    }

    /// Input channels that one filter sees.
    pub const fn seen(&self) -> usize {
        self.input.channels / self.groups
    }

    /// Numbers in all filters.
    pub const fn weights(&self) -> usize {
        product([self.output.channels, self.seen(), self.kernel, self.kernel])
    }
}

#[cfg(test)]
mod tests;
