//! Pooling.

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::numbers::{output, slice, tensor, with_number};
use super::twin;
use crate::kernels::adaptive_avg_pool2d::{self, AdaptiveShape};
use crate::kernels::mean_pool2d::{self, Rectangles};
use crate::kernels::window::Pool2dShape;
use crate::kernels::{avg_pool2d as average, max_pool2d as maximum};
use crate::network::spec::{AdaptiveAvgPool2d, Pool2d};

/// The maximum of each window; a tie goes, gradient and all, to the first in row order. As `torch.nn.functional.max_pool2d`.
pub fn max_pool2d(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    let shape = sizes(x, pool)?;
    if !x.device().is_cpu() {
        return twin::max_pool2d(x, pool);
    }
    x.contiguous()?.apply_op1(MaxPool { shape, winners: OnceLock::new() })
}

/// The mean of each window, padding counted as zeros. As `torch.nn.functional.avg_pool2d`.
pub fn avg_pool2d(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    let shape = sizes(x, pool)?;
    if x.device().is_cpu() { x.contiguous()?.apply_op1(MeanPool(average::rectangles(&shape))) } else { twin::avg_pool2d(x, pool) }
}

/// The mean over windows that split the plane into `output_size` × `output_size`. As
/// `torch.nn.functional.adaptive_avg_pool2d`.
pub fn adaptive_avg_pool2d(x: &Tensor, pool: &AdaptiveAvgPool2d) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    if pool.output_size == 0 || height == 0 || width == 0 {
        bail!("pooling {height} × {width} to a side of {}: each must be at least 1", pool.output_size);
    }
    if !x.device().is_cpu() {
        return twin::adaptive_avg_pool2d(x, pool);
    }
    let shape = AdaptiveShape { height, width, output: pool.output_size };
    x.contiguous()?.apply_op1(MeanPool(adaptive_avg_pool2d::rectangles(&shape)))
}

/// The windows of `pool` on `x`, or why there are none.
pub(super) fn sizes(x: &Tensor, pool: &Pool2d) -> Result<Pool2dShape> {
    let (batch, channels, height, width) = x.dims4()?;
    let (kernel, stride, padding) = (pool.kernel_size, pool.step(), pool.padding);
    if kernel == 0 || stride == 0 || padding > kernel / 2 || height.min(width) == 0 || height.min(width) + 2 * padding < kernel {
        bail!("windows of {kernel} × {kernel}, stride {stride}, padding {padding} do not fit on {height} × {width}");
    }
    Ok(Pool2dShape { planes: batch * channels, height, width, kernel, stride, padding })
}

/// Keeps, from the forward pass for the backward pass, where each maximum was.
struct MaxPool {
    shape: Pool2dShape,
    winners: OnceLock<Vec<u32>>,
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, ..) = layout.shape().dims4()?;
        let dims = (batch, channels, self.shape.output_height(), self.shape.output_width());
        with_number!(storage.dtype(), T => {
            let x = slice::<T>(storage, layout)?;
            let mut winners = vec![0; self.shape.output_len()];
            let y = output::<T>(dims, |y| maximum::forward(&self.shape, x, y, &mut winners));
            if self.winners.set(winners).is_err() {
                bail!("max_pool2d: an op is applied once");
            }
            Ok(y)
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let Some(winners) = self.winners.get() else { bail!("max_pool2d: backward before forward") };
        let grad = grad.contiguous()?;
        with_number!(x.dtype(), T => {
            tensor::<T, 1>([&grad], x.shape(), |[dy], dx| maximum::backward(&self.shape, winners, dy, dx)).map(Some)
        })
    }
}

struct MeanPool(Rectangles);

impl CustomOp1 for MeanPool {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, ..) = layout.shape().dims4()?;
        with_number!(storage.dtype(), T => {
            let x = slice::<T>(storage, layout)?;
            let dims = (batch, channels, self.0.rows.len(), self.0.columns.len());
            Ok(output::<T>(dims, |y| mean_pool2d::forward(&self.0, x, y)))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_number!(x.dtype(), T => tensor::<T, 1>([&grad], x.shape(), |[dy], dx| mean_pool2d::backward(&self.0, dy, dx)))
            .map(Some)
    }
}
