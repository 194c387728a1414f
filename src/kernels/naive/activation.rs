//! The activation functions, in `f64` whatever they are asked in.

use std::f64::consts::{PI, SQRT_2};

use crate::kernels::activation::Activation;
use crate::kernels::real::Real;

/// [`crate::kernels::activation::forward`].
pub fn forward<T: Real>(activation: Activation, input: &[T], output: &mut [T]) {
    for (x, y) in input.iter().zip(output) {
        let x = x.to_f64();
        *y = T::from_f64(match activation {
            Activation::Relu => {
                if x > 0.0 || x.is_nan() {
                    x
                } else {
                    0.0
                }
            }
            Activation::Gelu => x * normal(x),
            Activation::Silu => x * sigmoid(x),
        });
    }
}

/// [`crate::kernels::activation::backward`].
pub fn backward<T: Real>(activation: Activation, input: &[T], grad_output: &[T], grad_input: &mut [T]) {
    for ((x, dy), dx) in input.iter().zip(grad_output).zip(grad_input) {
        let x = x.to_f64();
        let slope = match activation {
            Activation::Relu => f64::from(u8::from(x > 0.0 || x.is_nan())),
            Activation::Gelu => normal(x) + x * (-x * x / 2.0).exp() / (2.0 * PI).sqrt(),
            Activation::Silu => sigmoid(x) + x * sigmoid(x) * (1.0 - sigmoid(x)),
        };
        *dx = T::from_f64(dy.to_f64() * slope);
    }
}

fn normal(x: f64) -> f64 {
    0.5 * (1.0 + libm::erf(x / SQRT_2))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
