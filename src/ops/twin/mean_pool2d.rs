//! Mean pooling as two matrix products: a mean over a rectangle is a mean over columns, then over rows.
//!
//! An infinity or NaN spreads over its rows and columns here (0 · ∞), not in the kernels.

use std::ops::Range;

use candle_core::{Result, Tensor};

use crate::kernels::window::adaptive;
use crate::network::spec::{AdaptiveAvgPool2d, Pool2d};
use crate::ops::pool2d::sizes;

/// [`crate::ops::avg_pool2d`].
pub fn avg_pool2d(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    let shape = sizes(x, pool)?;
    mean_over(x, &shape.rows(), &shape.columns(), Some(pool.kernel_size))
}

/// [`crate::ops::adaptive_avg_pool2d`].
pub fn adaptive_avg_pool2d(x: &Tensor, pool: &AdaptiveAvgPool2d) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    mean_over(x, &adaptive(height, pool.output_size), &adaptive(width, pool.output_size), None)
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
