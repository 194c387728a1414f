//! The fully connected layer, one multiplication at a time.

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

/// `output` (batch × out) from `input` (batch × in) and `weight` (out × in).
pub fn forward(shape: &LinearShape, input: &[f64], weight: &[f64], bias: Option<&[f64]>, output: &mut [f64]) {
    for (at, y) in output.iter_mut().enumerate() {
        *y = bias.map_or(0.0, |bias| bias[at % shape.outputs]);
    }
    each_product(shape, |x, w, y| output[y] += input[x] * weight[w]);
}

/// The gradient of the input from that of the output.
pub fn backward_data(shape: &LinearShape, weight: &[f64], grad_output: &[f64], grad_input: &mut [f64]) {
    grad_input.fill(0.0);
    each_product(shape, |x, w, y| grad_input[x] += weight[w] * grad_output[y]);
}

/// The gradient of the weights from that of the output.
pub fn backward_weight(shape: &LinearShape, input: &[f64], grad_output: &[f64], grad_weight: &mut [f64]) {
    grad_weight.fill(0.0);
    each_product(shape, |x, w, y| grad_weight[w] += input[x] * grad_output[y]);
}

/// The gradient of the biases from that of the output: its sum over the batch.
pub fn backward_bias(shape: &LinearShape, grad_output: &[f64], grad_bias: &mut [f64]) {
    grad_bias.fill(0.0);
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
