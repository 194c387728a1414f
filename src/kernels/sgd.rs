//! The update of stochastic gradient descent, as `torch.optim.SGD` writes it (dampening 0).

/// One update's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Step length.
    pub learning_rate: f32,
    /// Share of the previous step that is kept.
    pub momentum: f32,
    /// Looks ahead along the momentum (Nesterov, as PyTorch has it).
    pub nesterov: bool,
    /// Share of a weight that is added to its gradient.
    pub weight_decay: f32,
}

/// Moves `weights` against `gradient`. `momentum` holds the optimizer's state, zeros before the first update: PyTorch starts
/// from the first gradient, which is what `momentum · 0 + gradient` is. Where the momentum is 0 it is left alone.
#[inline(always)]
pub fn update(sgd: &Sgd, weights: &mut [f32], gradient: &[f32], momentum: &mut [f32]) {
    assert_eq!(weights.len(), gradient.len(), "SGD: as many gradients as weights");
    let Sgd { learning_rate: rate, momentum: kept, nesterov, weight_decay: decay } = *sgd;
    if kept == 0.0 {
        weights.iter_mut().zip(gradient).for_each(|(w, &g)| *w -= rate * (g + decay * *w));
        return;
    }
    assert_eq!(weights.len(), momentum.len(), "SGD: as many momenta as weights");
    for ((w, &g), v) in weights.iter_mut().zip(gradient).zip(momentum) {
        let g = g + decay * *w;
        *v = kept * *v + g;
        *w -= rate * if nesterov { g + kept * *v } else { *v };
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::sgd as formula;
    use super::super::testing::{Sums, noise, wide};
    use super::*;

    #[test]
    fn updates_are_their_formula() {
        for (momentum, nesterov, weight_decay) in [(0.0, false, 0.0), (0.0, false, 0.1), (0.9, false, 0.1), (0.9, true, 0.1)] {
            let sgd = Sgd { learning_rate: 0.05, momentum, nesterov, weight_decay };
            let (mut weights, mut buffer) = (noise(1, 100), vec![0.0; 100]);
            let (mut expected, mut kept) = (wide(&weights), vec![0.0; 100]);
            for step in 0..3 {
                let gradient = noise(2 + step, 100);
                update(&sgd, &mut weights, &gradient, &mut buffer);
                formula::update(&sgd, &mut expected, &wide(&gradient), &mut kept);
            }
            Sums::new(expected, &[1.0 / 3.0]).assert_are(&weights, &format!("weights {sgd:?}"));
            Sums::new(kept, &[1.0 / 3.0]).assert_are(&buffer, &format!("momenta {sgd:?}"));
        }
    }
}
