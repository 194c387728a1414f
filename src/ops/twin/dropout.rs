//! Dropout.

use candle_core::{Result, Tensor};

use crate::kernels::dropout::Mask;

/// [`crate::ops::dropout`]: the mask is made on the CPU, a byte an element, so that one seed means one mask everywhere.
pub fn dropout(x: &Tensor, p: f64, seed: u64) -> Result<Tensor> {
    let mask = Mask::new(p, seed);
    let kept: Vec<u8> = (0..x.elem_count() as u64).map(|index| u8::from(mask.keeps(index))).collect();
    let kept = Tensor::from_vec(kept, x.shape(), x.device())?;
    kept.where_cond(&(x * mask.scale())?, &x.zeros_like()?)
}
