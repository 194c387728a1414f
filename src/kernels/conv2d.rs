//! Convolution (cross-correlation, as every library has it) by matrix products.
//!
//! An image's windows are written as the columns of a matrix, a strip of output rows at a time so that the matrix stays in
//! the second-level cache: output = filters · columns. Backwards the same products are transposed: the gradient of the
//! columns is filtersᵀ · gradient, added back to the image, and that of the filters is gradient · columnsᵀ (Chellapilla,
//! Puri, Simard: High performance convolutional neural networks for document processing, 2006). Images are shared among
//! threads; a batch's filter gradient is summed in parts that follow from the shape alone, in order.

use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{Matrix, MatrixMut, Threads, Write, multiply};
use super::im2col::{col2im, im2col};
use super::real::Real;
use super::sum::sum_of;
use super::window::count;

/// Bytes of one strip's columns: half of a small second-level cache.
const STRIP_BYTES: usize = 256 << 10;
/// Parts a batch's filter gradient is summed in, at most: what can be computed side by side.
const PARTS: usize = 32;
/// Numbers all those parts may take together; there are two at least.
const PARTS_LEN: usize = 16 << 20;

/// Sizes of a convolution with square filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dShape {
    /// Images.
    pub batch: usize,
    /// Channels of the input; a multiple of `groups`.
    pub in_channels: usize,
    /// Channels of the output: filters; a multiple of `groups`.
    pub out_channels: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Side of a filter; at most `height` and `width` plus twice `padding`.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Rows and columns of zeros added on each side.
    pub padding: usize,
    /// Parts the channels are split in.
    pub groups: usize,
}

impl Conv2dShape {
    /// Rows of the output.
    pub fn output_height(&self) -> usize {
        count(self.height, self.kernel, self.stride, self.padding)
    }

    /// Columns of the output.
    pub fn output_width(&self) -> usize {
        count(self.width, self.kernel, self.stride, self.padding)
    }

    /// Input channels a filter sees.
    pub fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Filters of one group.
    pub fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Numbers of one input image.
    pub fn image_len(&self) -> usize {
        self.in_channels * self.height * self.width
    }

    /// Numbers of one image's output.
    pub fn map_len(&self) -> usize {
        self.out_channels * self.output_height() * self.output_width()
    }

    /// Numbers of one filter.
    pub fn filter_len(&self) -> usize {
        self.group_in() * self.kernel * self.kernel
    }

    /// Numbers of all filters.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.filter_len()
    }

    fn check<T>(&self, input: &[T], weight: &[T], output: &[T]) {
        assert_eq!(input.len(), self.batch * self.image_len(), "convolution: the input's length");
        assert_eq!(weight.len(), self.weight_len(), "convolution: the filters' length");
        assert_eq!(output.len(), self.batch * self.map_len(), "convolution: the output's length");
        assert!(self.map_len() > 0 && self.image_len() > 0, "convolution: neither images nor maps are empty");
    }

    /// Ranges of output rows whose columns fit in the cache.
    fn strips<T>(&self) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (height, rows) = (self.output_height(), self.strip_rows::<T>());
        (0..height).step_by(rows).map(move |start| start..(start + rows).min(height))
    }

    fn strip_rows<T>(&self) -> usize {
        let row = self.filter_len() * self.output_width() * size_of::<T>();
        (STRIP_BYTES / row).clamp(1, self.output_height())
    }

    fn strip_buffer<T: Real>(&self) -> Vec<T> {
        vec![T::ZERO; self.filter_len() * self.strip_rows::<T>() * self.output_width()]
    }

    /// Whether a window is a pixel, and the image its own matrix of columns.
    fn pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// One image's channels of one group.
    fn group_of_image(&self, group: usize) -> Range<usize> {
        let len = self.image_len() / self.groups;
        group * len..(group + 1) * len
    }

    /// Where one group's rows `strip` are in one image's output: from the first element to past the last.
    fn group_of_map(&self, group: usize, strip: &Range<usize>) -> Range<usize> {
        let (plane, width) = (self.output_height() * self.output_width(), self.output_width());
        let start = group * self.group_out() * plane;
        start + strip.start * width..start + (self.group_out() - 1) * plane + strip.end * width
    }

    fn group_of_weight(&self, group: usize) -> Range<usize> {
        let len = self.weight_len() / self.groups;
        group * len..(group + 1) * len
    }

    /// One image alone is worth splitting each product; more are shared whole.
    fn threads(&self) -> Threads {
        if self.batch == 1 { Threads::All } else { Threads::One }
    }
}

