//! The mean of each window; padding counts as zeros, as in PyTorch (`count_include_pad`).

use super::mean_pool2d::{self, Rectangles};
use super::real::Real;
use super::window::Pool2dShape;

/// The windows, clipped to the image and divided by their whole area all the same. PyTorch leaves out of the area what
/// reaches beyond the padding; with windows that start inside, as all of ours do, there is nothing there.
pub fn rectangles(shape: &Pool2dShape) -> Rectangles {
    Rectangles {
        plane: [shape.height, shape.width],
        rows: shape.rows(),
        columns: shape.columns(),
        divisor: Some(shape.kernel * shape.kernel),
    }
}

/// `output` is plane × out height × out width.
pub fn forward<T: Real>(shape: &Pool2dShape, input: &[T], output: &mut [T]) {
    mean_pool2d::forward(&rectangles(shape), input, output);
}

/// The gradient of the input from that of the output.
pub fn backward<T: Real>(shape: &Pool2dShape, grad_output: &[T], grad_input: &mut [T]) {
    mean_pool2d::backward(&rectangles(shape), grad_output, grad_input);
}
