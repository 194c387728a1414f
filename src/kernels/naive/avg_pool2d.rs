//! Average pooling, window by window; padding counts as zeros, as in PyTorch (`count_include_pad`).

use super::window::Pool2dShape;

/// The mean of each window.
pub fn forward(shape: &Pool2dShape, input: &[f64], output: &mut [f64]) {
    let area = (shape.kernel * shape.kernel) as f64;
    output.fill(0.0);
    shape.each_pixel(|window, pixel| output[window] += input[pixel] / area);
}

/// The gradient of the input from that of the output.
pub fn backward(shape: &Pool2dShape, grad_output: &[f64], grad_input: &mut [f64]) {
    let area = (shape.kernel * shape.kernel) as f64;
    grad_input.fill(0.0);
    shape.each_pixel(|window, pixel| grad_input[pixel] += grad_output[window] / area);
}
