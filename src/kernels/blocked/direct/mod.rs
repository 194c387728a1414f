//! Convolution of any shape, directly: each output pixel is a sum over the taps under its window.
//!
//! An image is first copied into a frame of zeros, so that no window needs a test for the border; the same copy spreads a
//! gradient out for the backward pass of a strided convolution, which is then this very computation with the filters turned
//! round. Groups are ranges of channels: a pair of output blocks reads those that its channels see, and filters are 0 where
//! a channel of the range is not seen.

mod backward;
mod filters;
mod forward;

pub use backward::Backward;
pub use filters::{Pack, Unpack};
pub use forward::Forward;

use super::{Convolution, Maps, blocks};
use crate::kernels::lanes::WIDTH;
use crate::kernels::lengths::{product, sum};

/// Channels of one block under one tap: what a window's sum is made of.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// From a window's first float in the frame.
    offset: usize,
    /// Channels from there.
    count: usize,
    /// The first of them.
    channel: usize,
    /// Row and column under the window.
    tap: (usize, usize),
}

/// Output blocks computed together, and what they read.
#[derive(Debug, Clone)]
struct Pair {
    /// First output block.
    block: usize,
    /// Two, or one at the end.
    columns: usize,
    runs: Vec<Run>,
    /// The same for who needs no taps: offset and count of what lies in one piece.
    pieces: Vec<(usize, usize)>,
    /// Where its filters start.
    filters: usize,
}

/// A direct convolution's sizes, forward or adjoint.
#[derive(Debug, Clone)]
pub struct Direct {
    conv: Convolution,
    /// Whether it goes from the output's gradient to the input's.
    adjoint: bool,
    read: Maps,
    written: Maps,
    /// Rows and columns of the frame.
    frame: (usize, usize),
    /// Floats of a pixel of the frame: a block, or as many as there are channels where they do not fill one.
    pixel: usize,
    /// Where a read pixel goes in the frame: `pixel * spread + shift`, if that is inside.
    spread: usize,
    shift: isize,
    /// Step between windows in the frame.
    step: usize,
    pairs: Vec<Pair>,
    filters: usize,
}

impl Direct {
    /// The forward pass.
    pub fn forward(conv: Convolution) -> Self {
        conv.check();
        let Convolution { input, output, stride, padding, .. } = conv;
        let frame = ((output.height - 1) * stride + conv.reach(), (output.width - 1) * stride + conv.reach());
        let seed = Self {
            conv,
            adjoint: false,
            read: input,
            written: output,
            frame,
            pixel: WIDTH.min(input.channels),
            spread: 1,
            shift: padding as isize,
            step: stride,
            pairs: vec![],
            filters: 0,
        };
        seed.paired()
    }

    /// The backward pass to the input.
    pub fn adjoint(conv: Convolution) -> Self {
        conv.check();
        let Convolution { input, output, stride, padding, .. } = conv;
        let frame = (input.height + conv.reach() - 1, input.width + conv.reach() - 1);
        let shift = conv.reach() as isize - 1 - padding as isize;
        let seed = Self {
            conv,
            adjoint: true,
            read: output,
            written: input,
            frame,
            pixel: WIDTH.min(output.channels),
            spread: stride,
            shift,
            step: 1,
            pairs: vec![],
            filters: 0,
        };
        seed.paired()
    }

    /// Floats of packed filters, and of their gradient.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// Floats a thread needs to compute in.
    pub fn workspace(&self) -> usize {
        product([blocks(self.read.channels), self.frame.0, self.frame.1, self.pixel])
    }

    fn paired(mut self) -> Self {
        let (k, dilation) = (self.conv.kernel, self.conv.dilation);
        // What `Forward` and `Backward` rely on when they read the frame without looking: no place in it wraps around.
        self.workspace();
        let (read_a_group, written_a_group) = (self.read.channels / self.conv.groups, self.written.channels / self.conv.groups);
        for block in (0..blocks(self.written.channels)).step_by(2) {
            let columns = 2.min(blocks(self.written.channels) - block);
            let last = self.written.channels.min((block + columns) * WIDTH) - 1;
            let first_read = block * WIDTH / written_a_group * read_a_group;
            let end_read = (last / written_a_group + 1) * read_a_group;
            let mut runs = Vec::new();
            let reserved = runs.try_reserve_exact(product([blocks(end_read) - first_read / WIDTH, k, k]));
            assert!(reserved.is_ok(), "convolution: there is no memory for filters of {k} × {k}");
            for read in first_read / WIDTH..blocks(end_read) {
                let channel = first_read.max(read * WIDTH);
                let count = end_read.min((read + 1) * WIDTH) - channel;
                for tap in (0..k * k).map(|tap| (tap / k, tap % k)) {
                    let pixel = (read * self.frame.0 + tap.0 * dilation) * self.frame.1 + tap.1 * dilation;
                    runs.push(Run { offset: pixel * self.pixel + channel % WIDTH, count, channel, tap });
                }
            }
            let steps: usize = runs.iter().map(|run| run.count).sum();
            let mut pieces: Vec<(usize, usize)> = Vec::new();
            for run in &runs {
                match pieces.last_mut() {
                    Some((offset, count)) if *offset + *count == run.offset => *count += run.count,
                    _ => pieces.push((run.offset, run.count)),
                }
            }
            self.pairs.push(Pair { block, columns, runs, pieces, filters: self.filters });
            self.filters = sum([self.filters, product([steps, columns, WIDTH])]);
        }
        self
    }

    /// Copies of one image what the output's `rows` need into the frame.
    fn embed(&self, image: &[f32], frame: &mut [f32], rows: &std::ops::Range<usize>) {
        let Maps { height, width, .. } = self.read;
        let (all, columns) = self.frame;
        let wanted = rows.start * self.step..(rows.end.max(1) - 1) * self.step + self.conv.reach();
        let place =
            |pixel: usize, side: usize| usize::try_from((pixel * self.spread) as isize + self.shift).ok().filter(|&at| at < side);
        let step = self.pixel;
        let (planes, frames) = (image.chunks_exact(height * width * WIDTH), frame.chunks_exact_mut(all * columns * step));
        for (plane, frame) in planes.zip(frames) {
            frame[wanted.start * columns * step..wanted.end * columns * step].fill(0.0);
            for (row, pixels) in plane.chunks_exact(width * WIDTH).enumerate() {
                let Some(row) = place(row, all).filter(|row| wanted.contains(row)) else { continue };
                let line = &mut frame[row * columns * step..][..columns * step];
                if step == WIDTH && self.spread == 1 && self.shift >= 0 && self.shift as usize + width <= columns {
                    line[self.shift as usize * WIDTH..][..width * WIDTH].copy_from_slice(pixels);
                    continue;
                }
                for (column, pixel) in pixels.chunks_exact(WIDTH).enumerate() {
                    if let Some(column) = place(column, columns) {
                        for (to, &x) in line[column * step..][..step].iter_mut().zip(pixel) {
                            *to = x;
                        }
                    }
                }
            }
        }
    }
}
