//! Which pixels a sliding window covers.

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
    /// Rows and columns added on each side; at most half the window's side.
    pub padding: usize,
}

impl Pool2dShape {
    /// Rows of the output.
    pub fn output_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Columns of the output.
    pub fn output_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Visits every pixel of every window, windows in order and each in row order: `visit(output, input)`, both positions in
    /// their tensors.
    pub(super) fn each_pixel(&self, mut visit: impl FnMut(usize, usize)) {
        let mut output = 0;
        for plane in 0..self.planes {
            for window_y in 0..self.output_height() {
                for window_x in 0..self.output_width() {
                    for place in 0..self.kernel * self.kernel {
                        let y = (window_y * self.stride + place / self.kernel) as isize - self.padding as isize;
                        let x = (window_x * self.stride + place % self.kernel) as isize - self.padding as isize;
                        if (0..self.height as isize).contains(&y) && (0..self.width as isize).contains(&x) {
                            visit(output, (plane * self.height + y as usize) * self.width + x as usize);
                        }
                    }
                    output += 1;
                }
            }
        }
    }
}

#[cfg(test)]
impl Pool2dShape {
    /// Numbers of the input.
    pub(crate) fn input_len(&self) -> usize {
        self.planes * self.height * self.width
    }

    /// Numbers of the output.
    pub(crate) fn output_len(&self) -> usize {
        self.planes * self.output_height() * self.output_width()
    }
}
