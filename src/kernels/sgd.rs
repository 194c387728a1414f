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

#[cfg(test)]
mod tests {
    use super::super::naive::sgd as formula;
    use super::super::testing::{assert_same_for_any_threads, numbers};
    use super::*;

    type Update = fn(&Sgd, &mut [f32], &[f32], &mut [f32]);

    fn trained(sgd: &Sgd, update: Update) -> (Vec<f32>, Vec<f32>) {
        let n = 3 * CHUNK + 5;
        let (mut weights, mut momentum) = (numbers(1, n), vec![0.0; n]);
        (0..3).for_each(|step| update(sgd, &mut weights, &numbers(2 + step, n), &mut momentum));
        (weights, momentum)
    }

    #[test]
    fn updates_are_their_formula() {
        for (momentum, nesterov, weight_decay) in [(0.0, false, 0.0), (0.0, false, 0.1), (0.9, false, 0.1), (0.9, true, 0.1)] {
            let sgd = Sgd { learning_rate: 0.05, momentum, nesterov, weight_decay };
            assert_eq!(trained(&sgd, update), trained(&sgd, formula::update));
            assert_same_for_any_threads(|| trained(&sgd, update));
        }
    }
}
