//! The differentiable operations of a network, on candle's tensors.
//!
//! One function a kind of layer, with the arguments of the architecture file. On the CPU each is a candle custom op around a
//! kernel of [`crate::kernels`], gradient included; elsewhere it is its [`twin`], the same function composed of candle's own
//! primitives. Inputs may have any strides, in `f32` or `f64`. Gradients are computed for those arguments only that depend
//! on a variable. This module does not know layers by name, nor in which order they are computed.

pub mod twin;

use candle_core::{Result, Tensor, Var, bail};

use crate::network::spec::{AdaptiveAvgPool2d, Conv2d, Pool2d};
use crate::optim::Sgd;

/// Cross-correlation: `x` is batch × in × height × width, `weight` out × in / groups × k × k, `bias` one number an output
/// channel. As `torch.nn.functional.conv2d`.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Tensor> {
    twin::conv2d(x, weight, bias, conv)
}

/// Normalises each channel of `x` (batch × channel × height × width) by its mean and variance over batch and plane, then
/// applies `scale` and `shift` (one number a channel each). Gives, beside the result, the means and the unbiased variances
/// for the running statistics; no gradient flows through those two. As `torch.nn.functional.batch_norm` in training.
pub fn batch_norm2d(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    let (batch, channels, height, width) = x.dims4()?;
    if batch * height * width < 2 {
        bail!("batch norm needs more than one value a channel in training: batch {batch}, {channels} × {height} × {width}");
    }
    twin::batch_norm2d(x, scale, shift, eps)
}

/// Batch norm by running statistics; `parameters` are scale, shift, running mean and running variance (the order of the
/// state dict), one number a channel each.
pub fn batch_norm2d_eval(x: &Tensor, parameters: [&Tensor; 4], eps: f64) -> Result<Tensor> {
    twin::batch_norm2d_eval(x, parameters, eps)
}

/// `max(x, 0)`; NaN stays, the gradient at 0 is 0. As `torch.nn.functional.relu`.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    twin::relu(x)
}

/// `x · Φ(x)`, by the error function. As `torch.nn.functional.gelu`.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    twin::gelu(x)
}

/// `x · sigmoid(x)`. As `torch.nn.functional.silu`.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    twin::silu(x)
}

/// The maximum of each window; a tie goes, gradient and all, to the first in row order. As `torch.nn.functional.max_pool2d`.
pub fn max_pool2d(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    twin::max_pool2d(x, pool)
}

/// The mean of each window, padding counted as zeros. As `torch.nn.functional.avg_pool2d`.
pub fn avg_pool2d(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    twin::avg_pool2d(x, pool)
}

/// The mean over windows that split the plane into `output_size` × `output_size`. As
/// `torch.nn.functional.adaptive_avg_pool2d`.
pub fn adaptive_avg_pool2d(x: &Tensor, pool: &AdaptiveAvgPool2d) -> Result<Tensor> {
    twin::adaptive_avg_pool2d(x, pool)
}

/// `y = x·Wᵀ + b`: `x` is batch × in, `weight` out × in, `bias` out. As `torch.nn.functional.linear`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    twin::linear(x, weight, bias)
}

/// Zeroes elements with probability `p` (0 ≤ p < 1) and multiplies the rest by `1 / (1 - p)`; equal seeds zero equal elements.
pub fn dropout(x: &Tensor, p: f64, seed: u64) -> Result<Tensor> {
    if p == 0.0 {
        return Ok(x.clone());
    }
    twin::dropout(x, p, seed)
}

/// Mean softmax cross-entropy of `logits` (batch × class) against `labels`, a scalar, and how many images have their
/// label's score as the first of the highest. As `torch.nn.functional.cross_entropy` with `label_smoothing`.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<(Tensor, usize)> {
    let (batch, classes) = logits.dims2()?;
    if labels.len() != batch {
        bail!("{} labels for {batch} images: give one an image", labels.len());
    }
    if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
        bail!("label {label} of {classes} classes: labels count from 0");
    }
    twin::cross_entropy(logits, labels, smoothing)
}

/// One update of `weights` in place. `momentum` is the optimizer's buffer, of the same shape, zeros before the first update.
/// As `torch.optim.SGD`; weight decay is applied where `sgd` says so, whatever the parameter is.
pub fn sgd_update(weights: &Var, gradient: &Tensor, momentum: &Var, sgd: &Sgd) -> Result<()> {
    twin::sgd_update(weights, gradient, momentum, sgd)
}
