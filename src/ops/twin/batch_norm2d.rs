//! Batch normalisation.

use candle_core::{Result, Tensor};

/// [`crate::ops::batch_norm2d`].
pub fn batch_norm2d(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    let (batch, channels, height, width) = x.dims4()?;
    let count = batch * height * width;
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

/// [`crate::ops::batch_norm2d_eval`].
pub fn batch_norm2d_eval(x: &Tensor, [scale, shift, mean, variance]: [&Tensor; 4], eps: f64) -> Result<Tensor> {
    let factor = (scale / (variance + eps)?.sqrt()?)?;
    let offset = (shift - (mean * &factor)?)?;
    x.broadcast_mul(&factor.reshape((1, (), 1, 1))?)?.broadcast_add(&offset.reshape((1, (), 1, 1))?)
}
