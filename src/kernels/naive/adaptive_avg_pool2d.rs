//! Adaptive average pooling, window by window.

use crate::kernels::adaptive_avg_pool2d::AdaptiveShape;
use crate::kernels::real::Real;

/// [`crate::kernels::adaptive_avg_pool2d::forward`].
pub fn forward<T: Real>(shape: &AdaptiveShape, input: &[T], output: &mut [T]) {
    output.fill(T::ZERO);
    each_pixel(shape, output.len(), |window, pixel, area| output[window] += input[pixel] / T::from_f64(area));
}

/// [`crate::kernels::adaptive_avg_pool2d::backward`].
pub fn backward<T: Real>(shape: &AdaptiveShape, grad_output: &[T], grad_input: &mut [T]) {
    grad_input.fill(T::ZERO);
    each_pixel(shape, grad_output.len(), |window, pixel, area| grad_input[pixel] += grad_output[window] / T::from_f64(area));
}

/// Visits every pixel of every window with the window's area.
fn each_pixel(shape: &AdaptiveShape, windows: usize, mut visit: impl FnMut(usize, usize, f64)) {
    let side = shape.output;
    let start = |window: usize, length: usize| (window as f64 * length as f64 / side as f64).floor() as usize;
    let end = |window: usize, length: usize| ((window as f64 + 1.0) * length as f64 / side as f64).ceil() as usize;
    for window in 0..windows {
        let (plane, row, column) = (window / (side * side), window / side % side, window % side);
        let (top, bottom) = (start(row, shape.height), end(row, shape.height));
        let (left, right) = (start(column, shape.width), end(column, shape.width));
        for y in top..bottom {
            for x in left..right {
                visit(window, (plane * shape.height + y) * shape.width + x, ((bottom - top) * (right - left)) as f64);
            }
        }
    }
}
