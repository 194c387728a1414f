//! The fully connected layer.

use candle_core::{Result, Shape, Tensor, bail};

use super::twin;
use super::weighted::{Weighted, apply};
use crate::kernels::linear::{self, LinearShape};
use crate::kernels::real::Real;

/// `y = x·Wᵀ + b`: `x` is batch × in, `weight` out × in, `bias` out. As `torch.nn.functional.linear`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ((batch, inputs), (outputs, columns)) = (x.dims2()?, weight.dims2()?);
    if columns != inputs || inputs == 0 || outputs == 0 {
        bail!("a matrix of {outputs} × {columns} does not fit on rows of {inputs} numbers");
    }
    if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
        bail!("the biases are {:?} where [{outputs}] are needed", bias.dims());
    }
    let shape = LinearShape { batch, inputs, outputs };
    if x.device().is_cpu() { apply(shape, x, weight, bias) } else { twin::linear(x, weight, bias) }
}

impl Weighted for LinearShape {
    const NAME: &'static str = "linear";

    fn output(&self) -> Shape {
        (self.batch, self.outputs).into()
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: Option<&[T]>, y: &mut [T]) {
        linear::forward(self, x, weight, bias, y);
    }

    fn backward_data<T: Real>(&self, weight: &[T], dy: &[T], dx: &mut [T]) {
        linear::backward_data(self, weight, dy, dx);
    }

    fn backward_weight<T: Real>(&self, x: &[T], dy: &[T], dw: &mut [T]) {
        linear::backward_weight(self, x, dy, dw);
    }

    fn backward_bias<T: Real>(&self, dy: &[T], db: &mut [T]) {
        linear::backward_bias(self, dy, db);
    }
}
