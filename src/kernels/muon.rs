//! The momentum of Muon, whose steps [`super::newton_schulz`] makes orthogonal.

/// Takes `gradient` into `momentum`, zeros before the first update, and leaves in it what is to be made orthogonal.
#[inline(always)]
pub fn accumulate(kept: f32, nesterov: bool, gradient: &mut [f32], momentum: &mut [f32]) {
    assert_eq!(gradient.len(), momentum.len(), "Muon: as many gradients as momenta");
    for (g, v) in gradient.iter_mut().zip(momentum) {
        *v = kept * *v + *g;
        *g = if nesterov { *g + kept * *v } else { *v };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_adds_up_and_nesterov_looks_ahead() {
        for (nesterov, expected) in [(false, [1.0, 2.5]), (true, [1.5, 3.25])] {
            let mut momentum = [0.0];
            let found = [1.0, 2.0].map(|gradient| {
                let mut step = [gradient];
                accumulate(0.5, nesterov, &mut step, &mut momentum);
                step[0]
            });
            assert_eq!((found, momentum), (expected, [2.5]));
        }
    }
}
