//! Batch normalisation (Ioffe, Szegedy, arXiv 1502.03167), channel by channel, as the paper writes it.

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

    /// Where a channel's numbers are.
    fn places(&self, channel: usize) -> impl Iterator<Item = usize> + use<> {
        let Self { batch, channels, plane } = *self;
        (0..batch).flat_map(move |image| (0..plane).map(move |pixel| (image * channels + channel) * plane + pixel))
    }

    fn channel_of(&self, at: usize) -> usize {
        at / self.plane % self.channels
    }
}

/// What a channel is normalised by.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Mean of each channel.
    pub mean: Vec<f64>,
    /// Mean of the squared distances to it: the biased variance.
    pub variance: Vec<f64>,
}

impl Statistics {
    /// Measures `input`: the mean first, then the distances to it, so that no digits cancel.
    pub fn of(shape: &NormShape, input: &[f64]) -> Self {
        let count = shape.count() as f64;
        let measured = (0..shape.channels).map(|channel| {
            let mean = shape.places(channel).map(|at| input[at]).sum::<f64>() / count;
            (mean, shape.places(channel).map(|at| (input[at] - mean).powi(2)).sum::<f64>() / count)
        });
        let (mean, variance) = measured.unzip();
        Self { mean, variance }
    }
}

/// What a normalisation computes with.
#[derive(Debug)]
pub struct Norm<'a> {
    /// Sizes.
    pub shape: NormShape,
    /// Of this batch, or those kept from training.
    pub statistics: &'a Statistics,
    /// Whether the statistics are those of the input itself, and the gradient flows through them too.
    pub of_batch: bool,
    /// Multiplied with each channel.
    pub scale: &'a [f64],
    /// Added to the variance.
    pub eps: f64,
}

impl Norm<'_> {
    fn normalised(&self, channel: usize, x: f64) -> f64 {
        (x - self.statistics.mean[channel]) / (self.statistics.variance[channel] + self.eps).sqrt()
    }
}

/// The gradients of a batch norm.
#[derive(Debug)]
pub struct NormGradients<'a> {
    /// Of the input.
    pub input: &'a mut [f64],
    /// Of the scale.
    pub scale: &'a mut [f64],
    /// Of the shift.
    pub shift: &'a mut [f64],
}

/// `output = (input - mean) / √(variance + eps) · scale + shift`.
pub fn forward(norm: &Norm<'_>, shift: &[f64], input: &[f64], output: &mut [f64]) {
    for (at, (&x, y)) in input.iter().zip(output).enumerate() {
        let channel = norm.shape.channel_of(at);
        *y = norm.normalised(channel, x) * norm.scale[channel] + shift[channel];
    }
}

/// All gradients, from that of the output and the input of the forward pass: the chain rule through mean and variance, as in
/// section 3 of the paper.
pub fn backward(norm: &Norm<'_>, input: &[f64], grad_output: &[f64], gradients: &mut NormGradients<'_>) {
    let count = norm.shape.count() as f64;
    for channel in 0..norm.shape.channels {
        let places = || norm.shape.places(channel);
        let (scale, mean) = (norm.scale[channel], norm.statistics.mean[channel]);
        let variance = norm.statistics.variance[channel] + norm.eps;
        gradients.scale[channel] = places().map(|at| grad_output[at] * norm.normalised(channel, input[at])).sum();
        gradients.shift[channel] = places().map(|at| grad_output[at]).sum();
        let of_variance = |at: usize| grad_output[at] * scale * (input[at] - mean) * -0.5 * variance.powf(-1.5);
        let grad_variance: f64 = places().map(of_variance).sum();
        let grad_mean: f64 = places().map(|at| -grad_output[at] * scale / variance.sqrt()).sum();
        for at in places() {
            let direct = grad_output[at] * scale / variance.sqrt();
            let through = grad_variance * 2.0 * (input[at] - mean) / count + grad_mean / count;
            gradients.input[at] = if norm.of_batch { direct + through } else { direct };
        }
    }
}
