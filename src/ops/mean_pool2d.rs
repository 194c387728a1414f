//! Mean pooling as two matrix products: a mean over a rectangle is a mean over columns, then over rows.
//!
//! An infinity or NaN spreads over its rows and columns here (0 · ∞), not in the kernels.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::window::Pool2d;
use crate::kernels::window::{adaptive, sliding};

/// The mean of each window, padding counted as zeros. As `torch.nn.functional.avg_pool2d`.
pub fn avg_pool2d(x: &Tensor, pool: Pool2d) -> Result<Tensor> {
    pool.check(x)?;
    let (_, _, height, width) = x.dims4()?;
    let along = |side: usize| sliding(side, pool.kernel_size, pool.stride, pool.padding);
    mean_over(x, &along(height), &along(width), Some(pool.kernel_size))
}

/// The mean over windows that split the plane into `output_size` × `output_size`. As
/// `torch.nn.functional.adaptive_avg_pool2d`.
pub fn adaptive_avg_pool2d(x: &Tensor, output_size: usize) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    if output_size == 0 || height == 0 || width == 0 {
        bail!("pooling {height} × {width} to a side of {output_size}: each must be at least 1");
    }
    mean_over(x, &adaptive(height, output_size), &adaptive(width, output_size), None)
}

/// The mean over every range of rows and every range of columns; `divisor` in place of a range's own length where one is
/// given.
fn mean_over(x: &Tensor, rows: &[Range<usize>], columns: &[Range<usize>], divisor: Option<usize>) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let matrix = |ranges: &[Range<usize>], side: usize| -> Result<Tensor> {
        let mut means = vec![0f64; ranges.len() * side];
        for (row, range) in means.chunks_mut(side).zip(ranges) {
            row[range.clone()].fill(1.0 / divisor.unwrap_or(range.len()) as f64);
        }
        Tensor::from_vec(means, (ranges.len(), side), x.device())?.to_dtype(x.dtype())
    };
    let narrow = x.reshape((batch * channels * height, width))?.matmul(&matrix(columns, width)?.t()?)?;
    let planes = narrow.reshape((batch * channels, height, columns.len()))?;
    let means = matrix(rows, height)?.unsqueeze(0)?.broadcast_as((batch * channels, rows.len(), height))?.contiguous()?;
    means.matmul(&planes)?.reshape((batch, channels, rows.len(), columns.len()))
}
