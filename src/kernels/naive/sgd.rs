//! SGD, weight by weight, as PyTorch's documentation writes it (dampening 0, minimising).

use crate::kernels::real::Real;
use crate::optim::Sgd;

/// [`crate::kernels::sgd::update`].
pub fn update<T: Real>(sgd: &Sgd, weights: &mut [T], gradient: &[T], momentum: &mut [T]) {
    let constant = |value: f32| T::from_f64(f64::from(value));
    for at in 0..weights.len() {
        let mut step = gradient[at];
        if sgd.weight_decay != 0.0 {
            step += constant(sgd.weight_decay) * weights[at];
        }
        if sgd.momentum != 0.0 {
            momentum[at] = constant(sgd.momentum) * momentum[at] + step;
            step = if sgd.nesterov { step + constant(sgd.momentum) * momentum[at] } else { momentum[at] };
        }
        weights[at] -= constant(sgd.learning_rate) * step;
    }
}
