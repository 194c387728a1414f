//! The parameters of convolutions and batch norms, in PyTorch's order, and where their gradients lie.

use std::ops::Range;

use super::dense::Trained;
use crate::kernels::lanes::{Kernel, Lanes};
use crate::kernels::sgd::update_here;
use crate::kernels::team::Chunks;
use crate::kernels::{Buffer, Team, Tier};
use crate::network::shape::{LayerShape, Role};
use crate::network::weights::Weights;
use crate::optim::Sgd;

/// One parameter.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) role: Role,
    pub(super) trained: Trained,
    /// Where its gradient lies among all.
    pub(super) gradient: Range<usize>,
}

/// All of them, layer by layer.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) layers: Vec<Vec<Plain>>,
    /// Floats of all gradients.
    pub(super) len: usize,
}

impl Parameters {
    /// Those of the first `count` layers.
    pub(super) fn new(layers: &[LayerShape], weights: &Weights) -> Self {
        let mut all = Self::default();
        for layer in layers {
            let own = layer.parameters.iter().map(|spec| {
                let values = weights.get(&spec.name).map_or_else(Buffer::default, |parameter| parameter.values[..].into());
                let start = all.len;
                all.len += values.len();
                let momentum = Buffer::zeros(if spec.role.trained() { values.len() } else { 0 });
                Plain { role: spec.role, gradient: start..all.len, trained: Trained { values, momentum } }
            });
            let own = own.collect();
            all.layers.push(own);
        }
        all
    }

    /// The values of a layer's parameter with this role; empty where it has none.
    pub(super) fn values(&self, layer: usize, role: Role) -> &[f32] {
        self.layers[layer].iter().find(|plain| plain.role == role).map_or(&[], |plain| &plain.trained.values)
    }

    /// Where its gradient lies.
    pub(super) fn gradient(&self, layer: usize, role: Role) -> Option<Range<usize>> {
        self.layers[layer].iter().find(|plain| plain.role == role).map(|plain| plain.gradient.clone())
    }

    /// Moves all by their gradients.
    pub(super) fn update(&mut self, (tier, team): (Tier, &Team), sgd: &Sgd, gradients: &[f32]) {
        team.each(Chunks::new(&mut self.layers, 1), |_, layer| {
            for plain in layer.iter_mut().flatten().filter(|plain| plain.role.trained()) {
                let weight_decay = if plain.role == Role::Weight { sgd.weight_decay } else { 0.0 };
                let (sgd, gradient) = (Sgd { weight_decay, ..*sgd }, &gradients[plain.gradient.clone()]);
                let Trained { values, momentum } = &mut plain.trained;
                tier.run(Move { sgd, values, gradient, momentum });
            }
        });
    }
}

struct Move<'a> {
    sgd: Sgd,
    values: &'a mut [f32],
    gradient: &'a [f32],
    momentum: &'a mut [f32],
}

impl Kernel for Move<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        update_here(&self.sgd, self.values, self.gradient, self.momentum);
    }
}
