//! The custom op of every layer that multiplies its input with weights and may add biases: convolution and fully connected.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::numbers::{output, slice, tensor, with_number};
use crate::kernels::real::Real;

/// The kernels of such a layer, its sizes within.
pub(super) trait Weighted: Send + Sync + 'static {
    /// What errors call it.
    const NAME: &'static str;
    /// Shape of the output.
    fn output(&self) -> Shape;
    /// Writes the output.
    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: Option<&[T]>, y: &mut [T]);
    /// Writes the gradient of the input.
    fn backward_data<T: Real>(&self, weight: &[T], dy: &[T], dx: &mut [T]);
    /// Writes the gradient of the weights.
    fn backward_weight<T: Real>(&self, x: &[T], dy: &[T], dw: &mut [T]);
    /// Writes the gradient of the biases.
    fn backward_bias<T: Real>(&self, dy: &[T], db: &mut [T]);
}

/// Applies `layer`, whose sizes are those of the tensors.
pub(super) fn apply<L: Weighted>(layer: L, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, Op(layer)),
        None => x.apply_op2(&weight, Op(layer)),
    }
}

struct Op<L>(L);

type Stored<'a> = (&'a CpuStorage, &'a Layout);

impl<L: Weighted> Op<L> {
    fn forward(&self, x: Stored<'_>, weight: Stored<'_>, bias: Option<Stored<'_>>) -> Result<(CpuStorage, Shape)> {
        with_number!(x.0.dtype(), T => {
            let (x, weight) = (slice::<T>(x.0, x.1)?, slice::<T>(weight.0, weight.1)?);
            let bias = bias.map(|bias| slice::<T>(bias.0, bias.1)).transpose()?;
            Ok(output::<T>(self.0.output(), |y| self.0.forward(x, weight, bias, y)))
        })
    }

    /// The gradients of those that need one. The image a network starts from does not, and its gradient would cost as much
    /// as the layer's forward pass.
    fn gradients(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        with_number!(x.dtype(), T => {
            let data = || tensor::<T, 2>([weight, grad], x.shape(), |[w, dy], dx| self.0.backward_data(w, dy, dx));
            let weights = || tensor::<T, 2>([x, grad], weight.shape(), |[x, dy], dw| self.0.backward_weight(x, dy, dw));
            Ok((x.track_op().then(data).transpose()?, weight.track_op().then(weights).transpose()?))
        })
    }

    fn bias_gradient(&self, bias: &Tensor, grad: &Tensor) -> Result<Tensor> {
        with_number!(bias.dtype(), T => tensor::<T, 1>([grad], bias.shape(), |[dy], db| self.0.backward_bias(dy, db)))
    }
}

impl<L: Weighted> CustomOp2 for Op<L> {
    fn name(&self) -> &'static str {
        L::NAME
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward((s1, l1), (s2, l2), None)
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(x, weight, &grad.contiguous()?)
    }
}

impl<L: Weighted> CustomOp3 for Op<L> {
    fn name(&self) -> &'static str {
        L::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((s1, l1), (s2, l2), Some((s3, l3)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (data, weights) = self.gradients(x, weight, &grad)?;
        let biases = bias.track_op().then(|| self.bias_gradient(bias, &grad)).transpose()?;
        Ok((data, weights, biases))
    }
}
