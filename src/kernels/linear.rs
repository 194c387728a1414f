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
