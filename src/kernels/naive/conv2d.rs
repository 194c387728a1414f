//! Convolution, one multiplication at a time.

use crate::kernels::conv2d::Conv2dShape;
use crate::kernels::real::Real;

/// [`crate::kernels::conv2d::forward`].
pub fn forward<T: Real>(shape: &Conv2dShape, input: &[T], weight: &[T], bias: Option<&[T]>, output: &mut [T]) {
    let plane = shape.output_height() * shape.output_width();
    for (at, y) in output.iter_mut().enumerate() {
        *y = bias.map_or(T::ZERO, |bias| bias[at / plane % shape.out_channels]);
    }
    each_product(shape, |x, w, y| output[y] += input[x] * weight[w]);
}

/// [`crate::kernels::conv2d::backward_data`].
pub fn backward_data<T: Real>(shape: &Conv2dShape, weight: &[T], grad_output: &[T], grad_input: &mut [T]) {
    grad_input.fill(T::ZERO);
    each_product(shape, |x, w, y| grad_input[x] += weight[w] * grad_output[y]);
}

/// [`crate::kernels::conv2d::backward_weight`].
pub fn backward_weight<T: Real>(shape: &Conv2dShape, input: &[T], grad_output: &[T], grad_weight: &mut [T]) {
    grad_weight.fill(T::ZERO);
    each_product(shape, |x, w, y| grad_weight[w] += input[x] * grad_output[y]);
}

/// [`crate::kernels::conv2d::backward_bias`].
pub fn backward_bias<T: Real>(shape: &Conv2dShape, grad_output: &[T], grad_bias: &mut [T]) {
    let plane = shape.output_height() * shape.output_width();
    grad_bias.fill(T::ZERO);
    for (at, &dy) in grad_output.iter().enumerate() {
        grad_bias[at / plane % shape.out_channels] += dy;
    }
}

/// Visits every product of a pixel and a weight that is summed into an output: `visit(input, weight, output)`.
fn each_product(shape: &Conv2dShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (height, width, side) = (shape.output_height(), shape.output_width(), shape.kernel);
    for output in 0..shape.batch * shape.map_len() {
        let (image, filter) = (output / shape.map_len(), output / (height * width) % shape.out_channels);
        let first_channel = filter / shape.group_out() * shape.group_in();
        for tap in 0..shape.filter_len() {
            let y = (output / width % height * shape.stride + tap / side % side) as isize - shape.padding as isize;
            let x = (output % width * shape.stride + tap % side) as isize - shape.padding as isize;
            if (0..shape.height as isize).contains(&y) && (0..shape.width as isize).contains(&x) {
                let plane = image * shape.in_channels + first_channel + tap / (side * side);
                let input = (plane * shape.height + y as usize) * shape.width + x as usize;
                visit(input, filter * shape.filter_len() + tap, output);
            }
        }
    }
}
