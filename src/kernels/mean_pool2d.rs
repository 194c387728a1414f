//! The mean over rectangles of a plane, which both kinds of average pooling are.

use std::ops::Range;

use rayon::prelude::*;

use super::real::Real;

/// The rectangles, each the rows of one range and the columns of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rectangles {
    /// Height and width of a plane.
    pub plane: [usize; 2],
    /// Rows of the input for each row of the output.
    pub rows: Vec<Range<usize>>,
    /// Columns of the input for each column of the output.
    pub columns: Vec<Range<usize>>,
    /// What a sum is divided by; the rectangle's own area where there is none.
    pub divisor: Option<usize>,
}

impl Rectangles {
    fn share<T: Real>(&self, rows: &Range<usize>, columns: &Range<usize>) -> T {
        T::from_f64(1.0 / self.divisor.unwrap_or(rows.len() * columns.len()) as f64)
    }

    fn check<T>(&self, input: &[T], output: &[T]) {
        let (input_plane, output_plane) = (self.plane[0] * self.plane[1], self.rows.len() * self.columns.len());
        assert!(input_plane > 0 && output_plane > 0, "pooling: planes are not empty");
        assert_eq!(input.len() / input_plane, output.len() / output_plane, "pooling: as many planes of output as of input");
        assert!(input.len().is_multiple_of(input_plane) && output.len().is_multiple_of(output_plane), "pooling: whole planes");
    }
}

/// Means of `input` (plane × height × width) into `output` (plane × rows × columns of rectangles).
pub fn forward<T: Real>(shape: &Rectangles, input: &[T], output: &mut [T]) {
    shape.check(input, output);
    let width = shape.plane[1];
    let planes = input.par_chunks(shape.plane[0] * width);
    planes.zip(output.par_chunks_mut(shape.rows.len() * shape.columns.len())).for_each(|(input, output)| {
        for (rows, output) in shape.rows.iter().zip(output.chunks_mut(shape.columns.len())) {
            for (columns, mean) in shape.columns.iter().zip(output) {
                let row = |y: usize| &input[y * width + columns.start..y * width + columns.end];
                let sum: T = rows.clone().map(|y| row(y).iter().copied().sum::<T>()).sum();
                *mean = sum * shape.share(rows, columns);
            }
        }
    });
}

/// Spreads each number of `grad_output` evenly over its rectangle in `grad_input`.
pub fn backward<T: Real>(shape: &Rectangles, grad_output: &[T], grad_input: &mut [T]) {
    shape.check(grad_input, grad_output);
    let width = shape.plane[1];
    let planes = grad_input.par_chunks_mut(shape.plane[0] * width);
    planes.zip(grad_output.par_chunks(shape.rows.len() * shape.columns.len())).for_each(|(grad_input, grad_output)| {
        grad_input.fill(T::ZERO);
        for (rows, grad_output) in shape.rows.iter().zip(grad_output.chunks(shape.columns.len())) {
            for (columns, &gradient) in shape.columns.iter().zip(grad_output) {
                let share = gradient * shape.share(rows, columns);
                for y in rows.clone() {
                    let row = &mut grad_input[y * width + columns.start..y * width + columns.end];
                    for x in row {
                        *x += share;
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::adaptive_avg_pool2d::{self, AdaptiveShape};
    use super::super::testing::{assert_close, assert_same_for_any_threads, filled, numbers};
    use super::super::window::Pool2dShape;
    use super::super::{avg_pool2d, naive};

    proptest! {
        #[test]
        fn any_average_pooling_is_its_formula(
            (planes, kernel, stride, padding) in (0usize..4, 1usize..5, 1usize..5, 0usize..3), (h, w) in (0usize..9, 0usize..9),
        ) {
            use naive::avg_pool2d as formula;
            let padding = padding.min(kernel / 2);
            let least = kernel - padding;
            let shape = Pool2dShape { planes, height: least + h, width: least + w, kernel, stride, padding };
            let (x, dy) = (numbers::<f64>(1, shape.input_len()), numbers::<f64>(2, shape.output_len()));
            let y = filled(dy.len(), |y| avg_pool2d::forward(&shape, &x, y));
            assert_close(&y, &filled(dy.len(), |y| formula::forward(&shape, &x, y)), 1e-14);
            let dx = filled(x.len(), |dx| avg_pool2d::backward(&shape, &dy, dx));
            assert_close(&dx, &filled(x.len(), |dx| formula::backward(&shape, &dy, dx)), 1e-14);
        }

        #[test]
        fn any_adaptive_pooling_is_its_formula((planes, height, width, output) in (0usize..4, 1usize..12, 1usize..12, 1usize..8)) {
            use naive::adaptive_avg_pool2d as formula;
            let shape = AdaptiveShape { height, width, output };
            let (x, dy) = (numbers::<f64>(1, planes * height * width), numbers::<f64>(2, planes * output * output));
            let y = filled(dy.len(), |y| adaptive_avg_pool2d::forward(&shape, &x, y));
            assert_close(&y, &filled(dy.len(), |y| formula::forward(&shape, &x, y)), 1e-14);
            let dx = filled(x.len(), |dx| adaptive_avg_pool2d::backward(&shape, &dy, dx));
            assert_close(&dx, &filled(x.len(), |dx| formula::backward(&shape, &dy, dx)), 1e-14);
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let shape = Pool2dShape { planes: 50, height: 9, width: 9, kernel: 3, stride: 2, padding: 1 };
        let (x, dy) = (numbers::<f32>(1, shape.input_len()), numbers::<f32>(2, shape.output_len()));
        assert_same_for_any_threads(|| {
            let y = filled(dy.len(), |y| avg_pool2d::forward(&shape, &x, y));
            (y, filled(x.len(), |dx| avg_pool2d::backward(&shape, &dy, dx)))
        });
    }
}
