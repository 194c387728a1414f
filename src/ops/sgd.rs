//! The update of SGD, in place.

use candle_core::{Result, Tensor, Var, bail};

use crate::optim::Sgd;

/// One update of `weights` in place. `momentum` is the optimizer's buffer, of the same shape, zeros before the first update.
/// As `torch.optim.SGD`; weight decay is applied where `sgd` says so, whatever the parameter is.
pub fn sgd_update(weights: &Var, gradient: &Tensor, momentum: &Var, sgd: &Sgd) -> Result<()> {
    let shape = weights.shape();
    if gradient.shape() != shape || momentum.shape() != shape {
        bail!("an update of {shape:?} by a gradient of {:?} and momenta of {:?}", gradient.shape(), momentum.shape());
    }
    if same_storage(weights, momentum) || same_storage(weights, gradient) || same_storage(momentum, gradient) {
        bail!("weights, gradient and momenta of an update must be three tensors");
    }
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

fn same_storage(a: &Tensor, b: &Tensor) -> bool {
    let address = |tensor: &Tensor| std::ptr::from_ref(&*tensor.storage_and_layout().0).addr();
    address(a) == address(b)
}