/// `output` = `input` correlated with `weight` (out × in / groups × k × k), plus `bias`.
pub fn forward<T: Real>(shape: &Conv2dShape, input: &[T], weight: &[T], bias: Option<&[T]>, output: &mut [T]) {
    shape.check(input, weight, output);
    assert!(bias.is_none_or(|bias| bias.len() == shape.out_channels), "convolution: one bias a filter");
    let plane = shape.output_height() * shape.output_width();
    let images = input.par_chunks(shape.image_len()).zip(output.par_chunks_mut(shape.map_len()));
    images.for_each_init(
        || shape.strip_buffer::<T>(),
        |buffer, (image, output)| {
            if let Some(bias) = bias {
                output.chunks_mut(plane).zip(bias).for_each(|(plane, &bias)| plane.fill(bias));
            }
            let write = if bias.is_some() { Write::Add } else { Write::Replace };
            for (group, strip) in windows::<T>(shape) {
                let columns = columns_of(shape, &image[shape.group_of_image(group)], &strip, buffer);
                let filters = Matrix::new(&weight[shape.group_of_weight(group)], shape.group_out(), shape.filter_len());
                let output = &mut output[shape.group_of_map(group, &strip)];
                let output = MatrixMut::with_stride(output, shape.group_out(), strip.len() * shape.output_width(), plane);
                multiply(filters, columns, output, write, shape.threads());
            }
        },
    );
}

/// The gradient of the input from that of the output.
pub fn backward_data<T: Real>(shape: &Conv2dShape, weight: &[T], grad_output: &[T], grad_input: &mut [T]) {
    shape.check(grad_input, weight, grad_output);
    let plane = shape.output_height() * shape.output_width();
    let images = grad_output.par_chunks(shape.map_len()).zip(grad_input.par_chunks_mut(shape.image_len()));
    images.for_each_init(
        || shape.strip_buffer::<T>(),
        |buffer, (grad_output, grad_image)| {
            if !shape.pointwise() {
                grad_image.fill(T::ZERO);
            }
            for (group, strip) in windows::<T>(shape) {
                let pixels = strip.len() * shape.output_width();
                let filters = Matrix::new(&weight[shape.group_of_weight(group)], shape.group_out(), shape.filter_len());
                let grad_output = &grad_output[shape.group_of_map(group, &strip)];
                let grad_output = Matrix::with_stride(grad_output, shape.group_out(), pixels, plane);
                let grad_image = &mut grad_image[shape.group_of_image(group)];
                if shape.pointwise() {
                    let start = strip.start * shape.output_width();
                    let pixels = MatrixMut::with_stride(&mut grad_image[start..], shape.filter_len(), pixels, plane);
                    multiply(filters.transposed(), grad_output, pixels, Write::Replace, shape.threads());
                } else {
                    let columns = &mut buffer[..shape.filter_len() * pixels];
                    let matrix = MatrixMut::new(columns, shape.filter_len(), pixels);
                    multiply(filters.transposed(), grad_output, matrix, Write::Replace, shape.threads());
                    col2im(shape, columns, &strip, grad_image);
                }
            }
        },
    );
}

