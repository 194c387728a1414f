//! The activation functions, element by element.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::parallel::{map, map2};
use super::real::Real;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`; NaN stays NaN, and at 0 the gradient is 0 (as PyTorch).
    Relu,
    /// `x · Φ(x)`, Φ the normal distribution by the error function (Hendrycks, Gimpel, arXiv 1606.08415).
    Gelu,
    /// `x · sigmoid(x)` (Elfwing et al., arXiv 1702.03118).
    Silu,
}

/// The function of `x`.
#[inline(always)]
pub fn value<T: Real>(activation: Activation, x: T) -> T {
    match activation {
        // Not `max`: that would turn NaN into 0.
        Activation::Relu => {
            if x <= T::ZERO {
                T::ZERO
            } else {
                x
            }
        }
        Activation::Gelu => x * normal(x),
        Activation::Silu => x / (T::ONE + (-x).exp()),
    }
}

/// The gradient at `x` of the input, where that of the output is `dy`.
#[inline(always)]
pub fn gradient<T: Real>(activation: Activation, x: T, dy: T) -> T {
    match activation {
        Activation::Relu => {
            if x <= T::ZERO {
                T::ZERO
            } else {
                dy
            }
        }
        Activation::Gelu => {
            let peak = T::from_f64(1.0 / (2.0 * PI).sqrt());
            dy * (normal(x) + x * peak * (T::from_f64(-0.5) * x * x).exp())
        }
        Activation::Silu => {
            let sigmoid = T::ONE / (T::ONE + (-x).exp());
            dy * sigmoid * (T::ONE + x * (T::ONE - sigmoid))
        }
    }
}

/// `output` = the function of `input`.
pub fn forward<T: Real>(activation: Activation, input: &[T], output: &mut [T]) {
    map(input, output, |x| value(activation, x));
}

/// The gradient of the input from that of the output and the input of the forward pass.
pub fn backward<T: Real>(activation: Activation, input: &[T], grad_output: &[T], grad_input: &mut [T]) {
    map2(input, grad_output, grad_input, |x, dy| gradient(activation, x, dy));
}

/// Φ(x): the share of the normal distribution below `x`.
#[inline(always)]
fn normal<T: Real>(x: T) -> T {
    T::from_f64(0.5) * (T::ONE + (x * T::from_f64(FRAC_1_SQRT_2)).erf())
}

#[cfg(test)]
mod tests {
    use super::super::naive::activation as formula;
    use super::super::testing::{assert_close, filled, numbers};
    use super::*;

    #[test]
    fn each_is_its_formula() {
        let (mut x, dy) = (numbers::<f64>(1, 40_000), numbers::<f64>(2, 40_000));
        x[..6].copy_from_slice(&[0.0, -0.0, 1e-30, -30.0, 800.0, -800.0]);
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
        let (x32, dy32) = (narrow(&x), narrow(&dy));
        for activation in [Activation::Relu, Activation::Gelu, Activation::Silu] {
            let expected = filled(x.len(), |y| formula::forward(activation, &x, y));
            assert_close(&filled(x.len(), |y| forward(activation, &x, y)), &expected, 1e-14);
            assert_close(&filled(x.len(), |y| forward(activation, &x32, y)), &narrow(&expected), 1e-6);
            let expected = filled(x.len(), |dx| formula::backward(activation, &x, &dy, dx));
            assert_close(&filled(x.len(), |dx| backward(activation, &x, &dy, dx)), &expected, 1e-14);
            assert_close(&filled(x.len(), |dx| backward(activation, &x32, &dy32, dx)), &narrow(&expected), 1e-6);
        }
    }

    #[test]
    fn nan_is_not_hidden() {
        for activation in [Activation::Relu, Activation::Gelu, Activation::Silu] {
            assert!(filled(1, |y| forward(activation, &[f32::NAN], y))[0].is_nan());
            assert!(filled(1, |dx| backward(activation, &[1.0], &[f32::NAN], dx))[0].is_nan());
        }
    }
}
