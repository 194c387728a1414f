//! Activations of many numbers, in vectors.

use crate::kernels::activation::Activation;
use crate::kernels::lanes::math::{normal, sigmoid, tanh};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};

/// An activation.
pub struct Activate<'a> {
    /// Which.
    pub activation: Activation,
    /// Any numbers.
    pub input: &'a [f32],
    /// As many.
    pub output: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { activation, input, output } = self;
        assert!(input.len() == output.len(), "activation: lengths");
        let ((xs, rest), (ys, last)) = (input.as_chunks::<WIDTH>(), output.as_chunks_mut::<WIDTH>());
        for (y, x) in ys.iter_mut().zip(xs) {
            l.write(y, value(l, activation, l.read(x)));
        }
        let (mut x, mut y) = ([0.0; WIDTH], [0.0; WIDTH]);
        x[..rest.len()].copy_from_slice(rest);
        l.write(&mut y, value(l, activation, l.read(&x)));
        last.copy_from_slice(&y[..rest.len()]);
    }
}

/// The gradient of [`Activate`].
pub struct ActivateBackward<'a> {
    /// Which.
    pub activation: Activation,
    /// What went in.
    pub input: &'a [f32],
    /// The gradient of what came out.
    pub output: &'a [f32],
    /// The gradient of what went in, overwritten.
    pub gradient: &'a mut [f32],
}

impl Kernel for ActivateBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { activation, input, output, gradient: to } = self;
        assert!(input.len() == output.len() && input.len() == to.len(), "activation: lengths");
        let ((xs, x_rest), (dys, dy_rest)) = (input.as_chunks::<WIDTH>(), output.as_chunks::<WIDTH>());
        let (dxs, last) = to.as_chunks_mut::<WIDTH>();
        for ((dx, dy), x) in dxs.iter_mut().zip(dys).zip(xs) {
            l.write(dx, gradient(l, activation, (l.read(x), l.read(dy))));
        }
        let [mut x, mut dy, mut dx] = [[0.0; WIDTH]; 3];
        x[..last.len()].copy_from_slice(x_rest);
        dy[..last.len()].copy_from_slice(dy_rest);
        l.write(&mut dx, gradient(l, activation, (l.read(&x), l.read(&dy))));
        last.copy_from_slice(&dx[..last.len()]);
    }
}

#[inline(always)]
fn value<L: Lanes>(l: L, activation: Activation, x: L::V) -> L::V {
    match activation {
        Activation::Relu => l.max(l.zero(), x),
        Activation::Gelu => l.mul(x, normal(l, x).0),
        Activation::Silu => l.mul(x, sigmoid(l, x)),
        Activation::LeakyRelu(slope) => l.where_greater((x, l.zero()), x, l.mul(x, l.splat(slope as f32))),
        Activation::Tanh => tanh(l, x).0,
        Activation::Sigmoid => sigmoid(l, x),
    }
}

#[inline(always)]
fn gradient<L: Lanes>(l: L, activation: Activation, (x, dy): (L::V, L::V)) -> L::V {
    match activation {
        Activation::Relu => l.where_greater((x, l.zero()), dy, l.zero()),
        Activation::Gelu => {
            let (share, density) = normal(l, x);
            l.mul(dy, l.mul_add(x, density, share))
        }
        Activation::Silu => {
            let (one, sigmoid) = (l.splat(1.0), sigmoid(l, x));
            l.mul(l.mul(dy, sigmoid), l.mul_add(x, l.sub(one, sigmoid), one))
        }
        Activation::LeakyRelu(slope) => l.where_greater((x, l.zero()), dy, l.mul(dy, l.splat(slope as f32))),
        Activation::Tanh => l.mul(dy, tanh(l, x).1),
        // Not 1 less the value, which would lose its digits where that is near 1.
        Activation::Sigmoid => l.mul(l.mul(dy, sigmoid(l, x)), sigmoid(l, l.sub(l.zero(), x))),
    }
}
