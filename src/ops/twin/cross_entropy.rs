//! Softmax cross-entropy.

use candle_core::{D, DType, Result, Tensor};

/// [`crate::ops::cross_entropy`].
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<(Tensor, usize)> {
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
