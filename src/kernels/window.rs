//! Sliding windows: how many there are, and which numbers each covers.

use std::ops::Range;

/// Square windows that slide over planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2dShape {
    /// Batch times channels: each plane is pooled on its own.
    pub planes: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Side of the window.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Rows and columns added on each side; fewer than the window's side.
    pub padding: usize,
}

impl Pool2dShape {
    /// Rows of the output.
    pub fn output_height(&self) -> usize {
        count(self.height, self.kernel, self.stride, self.padding)
    }

    /// Columns of the output.
    pub fn output_width(&self) -> usize {
        count(self.width, self.kernel, self.stride, self.padding)
    }

    /// Numbers of the input.
    pub fn input_len(&self) -> usize {
        self.planes * self.height * self.width
    }

    /// Numbers of the output.
    pub fn output_len(&self) -> usize {
        self.planes * self.output_height() * self.output_width()
    }

    /// For each row of the output, the rows of the input its windows cover.
    pub fn rows(&self) -> Vec<Range<usize>> {
        (0..self.output_height()).map(|i| self.covered(i, self.height)).collect()
    }

    /// For each column of the output, the columns of the input its windows cover.
    pub fn columns(&self) -> Vec<Range<usize>> {
        (0..self.output_width()).map(|i| self.covered(i, self.width)).collect()
    }

    fn covered(&self, window: usize, side: usize) -> Range<usize> {
        let clip = |at: usize| at.saturating_sub(self.padding).min(side);
        clip(window * self.stride)..clip(window * self.stride + self.kernel)
    }
}

/// How many windows of `kernel` numbers fit on `side` numbers, `stride` apart; none where the window is the larger.
pub fn count(side: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    (side + 2 * padding).checked_sub(kernel).map_or(0, |room| room / stride + 1)
}

/// PyTorch's windows of adaptive pooling: `windows` of them that cover `side`, where `i` goes from `⌊i·side/windows⌋` to
/// `⌈(i+1)·side/windows⌉`. They overlap where the side is no multiple.
pub fn adaptive(side: usize, windows: usize) -> Vec<Range<usize>> {
    (0..windows).map(|i| i * side / windows..((i + 1) * side).div_ceil(windows)).collect()
}
