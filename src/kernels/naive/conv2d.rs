//! Convolution (cross-correlation, as every library has it), one multiplication at a time.

use crate::kernels::blocked::Convolution;

/// `output` = `input` correlated with `weight` (out × in / groups × k × k), plus `bias`.
pub fn forward(sizes: &Convolution, input: &[f64], weight: &[f64], bias: Option<&[f64]>, output: &mut [f64]) {
    for (at, y) in output.iter_mut().enumerate() {
        *y = bias.map_or(0.0, |bias| bias[at / sizes.output.plane() % sizes.output.channels]);
    }
    each_product(sizes, output.len(), |x, w, y| output[y] += input[x] * weight[w]);
}

/// The gradient of the input from that of the output.
pub fn backward_data(sizes: &Convolution, weight: &[f64], grad_output: &[f64], grad_input: &mut [f64]) {
    grad_input.fill(0.0);
    each_product(sizes, grad_output.len(), |x, w, y| grad_input[x] += weight[w] * grad_output[y]);
}

/// The gradient of the filters from that of the output.
pub fn backward_weight(sizes: &Convolution, input: &[f64], grad_output: &[f64], grad_weight: &mut [f64]) {
    grad_weight.fill(0.0);
    each_product(sizes, grad_output.len(), |x, w, y| grad_weight[w] += input[x] * grad_output[y]);
}

/// The gradient of the biases from that of the output.
pub fn backward_bias(sizes: &Convolution, grad_output: &[f64], grad_bias: &mut [f64]) {
    grad_bias.fill(0.0);
    for (at, &dy) in grad_output.iter().enumerate() {
        grad_bias[at / sizes.output.plane() % sizes.output.channels] += dy;
    }
}

/// Visits every product of a pixel and a weight that is summed into one of so many outputs: `visit(input, weight, output)`.
fn each_product(sizes: &Convolution, outputs: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let Convolution { input, output: maps, kernel, stride, padding, dilation, groups } = *sizes;
    let (seen, filter_len) = (input.channels / groups, input.channels / groups * kernel * kernel);
    for output in 0..outputs {
        let (image, filter) = (output / (maps.channels * maps.plane()), output / maps.plane() % maps.channels);
        let first_channel = filter / (maps.channels / groups) * seen;
        for tap in 0..filter_len {
            let y = (output / maps.width % maps.height * stride + tap / kernel % kernel * dilation) as isize - padding as isize;
            let x = (output % maps.width * stride + tap % kernel * dilation) as isize - padding as isize;
            if (0..input.height as isize).contains(&y) && (0..input.width as isize).contains(&x) {
                let plane = image * input.channels + first_channel + tap / (kernel * kernel);
                visit((plane * input.height + y as usize) * input.width + x as usize, filter * filter_len + tap, output);
            }
        }
    }
}
