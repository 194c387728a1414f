//! The activation functions.

use candle_core::{Result, Tensor};

use crate::kernels::activation::Activation;

/// `activation` of each element.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Relu => relu(x),
        Activation::Gelu => gelu(x),
        Activation::Silu => silu(x),
        Activation::LeakyRelu(negative_slope) => leaky_relu(x, negative_slope),
        Activation::Tanh => tanh(x),
        Activation::Sigmoid => sigmoid(x),
    }
}

/// `max(x, 0)`: zero wherever `x <= 0`, so that NaN stays and the gradient at 0 is 0 (candle's own gives 1 there). As
/// `torch.nn.functional.relu`.
fn relu(x: &Tensor) -> Result<Tensor> {
    x.detach().le(0.0)?.where_cond(&x.zeros_like()?, x)
}

/// `x · Φ(x)`, by the error function. As `torch.nn.functional.gelu`. (Candle's own knows the gradient's constant to six digits.)
fn gelu(x: &Tensor) -> Result<Tensor> {
    let share = (((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)? * 0.5)?;
    x * share
}

/// `x` above 0, else `negative_slope · x`. As `torch.nn.functional.leaky_relu`.
fn leaky_relu(x: &Tensor, negative_slope: f64) -> Result<Tensor> {
    x.detach().gt(0.0)?.where_cond(x, &(x * negative_slope)?)
}

/// The hyperbolic tangent. As `torch.nn.functional.tanh`.
fn tanh(x: &Tensor) -> Result<Tensor> {
    x.tanh()
}

/// `1 / (1 + e⁻ˣ)`. As `torch.nn.functional.sigmoid`.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::sigmoid(x)
}

/// `x · sigmoid(x)`. As `torch.nn.functional.silu`.
fn silu(x: &Tensor) -> Result<Tensor> {
    x.silu()
}
