//! Average pooling, window by window.

use super::window::each_pixel;
use crate::kernels::real::Real;
use crate::kernels::window::Pool2dShape;

/// [`crate::kernels::avg_pool2d::forward`].
pub fn forward<T: Real>(shape: &Pool2dShape, input: &[T], output: &mut [T]) {
    let area = T::from_f64((shape.kernel * shape.kernel) as f64);
    output.fill(T::ZERO);
    each_pixel(shape, |window, pixel| output[window] += input[pixel] / area);
}

/// [`crate::kernels::avg_pool2d::backward`].
pub fn backward<T: Real>(shape: &Pool2dShape, grad_output: &[T], grad_input: &mut [T]) {
    let area = T::from_f64((shape.kernel * shape.kernel) as f64);
    grad_input.fill(T::ZERO);
    each_pixel(shape, |window, pixel| grad_input[pixel] += grad_output[window] / area);
}
