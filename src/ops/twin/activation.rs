//! The activation functions.

use candle_core::{Result, Tensor};

/// [`crate::ops::relu`]: zero wherever `x <= 0`, so that NaN passes and the gradient at 0 is 0; candle's own gives 1 there.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.detach().le(0.0)?.where_cond(&x.zeros_like()?, x)
}

/// [`crate::ops::gelu`].
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}

/// [`crate::ops::silu`].
pub fn silu(x: &Tensor) -> Result<Tensor> {
    x.silu()
}
