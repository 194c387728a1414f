//! Batch normalisation, channel by channel, as the paper writes it.

use crate::kernels::batch_norm2d::{Norm, NormGradients, NormShape, Statistics};
use crate::kernels::real::Real;

/// [`Statistics::of`].
pub fn statistics<T: Real>(shape: &NormShape, input: &[T]) -> Statistics<T> {
    let count = shape.count() as f64;
    let over = |channel: usize, f: &dyn Fn(f64) -> f64| -> f64 {
        (0..input.len()).filter(|&at| channel_of(shape, at) == channel).map(|at| f(input[at].to_f64())).sum()
    };
    let means: Vec<f64> = (0..shape.channels).map(|channel| over(channel, &|x| x) / count).collect();
    let variances = (0..shape.channels).map(|channel| over(channel, &|x| (x - means[channel]).powi(2)) / count);
    Statistics { variance: variances.map(T::from_f64).collect(), mean: means.iter().map(|&mean| T::from_f64(mean)).collect() }
}

/// [`crate::kernels::batch_norm2d::forward`].
pub fn forward<T: Real>(norm: &Norm<'_, T>, shift: &[T], input: &[T], output: &mut [T]) {
    for (at, (&x, y)) in input.iter().zip(output).enumerate() {
        let channel = channel_of(&norm.shape, at);
        *y = T::from_f64(normalised(norm, channel, x) * norm.scale[channel].to_f64() + shift[channel].to_f64());
    }
}

/// [`crate::kernels::batch_norm2d::backward`]: the chain rule through mean and variance, as in section 3 of the paper.
pub fn backward<T: Real>(norm: &Norm<'_, T>, input: &[T], grad_output: &[T], gradients: &mut NormGradients<'_, T>) {
    let count = norm.shape.count() as f64;
    for channel in 0..norm.shape.channels {
        let places: Vec<usize> = (0..input.len()).filter(|&at| channel_of(&norm.shape, at) == channel).collect();
        let dy = |at: usize| grad_output[at].to_f64();
        let (scale, mean) = (norm.scale[channel].to_f64(), norm.statistics.mean[channel].to_f64());
        let variance = norm.statistics.variance[channel].to_f64() + norm.eps;
        gradients.scale[channel] = T::from_f64(places.iter().map(|&at| dy(at) * normalised(norm, channel, input[at])).sum());
        gradients.shift[channel] = T::from_f64(places.iter().map(|&at| dy(at)).sum());
        let of_variance = |&at: &usize| dy(at) * scale * (input[at].to_f64() - mean) * -0.5 * variance.powf(-1.5);
        let grad_variance: f64 = places.iter().map(of_variance).sum();
        let grad_mean: f64 = places.iter().map(|&at| -dy(at) * scale / variance.sqrt()).sum();
        for at in places {
            let direct = dy(at) * scale / variance.sqrt();
            let through = grad_variance * 2.0 * (input[at].to_f64() - mean) / count + grad_mean / count;
            gradients.input[at] = T::from_f64(if norm.of_batch { direct + through } else { direct });
        }
    }
}

fn channel_of(shape: &NormShape, at: usize) -> usize {
    at / shape.plane % shape.channels
}

fn normalised<T: Real>(norm: &Norm<'_, T>, channel: usize, x: T) -> f64 {
    let deviation = (norm.statistics.variance[channel].to_f64() + norm.eps).sqrt();
    (x.to_f64() - norm.statistics.mean[channel].to_f64()) / deviation
}
