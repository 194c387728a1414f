//! Batch norm in the blocked layout, in the two sweeps over a batch that it cannot do without: measure, then apply.
//!
//! What one thread measures on some images is combined in order, in f64, by the formula of Chan, Golub and `LeVeque`, so the result
//! does not depend on who measured what.

use super::{Maps, blocks};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};

/// Refuses the batch whose variance would be divided by 0, in PyTorch's words; `size` is image × channel × height × width.
pub fn check_values(size: [usize; 4]) -> Result<(), String> {
    let [images, _, height, width] = size;
    if images.saturating_mul(height).saturating_mul(width) > 1 {
        return Ok(());
    }
    Err(format!("Expected more than 1 value per channel when training, got input size {size:?}: take larger batches or planes"))
}

/// A number near the mean of each channel over some images, and the sums of distances to it and of their squares.
pub struct Measure<'a> {
    /// Shape.
    pub maps: Maps,
    /// Images.
    pub input: &'a [f32],
    /// Those three, each filled up to a block.
    pub moments: &'a mut [f32],
}

impl Kernel for Measure<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (means, rest) = self.moments.split_at_mut(blocks(self.maps.channels) * WIDTH);
        let (distances, squares) = rest.split_at_mut(blocks(self.maps.channels) * WIDTH);
        let images = self.input.len() / self.maps.len();
        let share = l.splat(1.0 / (images * self.maps.plane()) as f32);
        let outputs = means.as_chunks_mut().0.iter_mut().zip(distances.as_chunks_mut().0).zip(squares.as_chunks_mut().0);
        for (block, ((mean, distance), square)) in outputs.enumerate() {
            let rows = || rows(self.input, self.maps, block);
            // Sums of rows before sums of planes: fewer roundings on the way of each number.
            let mut total = l.zero();
            for row in rows() {
                let mut sum = l.zero();
                for pixel in row {
                    sum = l.add(sum, l.read(pixel));
                }
                total = l.add(total, sum);
            }
            let center = l.mul(total, share);
            l.write(mean, center);
            let (mut first, mut second) = (l.zero(), l.zero());
            for row in rows() {
                let (mut sum, mut dot) = (l.zero(), l.zero());
                for pixel in row {
                    let apart = l.sub(l.read(pixel), center);
                    sum = l.add(sum, apart);
                    dot = l.mul_add(apart, apart, dot);
                }
                first = l.add(first, sum);
                second = l.add(second, dot);
            }
            l.write(distance, first);
            l.write(square, second);
        }
    }
}

/// The rows of a block of channels in all images.
fn rows(input: &[f32], maps: Maps, block: usize) -> impl Iterator<Item = &[[f32; WIDTH]]> {
    let plane = maps.plane() * WIDTH;
    input.chunks_exact(maps.len()).flat_map(move |image| {
        image[block * plane..][..plane].chunks_exact(maps.width * WIDTH).map(|row| row.as_chunks::<WIDTH>().0)
    })
}

/// Combines what [`Measure`] found on parts of a batch: `parts` are moments and how many numbers a channel they are of. Gives
/// means and biased variances, each filled up to a block.
pub fn combine<'a>(parts: impl Iterator<Item = (&'a [f32], usize)>, moments: &mut [f64]) {
    let (means, squares) = moments.split_at_mut(moments.len() / 2);
    means.fill(0.0);
    squares.fill(0.0);
    let mut seen = 0.0;
    for (part, count) in parts {
        let (count, channels) = (count as f64, means.len());
        let total = seen + count;
        for (channel, (mean, square)) in means.iter_mut().zip(&mut *squares).enumerate() {
            let [center, apart, squared] = [0, 1, 2].map(|i| f64::from(part[i * channels + channel]));
            let distance = center + apart / count - *mean;
            *mean += distance * count / total;
            *square += squared - apart * apart / count + distance * distance * seen * count / total;
        }
        seen = total;
    }
    for square in squares {
        *square /= seen;
    }
}

