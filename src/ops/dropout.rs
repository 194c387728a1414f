//! Dropout.

use candle_core::{Result, Tensor, bail};

use crate::kernels::dropout::Mask;

/// Zeroes elements with probability `p` (0 ≤ p < 1) and multiplies the rest by `1 / (1 - p)`; equal seeds zero equal elements.
/// Two layers, or two steps, need different seeds. The mask is made on the CPU, a byte an element, so that one seed means one
/// mask whatever computes.
pub fn dropout(x: &Tensor, p: f64, seed: u64) -> Result<Tensor> {
    if !(0.0..1.0).contains(&p) {
        bail!("dropout's probability is {p}; it must be at least 0 and below 1");
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    let mask = Mask::new(p, seed);
    let kept: Vec<u8> = (0..x.elem_count() as u64).map(|index| u8::from(mask.keeps(index))).collect();
    let kept = Tensor::from_vec(kept, x.shape(), x.device())?;
    kept.where_cond(&(x * mask.scale())?, &x.zeros_like()?)
}
