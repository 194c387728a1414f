//! Dropout, element by element.

use crate::kernels::dropout::Mask;
use crate::kernels::real::Real;

/// [`Mask::apply`].
pub fn apply<T: Real>(mask: &Mask, input: &[T], output: &mut [T]) {
    for (index, (&x, y)) in (0u64..).zip(input.iter().zip(output)) {
        *y = if mask.keeps(index) { x * T::from_f64(mask.scale()) } else { T::ZERO };
    }
}
