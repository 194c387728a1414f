//! The update of SGD.

use candle_core::{Result, Tensor, Var};

use crate::optim::Sgd;

/// [`crate::ops::sgd_update`].
pub fn sgd_update(weights: &Var, gradient: &Tensor, momentum: &Var, sgd: &Sgd) -> Result<()> {
    let old = weights.as_detached_tensor();
    let gradient = (gradient.detach() + (&old * f64::from(sgd.weight_decay))?)?;
    let step = if sgd.momentum == 0.0 {
        gradient
    } else {
        let kept = ((momentum.as_detached_tensor() * f64::from(sgd.momentum))? + &gradient)?;
        momentum.set(&kept)?;
        if sgd.nesterov { (gradient + (kept * f64::from(sgd.momentum))?)? } else { kept }
    };
    weights.set(&(old - (step * f64::from(sgd.learning_rate))?)?)
}
