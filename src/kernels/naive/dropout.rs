//! Dropout, element by element.

use crate::kernels::dropout::Mask;

/// `input` with the mask applied. Applied to the gradient of the output, this is the backward pass too.
pub fn apply(mask: &Mask, input: &[f64], output: &mut [f64]) {
    for (index, (&x, y)) in (0u64..).zip(input.iter().zip(output)) {
        *y = if mask.keeps(index) { x * mask.scale() } else { 0.0 };
    }
}
