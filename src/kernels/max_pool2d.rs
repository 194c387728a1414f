//! The maximum of each window, and where it was.
//!
//! As PyTorch has it: a tie goes to the first in row order, NaN beats every number and a later NaN an earlier one, padding
//! never wins. The gradient goes whole to the winner that the forward pass found.

use rayon::prelude::*;

use super::real::Real;
use super::window::Pool2dShape;

/// Maxima of `input` into `output`, and into `winners` the position of each in its plane.
pub fn forward<T: Real>(shape: &Pool2dShape, input: &[T], output: &mut [T], winners: &mut [u32]) {
    assert_eq!(input.len(), shape.input_len(), "max pool: the input's length");
    assert_eq!(output.len(), shape.output_len(), "max pool: the output's length");
    assert_eq!(winners.len(), output.len(), "max pool: as many winners as maxima");
    assert!(u32::try_from(shape.height * shape.width).is_ok(), "max pool: a position in a plane fits 32 bits");
    let (rows, columns) = (shape.rows(), shape.columns());
    let plane = rows.len() * columns.len();
    if plane == 0 || input.is_empty() {
        return;
    }
    let outputs = output.par_chunks_mut(plane).zip(winners.par_chunks_mut(plane));
    input.par_chunks(shape.height * shape.width).zip(outputs).for_each(|(input, (output, winners))| {
        let mut window = 0;
        for rows in &rows {
            for columns in &columns {
                let mut winner = rows.start * shape.width + columns.start;
                let mut best = input[winner];
                for y in rows.clone() {
                    let start = y * shape.width + columns.start;
                    for (at, &x) in input[start..start + columns.len()].iter().enumerate() {
                        if x > best || x.is_nan() {
                            (best, winner) = (x, start + at);
                        }
                    }
                }
                output[window] = best;
                winners[window] = winner as u32;
                window += 1;
            }
        }
    });
}

/// Adds each number of `grad_output` to its winner in `grad_input`, which starts from zeros.
pub fn backward<T: Real>(shape: &Pool2dShape, winners: &[u32], grad_output: &[T], grad_input: &mut [T]) {
    assert_eq!(grad_input.len(), shape.input_len(), "max pool: the input's length");
    assert_eq!(grad_output.len(), shape.output_len(), "max pool: the output's length");
    assert_eq!(winners.len(), grad_output.len(), "max pool: as many winners as maxima");
    let plane = shape.output_height() * shape.output_width();
    if plane == 0 || grad_input.is_empty() {
        return;
    }
    let outputs = grad_output.par_chunks(plane).zip(winners.par_chunks(plane));
    grad_input.par_chunks_mut(shape.height * shape.width).zip(outputs).for_each(|(grad_input, (grad_output, winners))| {
        grad_input.fill(T::ZERO);
        for (&gradient, &winner) in grad_output.iter().zip(winners) {
            grad_input[winner as usize] += gradient;
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::naive;
    use super::super::testing::{assert_same_for_any_threads, filled, numbers};
    use super::*;

    type Forward = fn(&Pool2dShape, &[f32], &mut [f32], &mut [u32]);
    type Backward = fn(&Pool2dShape, &[u32], &[f32], &mut [f32]);

    fn all(shape: &Pool2dShape, forward: Forward, backward: Backward) -> (Vec<f32>, Vec<u32>, Vec<f32>) {
        let mut winners = vec![77; shape.output_len()];
        let y = filled(shape.output_len(), |y| forward(shape, &numbers(1, shape.input_len()), y, &mut winners));
        let dx = filled(shape.input_len(), |dx| backward(shape, &winners, &numbers(2, shape.output_len()), dx));
        (y, winners, dx)
    }

    proptest! {
        #[test]
        fn any_pooling_is_its_formula(
            (planes, kernel, stride, padding) in (0usize..4, 1usize..5, 1usize..5, 0usize..3), (h, w) in (0usize..9, 0usize..9),
        ) {
            let padding = padding.min(kernel / 2);
            let least = kernel - padding;
            let shape = Pool2dShape { planes, height: least + h, width: least + w, kernel, stride, padding };
            // Every number is copied or added in the same order: equal, not close.
            prop_assert_eq!(all(&shape, forward, backward), all(&shape, naive::max_pool2d::forward, naive::max_pool2d::backward));
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let shape = Pool2dShape { planes: 50, height: 9, width: 9, kernel: 3, stride: 2, padding: 1 };
        assert_same_for_any_threads(|| all(&shape, forward, backward));
    }

    #[test]
    fn ties_nan_and_minus_infinity_go_where_pytorch_sends_them() {
        let shape = Pool2dShape { planes: 1, height: 2, width: 6, kernel: 2, stride: 2, padding: 0 };
        let (low, nan) = (f32::NEG_INFINITY, f32::NAN);
        let input = [1.0, 3.0, low, low, 1.0, nan, 3.0, 2.0, low, low, nan, 5.0];
        let (mut output, mut winners) = ([0.0; 3], [9; 3]);
        forward(&shape, &input, &mut output, &mut winners);
        // torch.nn.functional.max_pool2d(..., return_indices=True): the first of two 3s, the first of four -inf, the last NaN.
        assert_eq!(winners, [1, 2, 10]);
        assert!(output[0] == 3.0 && output[1] == low && output[2].is_nan());
        let mut grad_input = [7.0; 12];
        backward(&shape, &winners, &[1.0, 10.0, 100.0], &mut grad_input);
        assert_eq!(grad_input, [0.0, 1.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0, 0.0]);
    }
}
