//! How parameters move in a step: which rule is whose, and what moves them where they lie.

use super::trained::Trained;
use crate::kernels::adamw::{self, AdamW};
use crate::kernels::lanes::{Kernel, Lanes};
use crate::kernels::matrix::norm;
use crate::kernels::newton_schulz::Square;
use crate::kernels::sgd::{self, Sgd};
use crate::kernels::{Team, Tier, muon};
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

/// A matrix that moves by Muon, as it lies.
pub(super) struct Matrix<'a, P> {
    /// Rows and columns.
    pub(super) sides: [usize; 2],
    pub(super) weights: &'a mut [f32],
    /// What is to be made orthogonal.
    pub(super) step: &'a [f32],
    /// Where an entry lies in both, given row and column.
    pub(super) place: P,
}

impl<P: Fn(usize, usize) -> usize> Matrix<'_, P> {
    /// Moves it. Numbers beyond those that have a place are zeros, and stay.
    pub(super) fn step(self, (tier, team): (Tier, &Team), rule: Muon, square: &mut Square) {
        let Self { sides: [rows, columns], weights, step, place } = self;
        square.load([rows, columns], |row, column| step[place(row, column)]);
        square.run(tier, team, &rule.into());
        let norm = if rule.renormalize { norm(weights) } else { 0.0 };
        let (kept, length) = (rule.kept(rows, norm) as f32, rule.step_length(rows, columns) as f32);
        for row in 0..rows {
            for column in 0..columns {
                let w = &mut weights[place(row, column)];
                *w = kept * *w - length * square.entry(row, column);
            }
        }
    }
}
