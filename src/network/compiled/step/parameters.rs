//! The parameters of convolutions and batch norms, in PyTorch's order.

use super::dense::Trained;
use crate::kernels::lanes::{Kernel, Lanes};
use crate::kernels::sgd::{Sgd, update};
use crate::kernels::team::Chunks;
use crate::kernels::{Buffer, Team, Tier};
use crate::network::shape::{LayerShape, Role, Shape};
use crate::network::weights::Weights;

/// One parameter.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) role: Role,
    pub(super) trained: Trained,
    /// Room for its gradient.
    gradient: Buffer,
}

/// All of them, layer by layer.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) layers: Vec<Vec<Plain>>,
}

impl Parameters {
    /// Those of all layers that give feature maps; fully connected ones keep their own.
    pub(super) fn new(layers: &[LayerShape], weights: &Weights) -> Self {
        let of = |layer: &LayerShape| {
            let own = layer.parameters.iter().filter(|_| matches!(layer.output, Shape::Map { .. }));
            let plain = own.map(|spec| {
                let values: Buffer = weights.values(spec).into();
                let zeros = || Buffer::zeros(if spec.role.trained() { values.len() } else { 0 });
                let (momentum, gradient) = (zeros(), zeros());
                Plain { role: spec.role, gradient, trained: Trained { values, momentum } }
            });
            plain.collect()
        };
        Self { layers: layers.iter().map(of).collect() }
    }

    /// The values of a layer's parameter with this role; empty where it has none.
    pub(super) fn values(&self, layer: usize, role: Role) -> &[f32] {
        self.layers[layer].iter().find(|plain| plain.role == role).map_or(&[], |plain| &plain.trained.values)
    }

    /// Moves all by their gradients, which `gradient` writes, given the layer and the role.
    pub(super) fn update(&mut self, (tier, team): (Tier, &Team), sgd: &Sgd, gradient: impl Fn(usize, Role, &mut [f32]) + Sync) {
        team.each(Chunks::new(&mut self.layers, 1), |at, layer| {
            for plain in layer.iter_mut().flatten().filter(|plain| plain.role.trained()) {
                gradient(at, plain.role, &mut plain.gradient);
                let weight_decay = if plain.role == Role::Weight { sgd.weight_decay } else { 0.0 };
                let (sgd, gradient) = (Sgd { weight_decay, ..*sgd }, &plain.gradient);
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
        update(&self.sgd, self.values, self.gradient, self.momentum);
    }
}
