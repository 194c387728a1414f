//! The mean over windows chosen so that the output has a given size, whatever the input's.

use super::mean_pool2d::{self, Rectangles};
use super::real::Real;
use super::window::adaptive;

/// Planes of `height` × `width`, pooled to `output` × `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveShape {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Side of the output.
    pub output: usize,
}

/// PyTorch's windows.
pub fn rectangles(shape: &AdaptiveShape) -> Rectangles {
    Rectangles {
        plane: [shape.height, shape.width],
        rows: adaptive(shape.height, shape.output),
        columns: adaptive(shape.width, shape.output),
        divisor: None,
    }
}

/// `output` is plane × side × side.
pub fn forward<T: Real>(shape: &AdaptiveShape, input: &[T], output: &mut [T]) {
    mean_pool2d::forward(&rectangles(shape), input, output);
}

/// The gradient of the input from that of the output.
pub fn backward<T: Real>(shape: &AdaptiveShape, grad_output: &[T], grad_input: &mut [T]) {
    mean_pool2d::backward(&rectangles(shape), grad_output, grad_input);
}
