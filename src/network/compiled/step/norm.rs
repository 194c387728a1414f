//! Batch norm between its two sweeps: partial sums become what the second sweep needs.

use super::program::{NormLayer, Program};
use crate::kernels::blocked::norm::combine;

/// What one batch made of a batch norm layer. Everything is filled up to a block.
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

impl NormState {
    pub(super) fn new(layer: &NormLayer) -> Self {
        let channels = layer.maps.len() / layer.maps.plane();
        let zeros = |n: usize| vec![0.0; n * channels];
        let [means, scale, shift, to_weight, to_bias] = [1; 5].map(zeros);
        Self { moments: vec![0.0; 2 * channels], means, scale, shift, factors: zeros(3), to_weight, to_bias }
    }

    /// After the first sweep of the forward pass. `groups` are the groups' kept values, `batch` the images in all.
    pub(super) fn measured(
        &mut self,
        (program, norm): (&Program, usize),
        saved: &[f32],
        batch: usize,
        parameters: NormParameters<'_>,
    ) {
        let layer = &program.norms[norm];
        let partial = program.partial(norm, program.sizes.saved);
        let groups = saved.chunks_exact(program.saved_a_group()).enumerate();
        let images = |group: usize| program.group.min(batch - group * program.group);
        let parts = groups
            .take(batch.div_ceil(program.group))
            .map(|(g, values)| (&values[partial.clone()], images(g) * layer.maps.plane()));
        combine(parts, &mut self.moments);
        let count = (batch * layer.maps.plane()) as f64;
        let (means, variances) = self.moments.split_at(self.moments.len() / 2);
        let NormParameters { weight, bias, running_mean, running_variance } = parameters;
        for channel in 0..layer.maps.channels {
            let (mean, variance) = (means[channel], variances[channel]);
            let scale = f64::from(weight[channel]) / (variance + layer.eps).sqrt();
            self.means[channel] = mean as f32;
            self.scale[channel] = scale as f32;
            // The mean is subtracted as f32; what that rounds away is put back here.
            let rounded = mean - f64::from(mean as f32);
            self.shift[channel] = (f64::from(bias[channel]) - scale * rounded) as f32;
            let unbiased = variance * count / (count - 1.0).max(1.0);
            for (running, new) in [(&mut running_mean[channel], mean), (&mut running_variance[channel], unbiased)] {
                *running = ((1.0 - layer.momentum) * f64::from(*running) + layer.momentum * new) as f32;
            }
        }
    }

    /// After the first sweep of the backward pass: fills the factors, and the gradients of weight and bias.
    pub(super) fn gathered(&mut self, (program, norm): (&Program, usize), gradients: &[f32], batch: usize) {
        let layer = &program.norms[norm];
        let partial = program.partial(norm, program.sizes.gradients);
        let channels = self.means.len();
        let count = (batch * layer.maps.plane()) as f64;
        for channel in 0..layer.maps.channels {
            let (mut sum, mut product) = (0.0, 0.0);
            for group in gradients.chunks_exact(program.gradients_a_group()).take(batch.div_ceil(program.group)) {
                let partial = &group[partial.clone()];
                sum += f64::from(partial[channel]);
                product += f64::from(partial[channels + channel]);
            }
            let (mean, variance) = (self.moments[channel], self.moments[channels + channel]);
            let deviation = (variance + layer.eps).sqrt();
            let rounded = mean - f64::from(mean as f32);
            let product = product - rounded * sum;
            self.to_weight[channel] = (product / deviation) as f32;
            self.to_bias[channel] = sum as f32;
            // dx = scale · (dy − Σdy/n − (x − mean) · Σ(dy·(x − mean)) / (n · variance))
            let scale = f64::from(self.scale[channel]);
            let slope = -scale * product / (count * (variance + layer.eps));
            self.factors[channel] = scale as f32;
            self.factors[channels + channel] = slope as f32;
            self.factors[2 * channels + channel] = (-scale * sum / count - slope * rounded) as f32;
        }
    }
}
