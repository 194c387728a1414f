//! Batch normalisation (Ioffe, Szegedy, arXiv 1502.03167) of each channel over batch and plane.

use rayon::prelude::*;

use super::real::Real;
use super::sum::{sum_of, sum_of2};

/// Sizes of the normalised tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormShape {
    /// Images.
    pub batch: usize,
    /// Channels, each normalised on its own.
    pub channels: usize,
    /// Height × width.
    pub plane: usize,
}

impl NormShape {
    /// Numbers a channel.
    pub fn count(&self) -> usize {
        self.batch * self.plane
    }

    /// One channel's planes.
    fn planes<'a, T>(&self, values: &'a [T], channel: usize) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        values.chunks(self.plane).skip(channel).step_by(self.channels)
    }

    fn check<T>(&self, values: &[T]) {
        assert_eq!(values.len(), self.batch * self.channels * self.plane, "batch norm: the tensor's length");
        assert!(self.plane > 0 && self.channels > 0, "batch norm: planes are not empty");
    }
}

/// What a channel is normalised by.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics<T> {
    /// Mean of each channel.
    pub mean: Vec<T>,
    /// Mean of the squared distances to it: the biased variance.
    pub variance: Vec<T>,
}

impl<T: Real> Statistics<T> {
    /// Measures `input`: the mean first, then the distances to it, so that no digits cancel.
    pub fn of(shape: &NormShape, input: &[T]) -> Self {
        shape.check(input);
        let measured = (0..shape.channels).into_par_iter().map(|channel| {
            let sum: f64 = shape.planes(input, channel).map(|plane| sum_of(plane, |x| x)).sum();
            let mean = T::from_f64(sum / shape.count() as f64);
            let squares: f64 = shape.planes(input, channel).map(|plane| sum_of(plane, |x| (x - mean) * (x - mean))).sum();
            (mean, T::from_f64(squares / shape.count() as f64))
        });
        let (mean, variance) = measured.unzip();
        Self { mean, variance }
    }

    /// The unbiased variances, which PyTorch's running statistics are made of.
    pub fn unbiased_variance(&self, shape: &NormShape) -> Vec<T> {
        let correction = shape.count() as f64 / (shape.count() as f64 - 1.0);
        self.variance.iter().map(|variance| T::from_f64(variance.to_f64() * correction)).collect()
    }

    fn inverse_deviation(&self, channel: usize, eps: f64) -> T {
        T::from_f64(1.0 / (self.variance[channel].to_f64() + eps).sqrt())
    }
}

/// What a normalisation computes with.
#[derive(Debug)]
pub struct Norm<'a, T> {
    /// Sizes.
    pub shape: NormShape,
    /// Of this batch, or those kept from training.
    pub statistics: &'a Statistics<T>,
    /// Whether the statistics are those of the input itself, and the gradient flows through them too.
    pub of_batch: bool,
    /// Multiplied with each channel.
    pub scale: &'a [T],
    /// Added to the variance.
    pub eps: f64,
}

/// The gradients of a batch norm.
#[derive(Debug)]
pub struct NormGradients<'a, T> {
    /// Of the input.
    pub input: &'a mut [T],
    /// Of the scale.
    pub scale: &'a mut [T],
    /// Of the shift.
    pub shift: &'a mut [T],
}

/// `output = (input - mean) / √(variance + eps) · scale + shift`.
pub fn forward<T: Real>(norm: &Norm<'_, T>, shift: &[T], input: &[T], output: &mut [T]) {
    let shape = &norm.shape;
    shape.check(input);
    shape.check(output);
    let factor = |channel| norm.statistics.inverse_deviation(channel, norm.eps) * norm.scale[channel];
    let factors: Vec<T> = (0..shape.channels).map(factor).collect();
    let planes = input.par_chunks(shape.plane).zip(output.par_chunks_mut(shape.plane));
    planes.with_min_len(shape.channels.min(16)).enumerate().for_each(|(plane, (input, output))| {
        let channel = plane % shape.channels;
        let (mean, factor, shift) = (norm.statistics.mean[channel], factors[channel], shift[channel]);
        input.iter().zip(output).for_each(|(&x, y)| *y = (x - mean) * factor + shift);
    });
}

