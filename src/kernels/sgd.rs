//! The update of stochastic gradient descent, as `torch.optim.SGD` writes it (dampening 0).

use rayon::prelude::*;

use super::parallel::CHUNK;
use super::real::Real;
use crate::optim::Sgd;

/// Moves `weights` against `gradient`. `momentum` holds the optimizer's state, zeros before the first update: PyTorch starts
/// from the first gradient, which is what `momentum · 0 + gradient` is. Where the momentum is 0 it is left alone.
pub fn update<T: Real>(sgd: &Sgd, weights: &mut [T], gradient: &[T], momentum: &mut [T]) {
    assert_eq!(weights.len(), gradient.len(), "SGD: as many gradients as weights");
    assert_eq!(weights.len(), momentum.len(), "SGD: as many momenta as weights");
    let chunks = weights.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(momentum.par_chunks_mut(CHUNK));
    chunks.for_each(|((weights, gradient), momentum)| update_here(sgd, weights, gradient, momentum));
}

/// [`update`] on this thread alone.
#[inline(always)]
pub fn update_here<T: Real>(sgd: &Sgd, weights: &mut [T], gradient: &[T], momentum: &mut [T]) {
    let constant = |value: f32| T::from_f64(f64::from(value));
    let (rate, kept, decay) = (constant(sgd.learning_rate), constant(sgd.momentum), constant(sgd.weight_decay));
    if sgd.momentum == 0.0 {
        weights.iter_mut().zip(gradient).for_each(|(w, &g)| *w -= rate * (g + decay * *w));
        return;
    }
    for ((w, &g), v) in weights.iter_mut().zip(gradient).zip(momentum) {
        let g = g + decay * *w;
        *v = kept * *v + g;
        *w -= rate * if sgd.nesterov { g + kept * *v } else { *v };
    }
}
