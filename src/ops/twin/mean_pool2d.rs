//! Mean pooling as two matrix products: a mean over a rectangle is a mean over columns, then over rows.

use candle_core::{Result, Tensor};

use crate::network::spec::{AdaptiveAvgPool2d, Pool2d};

/// [`crate::ops::avg_pool2d`]. An infinity or NaN spreads over its rows and columns here (0 · ∞), not in the kernel.
pub fn avg_pool2d(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    let windows = |side: usize| -> Vec<(usize, usize)> {
        let count = (side + 2 * pool.padding).saturating_sub(pool.kernel_size) / pool.step() + 1;
        let clip = |at: usize| at.saturating_sub(pool.padding).min(side);
        (0..count).map(|i| (clip(i * pool.step()), clip(i * pool.step() + pool.kernel_size))).collect()
    };
    mean_over(x, &windows, Some(pool.kernel_size))
}

/// [`crate::ops::adaptive_avg_pool2d`]. An infinity or NaN spreads over its rows and columns here (0 · ∞), not in the kernel.
pub fn adaptive_avg_pool2d(x: &Tensor, pool: &AdaptiveAvgPool2d) -> Result<Tensor> {
    let n = pool.output_size;
    let windows = |side: usize| -> Vec<(usize, usize)> { (0..n).map(|i| (i * side / n, ((i + 1) * side).div_ceil(n))).collect() };
    mean_over(x, &windows, None)
}

/// The mean over the rectangles that `windows` (the start and end of each, for a side) span; `divisor` in place of a
/// window's own length where one is given.
fn mean_over(x: &Tensor, windows: &dyn Fn(usize) -> Vec<(usize, usize)>, divisor: Option<usize>) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let matrix = |side: usize| -> Result<Tensor> {
        let windows = windows(side);
        let mut means = vec![0f64; windows.len() * side];
        for (row, &(start, end)) in means.chunks_mut(side).zip(&windows) {
            row[start..end].fill(1.0 / divisor.unwrap_or(end - start) as f64);
        }
        Tensor::from_vec(means, (windows.len(), side), x.device())?.to_dtype(x.dtype())
    };
    let (rows, columns) = (matrix(height)?, matrix(width)?);
    let narrow = x.reshape((batch * channels * height, width))?.matmul(&columns.t()?)?;
    let out_width = columns.dim(0)?;
    let planes = narrow.reshape((batch * channels, height, out_width))?;
    let rows = rows.unsqueeze(0)?.broadcast_as((batch * channels, rows.dim(0)?, height))?.contiguous()?;
    rows.matmul(&planes)?.reshape((batch, channels, (), out_width))
}
