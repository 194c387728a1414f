//! Max pooling, window by window.
//!
//! As PyTorch has it: a tie goes to the first in row order, NaN beats every number and a later NaN an earlier one, padding never
//! wins. The gradient goes whole to the winner.

use super::window::Pool2dShape;

/// Maxima of `input` into `output`, and into `winners` the position of each in its plane.
pub fn forward(shape: &Pool2dShape, input: &[f64], output: &mut [f64], winners: &mut [u32]) {
    let mut seen = vec![false; output.len()];
    shape.each_pixel(|window, pixel| {
        let x = input[pixel];
        if !seen[window] || x > output[window] || x.is_nan() {
            (seen[window], output[window]) = (true, x);
            winners[window] = (pixel % (shape.height * shape.width)) as u32;
        }
    });
}

/// Adds each number of `grad_output` to its winner in `grad_input`, which starts from zeros.
pub fn backward(shape: &Pool2dShape, winners: &[u32], grad_output: &[f64], grad_input: &mut [f64]) {
    grad_input.fill(0.0);
    shape.each_pixel(|window, pixel| {
        if pixel % (shape.height * shape.width) == winners[window] as usize {
            grad_input[pixel] += grad_output[window];
        }
    });
}
