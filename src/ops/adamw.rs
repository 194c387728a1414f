//! The update of AdamW, in place.

use candle_core::{Result, Tensor, Var};

use crate::optim::AdamW;

/// One update of `weights` in place. `mean` and `square` are the optimizer's buffers, of the same shape, zeros before the first
/// update. As `torch.optim.AdamW`; weight decay is applied where `rule` says so, whatever the parameter is.
pub fn adamw_update(weights: &Var, gradient: &Tensor, [mean, square]: [&Var; 2], rule: &AdamW) -> Result<()> {
    let AdamW { learning_rate, betas, eps, weight_decay, step } = *rule;
    let gradient = gradient.detach();
    let new = |old: &Var, taken: &Tensor, beta: f64| (old.as_detached_tensor() * beta)? + (taken * (1.0 - beta))?;
    let first = new(mean, &gradient, betas[0])?;
    let second = new(square, &gradient.sqr()?, betas[1])?;
    let [lacks_first, lacks_second] = betas.map(|beta| 1.0 - beta.powf(step as f64));
    let root = ((second.sqrt()? / lacks_second.sqrt())? + eps)?;
    let by = ((&first / root)? * (learning_rate / lacks_first))?;
    let kept = (weights.as_detached_tensor() * (1.0 - learning_rate * weight_decay))?;
    mean.set(&first)?;
    square.set(&second)?;
    weights.set(&(kept - by)?)
}