/// The gradient of the filters from that of the output.
pub fn backward_weight<T: Real>(shape: &Conv2dShape, input: &[T], grad_output: &[T], grad_weight: &mut [T]) {
    shape.check(input, grad_weight, grad_output);
    grad_weight.fill(T::ZERO);
    let parts = (PARTS_LEN / shape.weight_len()).clamp(2, PARTS).min(shape.batch);
    if parts == 0 {
        return;
    }
    let images = shape.batch.div_ceil(parts);
    let share = input.par_chunks(images * shape.image_len()).zip(grad_output.par_chunks(images * shape.map_len()));
    let sums: Vec<Vec<T>> = share.map(|(input, grad_output)| weight_gradient(shape, input, grad_output)).collect();
    for sum in sums {
        grad_weight.iter_mut().zip(sum).for_each(|(total, part)| *total += part);
    }
}

/// The gradient of the biases from that of the output.
pub fn backward_bias<T: Real>(shape: &Conv2dShape, grad_output: &[T], grad_bias: &mut [T]) {
    assert_eq!(grad_output.len(), shape.batch * shape.map_len(), "convolution: the output's length");
    assert_eq!(grad_bias.len(), shape.out_channels, "convolution: one bias a filter");
    let plane = shape.output_height() * shape.output_width();
    grad_bias.par_iter_mut().enumerate().for_each(|(channel, sum)| {
        let planes = grad_output.chunks(plane).skip(channel).step_by(shape.out_channels);
        *sum = T::from_f64(planes.map(|plane| sum_of(plane, |x| x)).sum());
    });
}

/// The filters' gradient over some images, one after the other.
fn weight_gradient<T: Real>(shape: &Conv2dShape, input: &[T], grad_output: &[T]) -> Vec<T> {
    let plane = shape.output_height() * shape.output_width();
    let (mut buffer, mut sum) = (shape.strip_buffer::<T>(), vec![T::ZERO; shape.weight_len()]);
    for (image, grad_output) in input.chunks(shape.image_len()).zip(grad_output.chunks(shape.map_len())) {
        for (group, strip) in windows::<T>(shape) {
            let columns = columns_of(shape, &image[shape.group_of_image(group)], &strip, &mut buffer);
            let grad_output = &grad_output[shape.group_of_map(group, &strip)];
            let pixels = strip.len() * shape.output_width();
            let grad_output = Matrix::with_stride(grad_output, shape.group_out(), pixels, plane);
            let sum = MatrixMut::new(&mut sum[shape.group_of_weight(group)], shape.group_out(), shape.filter_len());
            multiply(grad_output, columns.transposed(), sum, Write::Add, shape.threads());
        }
    }
    sum
}

/// Every group's every strip.
fn windows<T: Real>(shape: &Conv2dShape) -> impl Iterator<Item = (usize, Range<usize>)> {
    (0..shape.groups).flat_map(|group| shape.strips::<T>().map(move |strip| (group, strip)))
}

