//! The activation functions, element by element.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::kernels::activation::Activation;

/// `output` = the function of `input`.
pub fn forward(activation: Activation, input: &[f64], output: &mut [f64]) {
    for (&x, y) in input.iter().zip(output) {
        *y = match activation {
            // Not `max`: that would turn NaN into 0.
            Activation::Relu if x <= 0.0 => 0.0,
            Activation::Relu => x,
            Activation::Gelu => x * normal(x),
            Activation::Silu => x * sigmoid(x),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => sigmoid(x),
            Activation::LeakyRelu(slope) => x * leak(slope, x),
        }
    }
}

/// The gradient of the input from that of the output and the input of the forward pass.
pub fn backward(activation: Activation, input: &[f64], grad_output: &[f64], grad_input: &mut [f64]) {
    for ((&x, &dy), dx) in input.iter().zip(grad_output).zip(grad_input) {
        *dx = match activation {
            Activation::Relu if x <= 0.0 => 0.0,
            Activation::Relu => dy,
            Activation::Gelu => dy * (normal(x) + x * (-0.5 * x * x).exp() / (2.0 * PI).sqrt()),
            Activation::Sigmoid => dy * sigmoid(x) * sigmoid(-x),
            Activation::Tanh => dy / x.cosh().powi(2),
            Activation::LeakyRelu(slope) => dy * leak(slope, x),
            Activation::Silu => dy * (sigmoid(x) + x * sigmoid(x) * sigmoid(-x)),
        }
    }
}

fn leak(slope: f64, x: f64) -> f64 {
    if x > 0.0 { 1.0 } else { slope }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Φ(x): the share of the normal distribution below `x`.
fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}
