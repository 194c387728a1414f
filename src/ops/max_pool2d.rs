//! Max pooling over copies of the image, one for each place in the window.

use candle_core::{DType, Result, Tensor};

use super::window::Pool2d;

/// The maximum of each window; a tie goes, gradient and all, to the first in row order. As `torch.nn.functional.max_pool2d`.
/// (Candle's own gives a unique maximum a share of the gradient; here the winner's copy, and nothing else, reaches the output.)
pub fn max_pool2d(x: &Tensor, pool: Pool2d) -> Result<Tensor> {
    pool.check(x)?;
    if !x.track_op() && pool.padding == 0 && !x.device().is_cpu() {
        // Without a gradient candle's own is right, and one kernel on a card. The processor's stays apart from it: it is a reference.
        return x.contiguous()?.max_pool2d_with_stride(pool.kernel_size, pool.stride);
    }
    // A place in the padding repeats an element of its window, so it changes no maximum, and if it is seen early it wins for the
    // element it stands for.
    let copies = pool.seen(x)?;
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