/// All gradients, from that of the output and the input of the forward pass.
pub fn backward<T: Real>(norm: &Norm<'_, T>, input: &[T], grad_output: &[T], gradients: &mut NormGradients<'_, T>) {
    let shape = &norm.shape;
    shape.check(input);
    shape.check(grad_output);
    shape.check(gradients.input);
    let (scales, shifts) = (gradients.scale.par_iter_mut(), gradients.shift.par_iter_mut());
    scales.zip(shifts).enumerate().for_each(|(channel, (scale, shift))| {
        let mean = norm.statistics.mean[channel];
        let planes = shape.planes(grad_output, channel).zip(shape.planes(input, channel));
        let product: f64 = planes.map(|(dy, x)| sum_of2(dy, x, |dy, x| dy * (x - mean))).sum();
        let sum: f64 = shape.planes(grad_output, channel).map(|dy| sum_of(dy, |dy| dy)).sum();
        *scale = T::from_f64(product * norm.statistics.inverse_deviation(channel, norm.eps).to_f64());
        *shift = T::from_f64(sum);
    });
    // dx = factor · (dy - mean(dy) - x̂ · mean(dy · x̂)), the two means only where the statistics are the batch's.
    let count = T::from_f64(shape.count() as f64);
    let terms = |channel: usize| {
        let inverse = norm.statistics.inverse_deviation(channel, norm.eps);
        let (along, mean) = (gradients.scale[channel] / count * inverse, gradients.shift[channel] / count);
        let factor = inverse * norm.scale[channel];
        if norm.of_batch { [factor, mean, along] } else { [factor, T::ZERO, T::ZERO] }
    };
    let terms: Vec<[T; 3]> = (0..shape.channels).map(terms).collect();
    let planes = input.par_chunks(shape.plane).zip(grad_output.par_chunks(shape.plane));
    let planes = planes.zip(gradients.input.par_chunks_mut(shape.plane)).with_min_len(shape.channels.min(16));
    planes.enumerate().for_each(|(plane, ((input, grad_output), grad_input))| {
        let channel = plane % shape.channels;
        let ([factor, mean_gradient, along], mean) = (terms[channel], norm.statistics.mean[channel]);
        let values = input.iter().zip(grad_output).zip(grad_input);
        values.for_each(|((&x, &dy), dx)| *dx = (dy - mean_gradient - (x - mean) * along) * factor);
    });
}

#[cfg(test)]
mod tests {
    use super::super::naive::batch_norm2d as formula;
    use super::super::testing::{assert_close, assert_same_for_any_threads, filled, numbers};
    use super::*;

    type Backward<T> = fn(&Norm<'_, T>, &[T], &[T], &mut NormGradients<'_, T>);

    fn gradients<T: Real>(norm: &Norm<'_, T>, x: &[T], dy: &[T], backward: Backward<T>) -> [Vec<T>; 3] {
        let (mut input, mut scale, mut shift) = (vec![T::ONE; x.len()], numbers(8, norm.scale.len()), numbers(9, norm.scale.len()));
        backward(norm, x, dy, &mut NormGradients { input: &mut input, scale: &mut scale, shift: &mut shift });
        [input, scale, shift]
    }

    fn assert_is_its_formula<T: Real>(shape: NormShape, of_batch: bool, tolerance: f64) {
        let len = shape.batch * shape.channels * shape.plane;
        // Far from 0, where the square of the mean would drown the variance.
        let x: Vec<T> = numbers::<T>(1, len).into_iter().map(|x| x + T::from_f64(100.0)).collect();
        let (scale, shift, dy) = (numbers(2, shape.channels), numbers::<T>(3, shape.channels), numbers(4, len));
        let statistics = formula::statistics(&shape, &x);
        let found = Statistics::of(&shape, &x);
        assert_close(&found.mean, &statistics.mean, tolerance);
        assert_close(&found.variance, &statistics.variance, tolerance);
        let norm = Norm { shape, statistics: &statistics, of_batch, scale: &scale, eps: 1e-5 };
        let y = filled(len, |y| forward(&norm, &shift, &x, y));
        assert_close(&y, &filled(len, |y| formula::forward(&norm, &shift, &x, y)), tolerance);
        let found = gradients(&norm, &x, &dy, backward);
        found.iter().zip(gradients(&norm, &x, &dy, formula::backward)).for_each(|(a, b)| assert_close(a, &b, tolerance));
    }

    #[test]
    fn any_norm_is_its_formula() {
        for (batch, channels, plane) in [(2, 1, 1), (1, 3, 2), (3, 5, 35), (33, 2, 17), (2, 40, 1)] {
            for of_batch in [true, false] {
                let shape = NormShape { batch, channels, plane };
                assert_is_its_formula::<f64>(shape, of_batch, 1e-11);
                assert_is_its_formula::<f32>(shape, of_batch, 2e-4);
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let shape = NormShape { batch: 20, channels: 9, plane: 50 };
        let (x, dy) = (numbers::<f32>(1, 9000), numbers::<f32>(2, 9000));
        let scale = numbers(3, 9);
        assert_same_for_any_threads(|| {
            let statistics = Statistics::of(&shape, &x);
            let norm = Norm { shape, statistics: &statistics, of_batch: true, scale: &scale, eps: 1e-5 };
            (filled(9000, |y| forward(&norm, &scale, &x, y)), gradients(&norm, &x, &dy, backward))
        });
    }
}
