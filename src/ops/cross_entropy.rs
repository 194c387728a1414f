//! The loss.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::numbers::{Number, output, read, with_number};
use super::twin;
use crate::kernels::cross_entropy::{Targets, cross_entropy as measure};
use crate::kernels::real::Real;

/// Mean softmax cross-entropy of `logits` (batch × class) against `labels`, a scalar, and how many images have their
/// label's score as the first of the highest. As `torch.nn.functional.cross_entropy` with `label_smoothing`.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<(Tensor, usize)> {
    let (batch, classes) = logits.dims2()?;
    if labels.len() != batch || batch == 0 {
        bail!("{} labels for {batch} images: give one an image, and one image at least", labels.len());
    }
    if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
        bail!("a label is {label} with {classes} classes, which are counted from 0");
    }
    if !(0.0..=1.0).contains(&smoothing) {
        bail!("label smoothing is {smoothing}; it must be between 0 and 1");
    }
    if !logits.device().is_cpu() {
        return twin::cross_entropy(logits, labels, smoothing);
    }
    let (logits, targets) = (logits.contiguous()?, Targets { labels, classes, smoothing });
    with_number!(logits.dtype(), T => {
        let mut gradient = logits.track_op().then(|| vec![T::ZERO; batch * classes]);
        let measured = read([&logits], |[logits]| measure::<T>(&targets, logits, gradient.as_deref_mut()))?;
        let op = Loss { value: T::from_f64(measured.loss), gradient: gradient.unwrap_or_default() };
        Ok((logits.apply_op1(op)?, measured.correct))
    })
}

/// The loss and its gradient, measured in one pass over the scores.
struct Loss<T> {
    value: T,
    gradient: Vec<T>,
}

impl<T: Number> CustomOp1 for Loss<T> {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(output::<T>((), |loss| loss[0] = self.value))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Tensor::from_slice(&self.gradient, logits.shape(), logits.device())?.broadcast_mul(grad).map(Some)
    }
}
