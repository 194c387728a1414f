//! Dropout.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::numbers::{output, slice, tensor, with_number};
use super::twin;
use crate::kernels::dropout::Mask;

/// Zeroes elements with probability `p` (0 ≤ p < 1) and multiplies the rest by `1 / (1 - p)`; equal seeds zero equal
/// elements. Two layers, or two steps, need different seeds.
pub fn dropout(x: &Tensor, p: f64, seed: u64) -> Result<Tensor> {
    if !(0.0..1.0).contains(&p) {
        bail!("dropout's probability is {p}; it must be at least 0 and below 1");
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    if x.device().is_cpu() { x.contiguous()?.apply_op1(Dropout(Mask::new(p, seed))) } else { twin::dropout(x, p, seed) }
}

struct Dropout(Mask);

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_number!(storage.dtype(), T => {
            let x = slice::<T>(storage, layout)?;
            Ok(output::<T>(layout.shape(), |y| self.0.apply(x, y)))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        with_number!(x.dtype(), T => tensor::<T, 1>([&grad], x.shape(), |[dy], dx| self.0.apply(dy, dx))).map(Some)
    }
}
