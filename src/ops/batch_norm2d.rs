//! Batch normalisation.

use candle_core::{Result, Tensor, bail};

use crate::kernels::blocked::norm::check_values;

/// Normalises each channel of `x` (batch × channel × height × width) by its mean and variance over batch and plane, then
/// applies `scale` and `shift` (one number a channel each). Gives, beside the result, the means and the unbiased variances
/// for the running statistics; no gradient flows through those two. As `torch.nn.functional.batch_norm` in training.
pub fn batch_norm2d(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    check(x, &[scale, shift])?;
    let (batch, channels, height, width) = x.dims4()?;
    let count = batch * height * width;
    if let Err(sentence) = check_values([batch, channels, height, width]) {
        bail!("{sentence}");
    }
    let rows = x.transpose(0, 1)?.reshape((channels, count))?;
    let mean = rows.mean_keepdim(1)?;
    let centred = rows.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim(1)?;
    let normal = centred.broadcast_div(&(&variance + eps)?.sqrt()?)?;
    let y = normal.broadcast_mul(&scale.unsqueeze(1)?)?.broadcast_add(&shift.unsqueeze(1)?)?;
    let y = y.reshape((channels, batch, height, width))?.transpose(0, 1)?.contiguous()?;
    let unbiased = (variance.detach().squeeze(1)? * (count as f64 / (count as f64 - 1.0)))?;
    Ok((y, mean.detach().squeeze(1)?, unbiased))
}

/// Batch norm by running statistics; `parameters` are scale, shift, running mean and running variance (the order of the
/// state dict), one number a channel each. The running statistics are constants to the gradient.
pub fn batch_norm2d_eval(x: &Tensor, parameters: [&Tensor; 4], eps: f64) -> Result<Tensor> {
    check(x, &parameters)?;
    let [scale, shift, mean, variance] = parameters;
    let factor = (scale / (variance.detach() + eps)?.sqrt()?)?;
    let of_channel = |numbers: &Tensor| numbers.reshape((1, (), 1, 1));
    // Not with the mean folded into the shift: a channel whose mean is large beside its deviation would lose its digits.
    let centred = x.broadcast_sub(&of_channel(&mean.detach())?)?;
    centred.broadcast_mul(&of_channel(&factor)?)?.broadcast_add(&of_channel(shift)?)
}

fn check(x: &Tensor, parameters: &[&Tensor]) -> Result<()> {
    let (_, channels, height, width) = x.dims4()?;
    if let Some(parameter) = parameters.iter().find(|parameter| parameter.dims() != [channels]) {
        bail!("batch norm was given {:?} where [{channels}] are needed", parameter.dims());
    }
    if channels * height * width == 0 {
        bail!("batch norm was given an image of {channels} × {height} × {width}");
    }
    Ok(())
}
