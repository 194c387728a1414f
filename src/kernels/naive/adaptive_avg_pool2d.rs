//! The mean over windows chosen so that the output has a given size, window by window.

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

/// `output` is plane × side × side.
pub fn forward(shape: &AdaptiveShape, input: &[f64], output: &mut [f64]) {
    output.fill(0.0);
    each_pixel(shape, output.len(), |window, pixel, area| output[window] += input[pixel] / area);
}

/// The gradient of the input from that of the output.
pub fn backward(shape: &AdaptiveShape, grad_output: &[f64], grad_input: &mut [f64]) {
    grad_input.fill(0.0);
    each_pixel(shape, grad_output.len(), |window, pixel, area| grad_input[pixel] += grad_output[window] / area);
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
