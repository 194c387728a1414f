//! The activation functions.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::numbers::{output, slice, tensor, with_number};
use super::twin;
use crate::kernels::activation::{self, Activation};

/// `max(x, 0)`; NaN stays, the gradient at 0 is 0. As `torch.nn.functional.relu`.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { x.contiguous()?.apply_op1(Activate(Activation::Relu)) } else { twin::relu(x) }
}

/// `x · Φ(x)`, by the error function. As `torch.nn.functional.gelu`.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { x.contiguous()?.apply_op1(Activate(Activation::Gelu)) } else { twin::gelu(x) }
}

/// `x · sigmoid(x)`. As `torch.nn.functional.silu`.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { x.contiguous()?.apply_op1(Activate(Activation::Silu)) } else { twin::silu(x) }
}

struct Activate(Activation);

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_number!(storage.dtype(), T => {
            let x = slice::<T>(storage, layout)?;
            Ok(output::<T>(layout.shape(), |y| activation::forward(self.0, x, y)))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let fill = [x, &grad.contiguous()?];
        with_number!(x.dtype(), T => tensor::<T, 2>(fill, x.shape(), |[x, dy], dx| activation::backward(self.0, x, dy, dx)))
            .map(Some)
    }
}
