//! Sliding windows along one side of a plane: how many there are, and which numbers each covers.

use std::ops::Range;

use super::lengths::sum;

/// How many windows of `kernel` numbers fit on `side` numbers, `stride` apart, with `padding` at both ends; none where the window
/// is the larger.
///
/// # Panics
/// Where stride is 0, or padding so large that no memory could hold the padded side.
pub fn count(side: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    sum([side, padding, padding]).checked_sub(kernel).map_or(0, |room| room / stride + 1)
}

/// What each of those windows covers of `side`, without the padding. With padding of at most half a window none is empty.
pub fn sliding(side: usize, kernel: usize, stride: usize, padding: usize) -> Vec<Range<usize>> {
    let clip = |at: usize| at.saturating_sub(padding).min(side);
    (0..count(side, kernel, stride, padding)).map(|i| clip(i * stride)..clip(i * stride + kernel)).collect()
}

/// PyTorch's windows of adaptive pooling: `windows` of them that cover `side`, where `i` goes from `⌊i·side/windows⌋` to
/// `⌈(i+1)·side/windows⌉`. They overlap where the side is no multiple.
pub fn adaptive(side: usize, windows: usize) -> Vec<Range<usize>> {
    (0..windows).map(|i| i * side / windows..((i + 1) * side).div_ceil(windows)).collect()
}
