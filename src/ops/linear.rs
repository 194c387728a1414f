//! The fully connected layer.

use candle_core::{Result, Tensor, bail};

/// `y = x·Wᵀ + b`: `x` is batch × in, `weight` out × in, `bias` out. As `torch.nn.functional.linear`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ((_, inputs), (outputs, columns)) = (x.dims2()?, weight.dims2()?);
    if columns != inputs || inputs == 0 || outputs == 0 {
        bail!("a matrix of {outputs} × {columns} does not fit on rows of {inputs} numbers");
    }
    if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
        bail!("the biases are {:?} where [{outputs}] are needed", bias.dims());
    }
    let y = x.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}
