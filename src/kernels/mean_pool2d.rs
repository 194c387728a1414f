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
                    row.iter_mut().for_each(|x| *x += share);
                }
            }
        }
    });
}
