//! Windows that slide over planes, and the planes seen through one place of all of them.

use candle_core::{Result, Tensor, bail};

use crate::kernels::window::count;

/// Arguments of pooling, as `torch.nn.functional.max_pool2d` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2d {
    /// Side of the square window.
    pub kernel_size: usize,
    /// Step between windows.
    pub stride: usize,
    /// Rows and columns added on each side; at most half the window.
    pub padding: usize,
}

impl Pool2d {
    /// Refuses what has no window on `x` (batch × channel × height × width).
    pub(super) fn check(&self, x: &Tensor) -> Result<()> {
        let (_, _, height, width) = x.dims4()?;
        let &Self { kernel_size: kernel, stride, padding } = self;
        let fits = |side: usize| side > 0 && side.saturating_add(2 * padding) >= kernel;
        if kernel == 0 || stride == 0 || padding > kernel / 2 || !fits(height) || !fits(width) {
            bail!("windows of {kernel} × {kernel}, stride {stride}, padding {padding} do not fit on {height} × {width}");
        }
        Ok(())
    }

    /// For each place of the window, row by row: its element of every window, a copy of `x` of the size of the result.
    ///
    /// A place in the padding stands for the nearest element inside the image: it is in the same window.
    pub(super) fn seen(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let inside = |side: usize| {
            let windows = count(side, self.kernel_size, self.stride, self.padding);
            let at = move |window: usize, place: usize| (window * self.stride + place).saturating_sub(self.padding).min(side - 1);
            (windows, at)
        };
        let (_, _, height, width) = x.dims4()?;
        copies(x, self.kernel_size, &[inside(height), inside(width)])
    }
}

/// For each place of a square window of side `kernel`, row by row, a copy of `x` that holds what every window has there. Along
/// each side of the plane there are so many windows, and a window and a place in it are at a row or column of `x`.
pub(super) fn copies<F: Fn(usize, usize) -> usize>(x: &Tensor, kernel: usize, sides: &[(usize, F); 2]) -> Result<Vec<Tensor>> {
    let x = x.contiguous()?;
    let [rows, columns] = sides;
    let chosen = |(windows, at): &(usize, F), place: usize| {
        Tensor::from_iter((0..*windows).map(|window| at(window, place) as u32), x.device())
    };
    let mut copies = Vec::with_capacity(kernel * kernel);
    for row in 0..kernel {
        let rows = x.index_select(&chosen(rows, row)?, 2)?;
        for column in 0..kernel {
            copies.push(rows.index_select(&chosen(columns, column)?, 3)?);
        }
    }
    Ok(copies)
}
