//! SGD, weight by weight, as PyTorch's documentation writes it (dampening 0, minimising).

use crate::kernels::sgd::Sgd;

/// [`crate::kernels::sgd::update`].
pub fn update(sgd: &Sgd, weights: &mut [f64], gradient: &[f64], momentum: &mut [f64]) {
    let [rate, kept, decay] = [sgd.learning_rate, sgd.momentum, sgd.weight_decay].map(f64::from);
    for at in 0..weights.len() {
        let mut step = gradient[at];
        if decay != 0.0 {
            step += decay * weights[at];
        }
        if kept != 0.0 {
            momentum[at] = kept * momentum[at] + step;
            step = if sgd.nesterov { step + kept * momentum[at] } else { momentum[at] };
        }
        weights[at] -= rate * step;
    }
}
