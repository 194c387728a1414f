//! Max pooling, window by window.

use super::window::each_pixel;
use crate::kernels::real::Real;
use crate::kernels::window::Pool2dShape;

/// [`crate::kernels::max_pool2d::forward`].
pub fn forward<T: Real>(shape: &Pool2dShape, input: &[T], output: &mut [T], winners: &mut [u32]) {
    let mut seen = vec![false; output.len()];
    each_pixel(shape, |window, pixel| {
        let x = input[pixel];
        if !seen[window] || x > output[window] || x.is_nan() {
            (seen[window], output[window]) = (true, x);
            winners[window] = (pixel % (shape.height * shape.width)) as u32;
        }
    });
}

/// [`crate::kernels::max_pool2d::backward`].
pub fn backward<T: Real>(shape: &Pool2dShape, winners: &[u32], grad_output: &[T], grad_input: &mut [T]) {
    grad_input.fill(T::ZERO);
    each_pixel(shape, |window, pixel| {
        if pixel % (shape.height * shape.width) == winners[window] as usize {
            grad_input[pixel] += grad_output[window];
        }
    });
}
