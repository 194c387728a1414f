//! The fully connected layer: `y = x·Wᵀ + b`, and its gradients, each one matrix product.

use super::gemm::{Matrix, MatrixMut, Threads, Write, multiply};
use super::real::Real;

/// Sizes of a fully connected layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearShape {
    /// Rows of the input.
    pub batch: usize,
    /// Numbers in a row of the input.
    pub inputs: usize,
    /// Numbers in a row of the output.
    pub outputs: usize,
}

impl LinearShape {
    fn check<T>(&self, input: &[T], weight: &[T], output: &[T]) {
        assert_eq!(input.len(), self.batch * self.inputs, "linear: the input's length");
        assert_eq!(weight.len(), self.outputs * self.inputs, "linear: the weights' length");
        assert_eq!(output.len(), self.batch * self.outputs, "linear: the output's length");
    }
}

/// `output` (batch × out) from `input` (batch × in) and `weight` (out × in).
pub fn forward<T: Real>(shape: &LinearShape, input: &[T], weight: &[T], bias: Option<&[T]>, output: &mut [T]) {
    shape.check(input, weight, output);
    if let Some(bias) = bias {
        output.chunks_exact_mut(shape.outputs).for_each(|row| row.copy_from_slice(bias));
    }
    let x = Matrix::new(input, shape.batch, shape.inputs);
    let w = Matrix::new(weight, shape.outputs, shape.inputs).transposed();
    let write = if bias.is_some() { Write::Add } else { Write::Replace };
    multiply(x, w, MatrixMut::new(output, shape.batch, shape.outputs), write, Threads::All);
}

/// The gradient of the input from that of the output.
pub fn backward_data<T: Real>(shape: &LinearShape, weight: &[T], grad_output: &[T], grad_input: &mut [T]) {
    shape.check(grad_input, weight, grad_output);
    let dy = Matrix::new(grad_output, shape.batch, shape.outputs);
    let w = Matrix::new(weight, shape.outputs, shape.inputs);
    multiply(dy, w, MatrixMut::new(grad_input, shape.batch, shape.inputs), Write::Replace, Threads::All);
}

/// The gradient of the weights from that of the output.
pub fn backward_weight<T: Real>(shape: &LinearShape, input: &[T], grad_output: &[T], grad_weight: &mut [T]) {
    shape.check(input, grad_weight, grad_output);
    let dy = Matrix::new(grad_output, shape.batch, shape.outputs).transposed();
    let x = Matrix::new(input, shape.batch, shape.inputs);
    multiply(dy, x, MatrixMut::new(grad_weight, shape.outputs, shape.inputs), Write::Replace, Threads::All);
}

/// The gradient of the biases from that of the output: its sum over the batch.
pub fn backward_bias<T: Real>(shape: &LinearShape, grad_output: &[T], grad_bias: &mut [T]) {
    assert_eq!(grad_output.len(), shape.batch * shape.outputs, "linear: the output's length");
    assert_eq!(grad_bias.len(), shape.outputs, "linear: one bias an output");
    grad_bias.fill(T::ZERO);
    for row in grad_output.chunks_exact(shape.outputs) {
        grad_bias.iter_mut().zip(row).for_each(|(sum, &gradient)| *sum += gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::super::testing::{assert_close, assert_same_for_any_threads, filled, numbers};
    use super::LinearShape;

    macro_rules! all {
        ($module:path, $shape:expr, $T:ty) => {{
            use $module as module;
            let shape = $shape;
            let (x, w) = (numbers::<$T>(1, shape.batch * shape.inputs), numbers::<$T>(2, shape.inputs * shape.outputs));
            let (b, dy) = (numbers::<$T>(3, shape.outputs), numbers::<$T>(4, shape.batch * shape.outputs));
            [
                filled(dy.len(), |y| module::forward(shape, &x, &w, Some(&b), y)),
                filled(dy.len(), |y| module::forward(shape, &x, &w, None, y)),
                filled(x.len(), |dx| module::backward_data(shape, &w, &dy, dx)),
                filled(w.len(), |dw| module::backward_weight(shape, &x, &dy, dw)),
                filled(b.len(), |db| module::backward_bias(shape, &dy, db)),
            ]
        }};
    }

    #[test]
    fn any_layer_is_its_formula() {
        for batch in [0, 1, 2, 5, 33] {
            for (inputs, outputs) in [(1, 1), (3, 10), (130, 17), (17, 130)] {
                let shape = &LinearShape { batch, inputs, outputs };
                let pairs = all!(crate::kernels::linear, shape, f64).into_iter().zip(all!(naive::linear, shape, f64));
                pairs.for_each(|(a, b)| assert_close(&a, &b, 1e-13));
                let pairs = all!(crate::kernels::linear, shape, f32).into_iter().zip(all!(naive::linear, shape, f32));
                pairs.for_each(|(a, b)| assert_close(&a, &b, 1e-5));
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let shape = &LinearShape { batch: 32, inputs: 600, outputs: 130 };
        assert_same_for_any_threads(|| all!(crate::kernels::linear, shape, f32));
    }
}
