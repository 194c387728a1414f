//! The fully connected layer, one multiplication at a time.

use crate::kernels::linear::LinearShape;
use crate::kernels::real::Real;

/// [`crate::kernels::linear::forward`].
pub fn forward<T: Real>(shape: &LinearShape, input: &[T], weight: &[T], bias: Option<&[T]>, output: &mut [T]) {
    for (at, y) in output.iter_mut().enumerate() {
        *y = bias.map_or(T::ZERO, |bias| bias[at % shape.outputs]);
    }
    each_product(shape, |x, w, y| output[y] += input[x] * weight[w]);
}

/// [`crate::kernels::linear::backward_data`].
pub fn backward_data<T: Real>(shape: &LinearShape, weight: &[T], grad_output: &[T], grad_input: &mut [T]) {
    grad_input.fill(T::ZERO);
    each_product(shape, |x, w, y| grad_input[x] += weight[w] * grad_output[y]);
}

/// [`crate::kernels::linear::backward_weight`].
pub fn backward_weight<T: Real>(shape: &LinearShape, input: &[T], grad_output: &[T], grad_weight: &mut [T]) {
    grad_weight.fill(T::ZERO);
    each_product(shape, |x, w, y| grad_weight[w] += input[x] * grad_output[y]);
}

/// [`crate::kernels::linear::backward_bias`].
pub fn backward_bias<T: Real>(shape: &LinearShape, grad_output: &[T], grad_bias: &mut [T]) {
    grad_bias.fill(T::ZERO);
    for (at, &dy) in grad_output.iter().enumerate() {
        grad_bias[at % shape.outputs] += dy;
    }
}

/// Visits every product that is summed into an output: `visit(input, weight, output)`.
fn each_product(shape: &LinearShape, mut visit: impl FnMut(usize, usize, usize)) {
    for row in 0..shape.batch {
        for output in 0..shape.outputs {
            for input in 0..shape.inputs {
                visit(row * shape.inputs + input, output * shape.inputs + input, row * shape.outputs + output);
            }
        }
    }
}
