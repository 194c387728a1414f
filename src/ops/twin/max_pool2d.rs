//! Max pooling over shifted copies of the image, one for each place in the window.

use candle_core::{DType, Result, Tensor};

use crate::kernels::window::count;
use crate::network::spec::Pool2d;

/// [`crate::ops::max_pool2d`]. Candle's own gives a unique maximum a share of the gradient; here the winner's copy, and
/// nothing else, reaches the output.
pub fn max_pool2d(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let sides = [Side::new(height, pool), Side::new(width, pool)];
    let mut copies = Vec::with_capacity(pool.kernel_size * pool.kernel_size);
    for row in 0..pool.kernel_size {
        let rows = x.index_select(&sides[0].tensor(row, x)?, 2)?;
        for column in 0..pool.kernel_size {
            copies.push(rows.index_select(&sides[1].tensor(column, x)?, 3)?);
        }
    }
    // The first place of the window inside the image holds until something greater (or NaN) comes: as PyTorch has it.
    let mut winner = copies[0].zeros_like()?.to_dtype(DType::U32)?;
    let mut best = copies[0].detach();
    for (place, copy) in (0u32..).zip(&copies).skip(1) {
        let copy = copy.detach();
        let wins = (copy.gt(&best)? + copy.ne(&copy)?)?;
        winner = wins.where_cond(&winner.ones_like()?.affine(f64::from(place), 0.0)?, &winner)?;
        best = wins.where_cond(&copy, &best)?;
    }
    let nothing = best.zeros_like()?;
    let mut y = nothing.clone();
    for (place, copy) in (0u32..).zip(&copies) {
        y = (y + winner.eq(place)?.where_cond(copy, &nothing)?)?;
    }
    Ok(y)
}

/// One side of the image, and where along it the windows are.
struct Side {
    length: usize,
    windows: usize,
    pool: Pool2d,
}

impl Side {
    fn new(length: usize, pool: &Pool2d) -> Self {
        Self { length, windows: count(length, pool.kernel_size, pool.step(), pool.padding), pool: *pool }
    }

    /// Where each window has its `place`. A place in the padding is moved to the nearest inside the image: it is in the
    /// same window, so it changes no maximum, and if it is seen early it wins for the element it stands for.
    fn tensor(&self, place: usize, x: &Tensor) -> Result<Tensor> {
        let at = |window: usize| (window * self.pool.step() + place).saturating_sub(self.pool.padding).min(self.length - 1) as u32;
        Tensor::from_iter((0..self.windows).map(at), x.device())
    }
}
