//! How parameters move in a step: which rule is whose, and what moves them where they lie.

use super::trained::Trained;
use crate::kernels::adamw::{self, AdamW};
use crate::kernels::lanes::{Kernel, Lanes};
use crate::kernels::matrix::norm;
use crate::kernels::sgd::{self, Sgd};
use crate::kernels::{Tier, muon};
use crate::network::rules::Rules;
use crate::network::shape::{LayerShape, Role};
use crate::optim::{Muon, Rule};

/// The rules of one step.
#[derive(Clone, Copy)]
pub(super) struct Moves<'a> {
    pub(super) rules: Rules<'a>,
    /// As [`first`] has it.
    pub(super) first: &'a [usize],
}

/// Of each of `layers` the position of its first trained parameter among all of them, and at last how many there are.
pub(super) fn first(layers: &[LayerShape]) -> Vec<usize> {
    let mut first = vec![0];
    for layer in layers {
        first.push(first[first.len() - 1] + layer.parameters.iter().filter(|spec| spec.role.trained()).count());
    }
    first
}

impl Moves<'_> {
    /// Of the trained parameter numbered `own` of the layer at `layer`.
    pub(super) fn of(&self, layer: usize, own: usize, role: Role) -> Rule {
        self.rules.of(self.first[layer] + own, role)
    }

    /// Of the weight and the bias of the fully connected layer at `layer`.
    pub(super) fn dense(&self, layer: usize) -> [Rule; 2] {
        let has_bias = self.first[layer + 1] - self.first[layer] > 1;
        [self.of(layer, 0, Role::Weight), self.of(layer, usize::from(has_bias), Role::Bias)]
    }
}

impl Trained {
    /// Moves it by its gradient. By Muon it does not move yet: what is to be made orthogonal is left in `gradient`.
    pub(super) fn step(&mut self, tier: Tier, rule: Rule, gradient: &mut [f32]) {
        match rule {
            Rule::Frozen => {}
            Rule::Sgd(sgd) => {
                let Self { values, momentum, .. } = self;
                tier.run(BySgd { sgd: sgd.into(), values, gradient, momentum });
            }
            Rule::AdamW(rule) => {
                self.remember_squares();
                let Self { values: weights, momentum: mean, squares: square } = self;
                tier.run(adamw::Update { rule: AdamW::from(rule), weights, gradient, mean, square });
            }
            Rule::Muon(Muon { momentum: kept, nesterov, .. }) => {
                tier.run(Accumulate { kept: (kept, nesterov), gradient, momentum: &mut self.momentum });
            }
        }
    }
}

struct BySgd<'a> {
    sgd: Sgd,
    values: &'a mut [f32],
    gradient: &'a [f32],
    momentum: &'a mut [f32],
}

impl Kernel for BySgd<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        sgd::update(&self.sgd, self.values, self.gradient, self.momentum);
    }
}

struct Accumulate<'a> {
    kept: (f32, bool),
    gradient: &'a mut [f32],
    momentum: &'a mut [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        muon::accumulate(self.kept.0, self.kept.1, self.gradient, self.momentum);
    }
}

/// What the weights of a matrix of these `sides`, which moves by Muon, are multiplied by, and what is then taken from them of what was
/// made orthogonal.
pub(super) fn lengths(rule: &Muon, [rows, columns]: [usize; 2], weights: &[f32]) -> [f32; 2] {
    let norm = if rule.renormalize { norm(weights) } else { 0.0 };
    [rule.kept(rows, norm) as f32, rule.step_length(rows, columns) as f32]
}
