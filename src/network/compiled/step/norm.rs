//! Batch norm between its two sweeps: partial sums become what the second sweep needs.

use crate::kernels::blocked::norm::combine;
use crate::network::compiled::forward::Affine;
use crate::network::compiled::program::NormNode;

/// What one batch made of a batch norm norm. Everything is filled up to a block.
#[derive(Debug)]
pub(super) struct NormState {
    /// Means, then biased variances.
    moments: Vec<f64>,
    pub(super) means: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
    /// What the gradient of the input is made with: see [`crate::kernels::blocked::norm::ApplyBackward`].
    pub(super) factors: Vec<f32>,
    /// Gradients of weight and bias.
    pub(super) to_weight: Vec<f32>,
    pub(super) to_bias: Vec<f32>,
}

/// A norm's parameters, as they lie in the state dict.
pub(super) struct NormParameters<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) running_mean: &'a mut [f32],
    pub(super) running_variance: &'a mut [f32],
}

/// Partial sums of a batch, group by group.
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    pub(super) partial: &'a [f32],
    /// Floats from one group's to the next.
    pub(super) stride: usize,
    /// Images in all.
    pub(super) batch: usize,
    /// Images in a group; the last has those that are left.
    pub(super) images: usize,
}

impl<'a> Groups<'a> {
    /// Each group's sums, and its images.
    fn iter(self) -> impl Iterator<Item = (&'a [f32], usize)> {
        let count = self.batch.div_ceil(self.images);
        let groups = self.partial.chunks_exact(self.stride).take(count).enumerate();
        groups.map(move |(at, partial)| (partial, self.images.min(self.batch - at * self.images)))
    }
}

impl NormState {
    pub(super) fn new(norm: &NormNode) -> Self {
        let channels = norm.channels();
        let zeros = |n: usize| vec![0.0; n * channels];
        let [means, scale, shift, to_weight, to_bias] = [1; 5].map(zeros);
        Self { moments: vec![0.0; 2 * channels], means, scale, shift, factors: zeros(3), to_weight, to_bias }
    }

    /// As the second sweep takes it.
    pub(super) fn affine(&self) -> Affine<'_> {
        Affine { means: &self.means, scale: &self.scale, shift: &self.shift }
    }

    /// After the first sweep of the forward pass: `groups` are the groups' partial sums.
    pub(super) fn measured(&mut self, norm: &NormNode, groups: Groups<'_>, parameters: NormParameters<'_>) {
        let plane = norm.maps.plane();
        let parts = groups.iter().map(|(partial, images)| (&partial[..norm.partial()], images * plane));
        combine(parts, &mut self.moments);
        let count = (groups.batch * norm.maps.plane()) as f64;
        let (means, variances) = self.moments.split_at(self.moments.len() / 2);
        let NormParameters { weight, bias, running_mean, running_variance } = parameters;
        for channel in 0..norm.maps.channels {
            let (mean, variance) = (means[channel], variances[channel]);
            let scale = f64::from(weight[channel]) / (variance + norm.eps).sqrt();
            self.means[channel] = mean as f32;
            self.scale[channel] = scale as f32;
            // The mean is subtracted as f32; what that rounds away is put back here.
            let rounded = mean - f64::from(mean as f32);
            self.shift[channel] = (f64::from(bias[channel]) - scale * rounded) as f32;
            let unbiased = variance * count / (count - 1.0).max(1.0);
            for (running, new) in [(&mut running_mean[channel], mean), (&mut running_variance[channel], unbiased)] {
                *running = ((1.0 - norm.momentum) * f64::from(*running) + norm.momentum * new) as f32;
            }
        }
    }

    /// After the first sweep of the backward pass: fills the factors, and the gradients of weight and bias.
    pub(super) fn gathered(&mut self, norm: &NormNode, groups: Groups<'_>) {
        let channels = self.means.len();
        let count = (groups.batch * norm.maps.plane()) as f64;
        for channel in 0..norm.maps.channels {
            let (mut sum, mut product) = (0.0, 0.0);
            for (partial, _) in groups.iter() {
                sum += f64::from(partial[channel]);
                product += f64::from(partial[channels + channel]);
            }
            let (mean, variance) = (self.moments[channel], self.moments[channels + channel]);
            let deviation = (variance + norm.eps).sqrt();
            let rounded = mean - f64::from(mean as f32);
            let product = product - rounded * sum;
            self.to_weight[channel] = (product / deviation) as f32;
            self.to_bias[channel] = sum as f32;
            // dx = scale · (dy − Σdy/n − (x − mean) · Σ(dy·(x − mean)) / (n · variance))
            let scale = f64::from(self.scale[channel]);
            let slope = -scale * product / (count * (variance + norm.eps));
            self.factors[channel] = scale as f32;
            self.factors[channels + channel] = slope as f32;
            self.factors[2 * channels + channel] = (-scale * sum / count - slope * rounded) as f32;
        }
    }
}