/// The windows of a strip as the columns of a matrix, in `buffer` unless the image is that matrix.
fn columns_of<'a, T: Real>(shape: &Conv2dShape, image: &'a [T], strip: &Range<usize>, buffer: &'a mut [T]) -> Matrix<'a, T> {
    let pixels = strip.len() * shape.output_width();
    if shape.pointwise() {
        let start = strip.start * shape.output_width();
        return Matrix::with_stride(&image[start..], shape.filter_len(), pixels, shape.height * shape.width);
    }
    let columns = &mut buffer[..shape.filter_len() * pixels];
    im2col(shape, image, strip, columns);
    Matrix::new(columns, shape.filter_len(), pixels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::naive;
    use super::super::testing::{assert_close, assert_same_for_any_threads, filled, numbers};
    use super::*;

    /// Output and gradients: of the image, of the filters, of the biases.
    type All<T> = [Vec<T>; 4];

    fn by_kernel<T: Real>(shape: &Conv2dShape) -> All<T> {
        let (x, w, b, dy) = inputs::<T>(shape);
        [
            filled(dy.len(), |y| forward(shape, &x, &w, Some(&b), y)),
            filled(x.len(), |dx| backward_data(shape, &w, &dy, dx)),
            filled(w.len(), |dw| backward_weight(shape, &x, &dy, dw)),
            filled(b.len(), |db| backward_bias(shape, &dy, db)),
        ]
    }

    fn by_formula<T: Real>(shape: &Conv2dShape) -> All<T> {
        use naive::conv2d as formula;
        let (x, w, b, dy) = inputs::<T>(shape);
        [
            filled(dy.len(), |y| formula::forward(shape, &x, &w, Some(&b), y)),
            filled(x.len(), |dx| formula::backward_data(shape, &w, &dy, dx)),
            filled(w.len(), |dw| formula::backward_weight(shape, &x, &dy, dw)),
            filled(b.len(), |db| formula::backward_bias(shape, &dy, db)),
        ]
    }

    fn inputs<T: Real>(shape: &Conv2dShape) -> (Vec<T>, Vec<T>, Vec<T>, Vec<T>) {
        let (images, maps) = (shape.batch * shape.image_len(), shape.batch * shape.map_len());
        (numbers(1, images), numbers(2, shape.weight_len()), numbers(3, shape.out_channels), numbers(4, maps))
    }

    fn assert_is_its_formula(shape: &Conv2dShape) {
        by_kernel::<f64>(shape).iter().zip(by_formula::<f64>(shape)).for_each(|(a, b)| assert_close(a, &b, 1e-13));
        by_kernel::<f32>(shape).iter().zip(by_formula::<f32>(shape)).for_each(|(a, b)| assert_close(a, &b, 1e-5));
    }

    prop_compose! {
        fn shapes()(
            (batch, groups, group_in, group_out) in (1usize..4, 1usize..4, 1usize..4, 1usize..4),
            (kernel, stride, padding) in (1usize..6, 1usize..4, 0usize..4), (h, w) in (0usize..9, 0usize..9),
        ) -> Conv2dShape {
            let least = kernel.saturating_sub(2 * padding).max(1);
            let (in_channels, out_channels) = (groups * group_in, groups * group_out);
            Conv2dShape { batch, in_channels, out_channels, height: least + h, width: least + w, kernel, stride, padding, groups }
        }
    }

    proptest! {
        #[test]
        fn any_convolution_is_its_formula(shape in shapes()) {
            assert_is_its_formula(&shape);
        }
    }

    #[test]
    fn strips_join_and_parts_add_up() {
        // Strips of 7, 7 and 6 rows in f32; 5 images in as many parts, then 40 in parts of two.
        let shape = Conv2dShape {
            batch: 5,
            in_channels: 32,
            out_channels: 6,
            height: 20,
            width: 30,
            kernel: 3,
            stride: 1,
            padding: 1,
            groups: 1,
        };
        assert_eq!(shape.strips::<f32>().collect::<Vec<_>>(), [0..7, 7..14, 14..20]);
        assert_is_its_formula(&shape);
        assert_is_its_formula(&Conv2dShape { batch: 40, in_channels: 2, height: 5, width: 5, ..shape });
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let shape = Conv2dShape {
            batch: 37,
            in_channels: 3,
            out_channels: 8,
            height: 15,
            width: 17,
            kernel: 3,
            stride: 2,
            padding: 1,
            groups: 1,
        };
        assert_same_for_any_threads(|| by_kernel::<f32>(&shape));
        let one = Conv2dShape { batch: 1, in_channels: 48, out_channels: 64, stride: 1, height: 40, ..shape };
        assert_same_for_any_threads(|| by_kernel::<f32>(&one));
    }

    #[test]
    fn no_images_give_no_maps_and_no_gradient() {
        let shape = Conv2dShape {
            batch: 0,
            in_channels: 1,
            out_channels: 2,
            height: 4,
            width: 4,
            kernel: 3,
            stride: 1,
            padding: 0,
            groups: 1,
        };
        assert_eq!(by_kernel::<f32>(&shape), [vec![], vec![], vec![0.0; 18], vec![0.0; 2]]);
    }
}
