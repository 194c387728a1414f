//! The update of Adam with decoupled weight decay, as `torch.optim.AdamW` writes it.

use super::lanes::{Kernel, Lanes, WIDTH};

/// One update's constants, as they are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Share of each mean that is kept, and of what is new that is taken.
    pub(crate) keep_square: f32,
    pub(crate) take: [f32; 2],
    /// What a weight is multiplied by first.
    pub(crate) kept: f32,
    /// Step length over what the first mean lacks.
    pub(crate) rate: f32,
    /// One over the root of what the second mean lacks.
    pub(crate) scale: f32,
    pub(crate) eps: f32,
}

impl AdamW {
    /// The constants of the update numbered `step`, from 1.
    pub fn new(learning_rate: f64, betas: [f64; 2], eps: f64, weight_decay: f64, step: u64) -> Self {
        let lacks = betas.map(|beta| 1.0 - beta.powf(step as f64));
        Self {
            keep_square: betas[1] as f32,
            take: betas.map(|beta| (1.0 - beta) as f32),
            kept: (1.0 - learning_rate * weight_decay) as f32,
            rate: (learning_rate / lacks[0]) as f32,
            scale: lacks[1].sqrt().recip() as f32,
            eps: eps as f32,
        }
    }
}

/// Moves all of `weights`. Both means are zeros before the first update.
pub struct Update<'a> {
    /// The rule.
    pub rule: AdamW,
    /// What moves.
    pub weights: &'a mut [f32],
    /// Its gradient.
    pub gradient: &'a [f32],
    /// The gradient's running mean.
    pub mean: &'a mut [f32],
    /// The running mean of its square.
    pub square: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { rule, weights, gradient, mean, square } = self;
        let len = weights.len();
        assert!(
            gradient.len() == len && mean.len() == len && square.len() == len,
            "AdamW: a gradient and two means for each weight"
        );
        let whole = len - len % WIDTH;
        for at in (0..whole).step_by(WIDTH) {
            // SAFETY: sixteen numbers from `at` on are inside all four slices.
            unsafe {
                let to = (weights.as_mut_ptr().add(at), mean.as_mut_ptr().add(at), square.as_mut_ptr().add(at));
                step(l, &rule, l.load(gradient.as_ptr().add(at)), to);
            }
        }
        let mut rest = [[0.0; WIDTH]; 4];
        for (to, from) in rest.iter_mut().zip([&*weights, gradient, mean, square]) {
            to[..len - whole].copy_from_slice(&from[whole..]);
        }
        let [w, g, m, v] = &mut rest;
        // SAFETY: arrays of sixteen numbers.
        unsafe { step(l, &rule, l.read(g), (w.as_mut_ptr(), m.as_mut_ptr(), v.as_mut_ptr())) };
        for (to, from) in [weights, mean, square].into_iter().zip([w, m, v]) {
            to[whole..].copy_from_slice(&from[..len - whole]);
        }
    }
}

/// Moves sixteen weights by their gradient.
///
/// # Safety
/// All three pointers are valid for reads and writes of sixteen floats.
#[inline(always)]
pub(crate) unsafe fn step<L: Lanes>(l: L, rule: &AdamW, gradient: L::V, (weights, mean, square): (*mut f32, *mut f32, *mut f32)) {
    // SAFETY: as the caller promises.
    unsafe {
        let (m, v) = (l.load(mean), l.load(square));
        let m = l.mul_add(l.splat(rule.take[0]), l.sub(gradient, m), m);
        let v = l.mul_add(l.mul(l.splat(rule.take[1]), gradient), gradient, l.mul(l.splat(rule.keep_square), v));
        let root = l.mul_add(l.sqrt(v), l.splat(rule.scale), l.splat(rule.eps));
        let w = l.mul(l.splat(rule.kept), l.load(weights));
        l.store(mean, m);
        l.store(square, v);
        l.store(weights, l.neg_mul_add(l.splat(rule.rate), l.div(m, root), w));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tier;
    use super::super::naive::adamw as formula;
    use super::super::testing::{Sums, noise, wide};
    use super::*;

    #[test]
    fn updates_are_their_formula_on_every_tier() {
        for (len, weight_decay) in [(1, 0.0), (16, 0.1), (100, 0.1), (37, 0.0)] {
            for tier in Tier::all() {
                let (mut weights, mut mean, mut square) = (noise(1, len), vec![0.0; len], vec![0.0; len]);
                let (mut w, mut m, mut v) = (wide(&weights), vec![0.0; len], vec![0.0; len]);
                for step in 1..=4 {
                    // Gradients of very different sizes: a step's length does not follow them.
                    let gradient: Vec<f32> = noise(step, len).iter().map(|g| g * 10f32.powi(step as i32 - 3)).collect();
                    let rule = AdamW::new(0.05, [0.9, 0.999], 1e-8, weight_decay, step);
                    tier.run(Update { rule, weights: &mut weights, gradient: &gradient, mean: &mut mean, square: &mut square });
                    let rule = formula::AdamW { learning_rate: 0.05, betas: [0.9, 0.999], eps: 1e-8, weight_decay, step };
                    formula::update(&rule, &mut w, &wide(&gradient), [&mut m, &mut v]);
                }
                let what = format!("{tier}, {len} weights, decay {weight_decay}");
                for (found, expected) in [(&weights, w), (&mean, m), (&square, v)] {
                    Sums::new(expected, &[1e-12]).assert_are(found, &what);
                }
            }
        }
    }

    #[test]
    fn no_gradient_moves_nothing() {
        let (mut weights, mut mean, mut square) = (noise(1, 20), vec![0.0; 20], vec![0.0; 20]);
        let rule = AdamW::new(0.05, [0.9, 0.999], 1e-8, 0.0, 1);
        let gradient = vec![0.0; 20];
        Tier::detect().run(Update { rule, weights: &mut weights, gradient: &gradient, mean: &mut mean, square: &mut square });
        assert_eq!((weights, mean), (noise(1, 20), gradient));
    }
}
