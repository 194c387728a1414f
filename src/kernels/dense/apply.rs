//! What becomes of the gradient of a layer's weights while it is in registers: the gradient itself is never written.

use crate::kernels::adamw::{self, AdamW};
use crate::kernels::lanes::Lanes;
use crate::kernels::sgd::Sgd;

/// Some blocks' weights and what is done with their gradient, sixteen at a time.
pub trait Apply {
    /// Whether the gradient is wanted at all.
    const WANTED: bool = true;

    /// The weights, which the input's gradient is made with first.
    fn weights(&self) -> &[f32];

    /// Whether everything is as long as the weights.
    fn fits(&self) -> bool;

    /// Asks for what [`Apply::apply`] needs at `place`.
    ///
    /// # Safety
    /// `place` and fifteen after it are inside the weights.
    unsafe fn prefetch<L: Lanes>(&self, l: L, place: usize);

    /// Takes the gradient of the sixteen weights at `place`.
    ///
    /// # Safety
    /// As [`Apply::prefetch`], and [`Apply::fits`].
    unsafe fn apply<L: Lanes>(&mut self, l: L, gradient: L::V, place: usize);
}

/// Nothing is done: the weights stay.
pub struct Keep<'a> {
    /// These blocks' weights.
    pub weights: &'a [f32],
}

/// Weights move by SGD.
pub struct BySgd<'a> {
    /// The rule.
    pub sgd: Sgd,
    /// These blocks' weights.
    pub weights: &'a mut [f32],
    /// These blocks' momentum.
    pub momentum: &'a mut [f32],
}

/// Weights move by AdamW.
pub struct ByAdamW<'a> {
    /// The rule.
    pub rule: AdamW,
    /// These blocks' weights.
    pub weights: &'a mut [f32],
    /// Running means of their gradients.
    pub mean: &'a mut [f32],
    /// Running means of their squares.
    pub square: &'a mut [f32],
}

/// Weights stay for now: what they are to move by is written, and the momentum kept.
pub struct ToMomentum<'a> {
    /// Share of the momentum that is kept, and whether to look ahead along it.
    pub kept: (f32, bool),
    /// These blocks' weights.
    pub weights: &'a [f32],
    /// These blocks' momentum.
    pub momentum: &'a mut [f32],
    /// Overwritten.
    pub step: &'a mut [f32],
}

impl Apply for Keep<'_> {
    const WANTED: bool = false;

    fn weights(&self) -> &[f32] {
        self.weights
    }

    fn fits(&self) -> bool {
        true
    }

    #[inline(always)]
    unsafe fn prefetch<L: Lanes>(&self, _: L, _: usize) {}

    #[inline(always)]
    unsafe fn apply<L: Lanes>(&mut self, _: L, _: L::V, _: usize) {}
}

impl Apply for BySgd<'_> {
    fn weights(&self) -> &[f32] {
        self.weights
    }

    fn fits(&self) -> bool {
        self.momentum.len() == self.weights.len()
    }

    #[inline(always)]
    unsafe fn prefetch<L: Lanes>(&self, l: L, place: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            l.prefetch(self.weights.as_ptr().add(place));
            l.prefetch(self.momentum.as_ptr().add(place));
        }
    }

    /// As `kernels::sgd` moves one weight.
    #[inline(always)]
    unsafe fn apply<L: Lanes>(&mut self, l: L, gradient: L::V, place: usize) {
        let sgd = &self.sgd;
        // SAFETY: as the caller promises.
        unsafe {
            let (weights, momentum) = (self.weights.as_mut_ptr().add(place), self.momentum.as_mut_ptr().add(place));
            let (w, rate, kept) = (l.load(weights), l.splat(sgd.learning_rate), l.splat(sgd.momentum));
            let gradient = l.mul_add(l.splat(sgd.weight_decay), w, gradient);
            let mut by = gradient;
            if sgd.momentum != 0.0 {
                let moved = l.mul_add(kept, l.load(momentum), gradient);
                l.store(momentum, moved);
                by = if sgd.nesterov { l.mul_add(kept, moved, gradient) } else { moved };
            }
            l.store(weights, l.neg_mul_add(rate, by, w));
        }
    }
}

impl Apply for ByAdamW<'_> {
    fn weights(&self) -> &[f32] {
        self.weights
    }

    fn fits(&self) -> bool {
        [self.mean.len(), self.square.len()] == [self.weights.len(); 2]
    }

    #[inline(always)]
    unsafe fn prefetch<L: Lanes>(&self, l: L, place: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            l.prefetch(self.weights.as_ptr().add(place));
            l.prefetch(self.mean.as_ptr().add(place));
            l.prefetch(self.square.as_ptr().add(place));
        }
    }

    #[inline(always)]
    unsafe fn apply<L: Lanes>(&mut self, l: L, gradient: L::V, place: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            let means = (self.mean.as_mut_ptr().add(place), self.square.as_mut_ptr().add(place));
            adamw::step(l, &self.rule, gradient, (self.weights.as_mut_ptr().add(place), means.0, means.1));
        }
    }
}

impl Apply for ToMomentum<'_> {
    fn weights(&self) -> &[f32] {
        self.weights
    }

    fn fits(&self) -> bool {
        [self.momentum.len(), self.step.len()] == [self.weights.len(); 2]
    }

    #[inline(always)]
    unsafe fn prefetch<L: Lanes>(&self, l: L, place: usize) {
        // SAFETY: as the caller promises.
        unsafe { l.prefetch(self.momentum.as_ptr().add(place)) }
    }

    /// As `kernels::muon` takes one gradient.
    #[inline(always)]
    unsafe fn apply<L: Lanes>(&mut self, l: L, gradient: L::V, place: usize) {
        let (kept, nesterov) = (l.splat(self.kept.0), self.kept.1);
        // SAFETY: as the caller promises.
        unsafe {
            let momentum = self.momentum.as_mut_ptr().add(place);
            let moved = l.mul_add(kept, l.load(momentum), gradient);
            l.store(momentum, moved);
            l.store(self.step.as_mut_ptr().add(place), if nesterov { l.mul_add(kept, moved, gradient) } else { moved });
        }
    }
}
