//! What is done to each number alone: rectifying, dropping, sums.

use super::{Maps, blocks};
use crate::kernels::dropout::Mask;
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};

/// `max(x, 0)` in place; NaN stays.
pub struct Rectify<'a> {
    /// Any numbers.
    pub values: &'a mut [f32],
}

impl Kernel for Rectify<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for x in self.values {
            *x = if *x <= 0.0 { 0.0 } else { *x };
        }
    }
}

/// The gradient of rectifying (and of dropping after it), in place: `scale · gradient` where what came out is not 0.
pub struct Gate<'a> {
    /// What came out.
    pub values: &'a [f32],
    /// The gradient of what came out, and then of what went in.
    pub gradient: &'a mut [f32],
    /// What kept numbers were multiplied with.
    pub scale: f32,
}

impl Kernel for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for (g, &x) in self.gradient.iter_mut().zip(self.values) {
            *g = if x == 0.0 { 0.0 } else { *g * self.scale };
        }
    }
}

/// Dropout in place, on images in the blocked layout. Applied to a gradient it is the backward pass.
pub struct Drop<'a> {
    /// Shape.
    pub maps: Maps,
    /// Which elements stay, by their place in the whole batch in plain order.
    pub mask: &'a Mask,
    /// Place of the first image in the batch.
    pub first: usize,
    /// Whether the numbers are rectified on the way.
    pub rectify: bool,
    /// Images.
    pub values: &'a mut [f32],
}

impl Kernel for Drop<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let (plane, count) = (self.maps.plane(), blocks(self.maps.channels));
        for (index, pixels) in self.values.chunks_exact_mut(plane * WIDTH).enumerate() {
            let (image, block) = (self.first + index / count, index % count);
            // A block that is not full has lanes beyond the last channel; they are zeros whatever the mask says.
            let first = ((image * self.maps.channels + block * WIDTH) * plane) as u64;
            let start: [u64; WIDTH] = std::array::from_fn(|lane| first + (lane * plane) as u64);
            self.mask.apply_lanes(start, self.rectify, (pixels, WIDTH));
        }
    }
}

/// Dropout in place, on vectors as columns (feature × image).
pub struct DropColumns<'a> {
    /// Which elements stay, by image and feature.
    pub mask: &'a Mask,
    /// Features of a vector.
    pub features: usize,
    /// Images, a multiple of sixteen.
    pub batch: usize,
    /// Whether the numbers are rectified on the way.
    pub rectify: bool,
    /// Columns.
    pub values: &'a mut [f32],
}

impl Kernel for DropColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        assert!(self.batch.is_multiple_of(WIDTH) && self.values.len() >= self.features * self.batch, "dropout: columns");
        for first in (0..self.batch).step_by(WIDTH) {
            let start: [u64; WIDTH] = std::array::from_fn(|lane| ((first + lane) * self.features) as u64);
            let values = &mut self.values[first..(self.features - 1) * self.batch + first + WIDTH];
            self.mask.apply_lanes(start, self.rectify, (values, self.batch));
        }
    }
}

/// Adds numbers to others.
pub struct Accumulate<'a> {
    /// Added.
    pub from: &'a [f32],
    /// Added to.
    pub to: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for (y, &x) in self.to.iter_mut().zip(self.from) {
            *y += x;
        }
    }
}

/// Adds to a bias's gradient the sum of each channel of some images.
pub struct SumChannels<'a> {
    /// Shape.
    pub maps: Maps,
    /// Images.
    pub values: &'a [f32],
    /// A number a channel, added to.
    pub sums: &'a mut [f32],
}

impl Kernel for SumChannels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let count = blocks(self.maps.channels);
        for (index, pixels) in self.values.chunks_exact(self.maps.plane() * WIDTH).enumerate() {
            let mut total = l.zero();
            for row in pixels.chunks_exact(self.maps.width * WIDTH) {
                let mut sum = l.zero();
                for pixel in row.as_chunks().0 {
                    sum = l.add(sum, l.read(pixel));
                }
                total = l.add(total, sum);
            }
            let mut lanes = [0.0; WIDTH];
            l.write(&mut lanes, total);
            for (sum, x) in self.sums[index % count * WIDTH..].iter_mut().zip(lanes) {
                *sum += x;
            }
        }
    }
}
