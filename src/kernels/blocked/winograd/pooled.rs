//! Back from the points and pooled in registers: of a tile's 4×4 outputs only the maxima of its four 2×2 squares leave.

use super::transform::{Lying, Matrix, Output, Square, Whole};
use crate::kernels::lanes::Lanes;

/// The maxima of the four squares of a tile's outputs. (A bias is the same for all four of a square, and adding it afterwards
/// rounds to the same maximum.)
///
/// # Safety
/// All 6 × 6 vectors of `from` are valid for reads of sixteen floats.
#[inline(always)]
pub(super) unsafe fn pooled<L: Lanes>(l: L, from: Lying<'_, *const f32, Whole>) -> [[L::V; 2]; 2] {
    // NaN wins, as in [`crate::kernels::blocked::pool::Max`].
    let larger = |a, b| l.where_greater((a, b), a, b);
    let mut columns = [[l.zero(); 4]; 6];
    for (column, out) in columns.iter_mut().enumerate() {
        let mut line = [l.zero(); 6];
        for (row, v) in line.iter_mut().enumerate() {
            if let Some(place) = from.places.place(row, column) {
                // SAFETY: row and column are below 6.
                *v = unsafe { l.load(from.base.add(place)) };
            }
        }
        *out = Output::apply(l, line);
    }
    let mut rows = [[l.zero(); 2]; 4];
    for (row, out) in rows.iter_mut().enumerate() {
        let mut line = [l.zero(); 6];
        for (v, column) in line.iter_mut().zip(&columns) {
            *v = column[row];
        }
        let [a, b, c, d] = Output::apply(l, line);
        *out = [larger(a, b), larger(c, d)];
    }
    let [[a, b], [c, d], [e, f], [g, h]] = rows;
    [[larger(a, c), larger(b, d)], [larger(e, g), larger(f, h)]]
}
