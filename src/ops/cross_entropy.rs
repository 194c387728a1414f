//! The loss.

use candle_core::{D, DType, Result, Tensor, bail};

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
    let labels = Tensor::new(labels, logits.device())?;
    // The maximum only keeps the exponentials in range: it cancels, and so it is not differentiated.
    let centred = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_total = centred.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let surprise = log_total.broadcast_sub(&centred)?;
    let of_label = surprise.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?;
    let of_any = surprise.mean_all()?;
    let loss = ((of_label * (1.0 - smoothing))? + (of_any * smoothing)?)?;
    let right = logits.detach().argmax(D::Minus1)?.eq(&labels)?.to_dtype(DType::U32)?.sum_all()?;
    Ok((loss, right.to_scalar::<u32>()? as usize))
}