/// `scale · (x - mean) + shift` in each channel. (Not with the mean folded into the shift: a channel whose mean is large beside
/// its deviation would lose its digits.)
pub struct Apply<'a> {
    /// Shape.
    pub maps: Maps,
    /// Images.
    pub input: &'a [f32],
    /// As many.
    pub output: &'a mut [f32],
    /// A number a channel, filled up to a block.
    pub means: &'a [f32],
    /// A number a channel, filled up to a block.
    pub scale: &'a [f32],
    /// A number a channel, filled up to a block.
    pub shift: &'a [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let plane = self.maps.plane() * WIDTH;
        assert!(self.input.len() == self.output.len(), "norm: lengths");
        let [means, scales, shifts] = [self.means, self.scale, self.shift].map(|numbers| numbers.as_chunks::<WIDTH>().0);
        let planes = self.input.chunks_exact(plane).zip(self.output.chunks_exact_mut(plane));
        for (index, (input, output)) in planes.enumerate() {
            let block = index % scales.len();
            let (mean, scale, shift) = (l.read(&means[block]), l.read(&scales[block]), l.read(&shifts[block]));
            for (x, y) in input.as_chunks().0.iter().zip(output.as_chunks_mut().0) {
                l.write(y, l.mul_add(l.sub(l.read(x), mean), scale, shift));
            }
        }
    }
}

/// Sums that the gradient needs, of each channel over some images.
pub struct MeasureBackward<'a> {
    /// Shape.
    pub maps: Maps,
    /// What was normalised.
    pub input: &'a [f32],
    /// Gradient of the result.
    pub gradient: &'a [f32],
    /// Means of the batch, filled up to a block.
    pub means: &'a [f32],
    /// Σ gradient, then Σ gradient · (input - mean), each filled up to a block.
    pub sums: &'a mut [f32],
}

impl Kernel for MeasureBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (firsts, seconds) = self.sums.split_at_mut(blocks(self.maps.channels) * WIDTH);
        let outputs = firsts.as_chunks_mut().0.iter_mut().zip(seconds.as_chunks_mut().0);
        let means = self.means.as_chunks::<WIDTH>().0;
        for (block, (first, second)) in outputs.enumerate() {
            let mean = l.read(&means[block]);
            let (mut total, mut product) = (l.zero(), l.zero());
            for (inputs, gradients) in rows(self.input, self.maps, block).zip(rows(self.gradient, self.maps, block)) {
                let (mut sum, mut dot) = (l.zero(), l.zero());
                for (x, dy) in inputs.iter().zip(gradients) {
                    let dy = l.read(dy);
                    sum = l.add(sum, dy);
                    dot = l.mul_add(dy, l.sub(l.read(x), mean), dot);
                }
                total = l.add(total, sum);
                product = l.add(product, dot);
            }
            l.write(first, total);
            l.write(second, product);
        }
    }
}

/// `a · dy + b · (x - mean) + c` in each channel: what the gradient of batch norm comes to once its sums are known.
pub struct ApplyBackward<'a> {
    /// Shape.
    pub maps: Maps,
    /// What was normalised.
    pub input: &'a [f32],
    /// Gradient of the result.
    pub gradient: &'a [f32],
    /// Means of the batch, filled up to a block.
    pub means: &'a [f32],
    /// a, b and c, each filled up to a block.
    pub factors: &'a [f32],
    /// Gradient of the input, overwritten.
    pub output: &'a mut [f32],
}

impl Kernel for ApplyBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let plane = self.maps.plane() * WIDTH;
        let count = blocks(self.maps.channels);
        assert!(self.input.len() == self.output.len() && self.gradient.len() == self.output.len(), "norm: lengths");
        let (means, factors) = (self.means.as_chunks::<WIDTH>().0, self.factors.as_chunks::<WIDTH>().0);
        let planes = self.input.chunks_exact(plane).zip(self.gradient.chunks_exact(plane)).zip(self.output.chunks_exact_mut(plane));
        for (index, ((input, gradient), output)) in planes.enumerate() {
            let block = index % count;
            let [a, b, c] = [0, 1, 2].map(|i| l.read(&factors[i * count + block]));
            let mean = l.read(&means[block]);
            let pixels = input.as_chunks().0.iter().zip(gradient.as_chunks().0).zip(output.as_chunks_mut().0);
            for ((x, dy), dx) in pixels {
                l.write(dx, l.mul_add(l.read(dy), a, l.mul_add(l.sub(l.read(x), mean), b, c)));
            }
        }
    }
}
