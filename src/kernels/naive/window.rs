//! Which pixels a sliding window covers.

use crate::kernels::window::Pool2dShape;

/// Visits every pixel of every window, windows in order and each in row order: `visit(output, input)`, both positions in
/// their tensors.
pub(super) fn each_pixel(shape: &Pool2dShape, mut visit: impl FnMut(usize, usize)) {
    let mut output = 0;
    for plane in 0..shape.planes {
        for window_y in 0..shape.output_height() {
            for window_x in 0..shape.output_width() {
                for place in 0..shape.kernel * shape.kernel {
                    let y = (window_y * shape.stride + place / shape.kernel) as isize - shape.padding as isize;
                    let x = (window_x * shape.stride + place % shape.kernel) as isize - shape.padding as isize;
                    if (0..shape.height as isize).contains(&y) && (0..shape.width as isize).contains(&x) {
                        visit(output, (plane * shape.height + y as usize) * shape.width + x as usize);
                    }
                }
                output += 1;
            }
        }
    }
}
