//! The parameters of convolutions and batch norms, in PyTorch's order.

use super::moves::Moves;
use super::orthogonal::Orthogonal;
use super::seen::Seen;
use super::trained::Trained;
use crate::kernels::team::Chunks;
use crate::kernels::{Buffer, Team, Tier};
use crate::network::rules::matrix;
use crate::network::shape::{LayerShape, Role, Shape};
use crate::network::weights::Weights;
use crate::optim::Rule;

/// One parameter.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) role: Role,
    pub(super) trained: Trained,
    /// Room for its gradient, and for the step that is made of it.
    pub(super) gradient: Buffer,
    /// Of its gradient in the last step.
    seen: Seen,
    /// Rows and columns, where it has both.
    pub(super) sides: Option<[usize; 2]>,
}

/// All of them, layer by layer.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) layers: Vec<Vec<Plain>>,
    /// What moves those of them that move by Muon.
    orthogonal: Orthogonal,
}

impl Parameters {
    /// Those of all layers that give feature maps; fully connected ones keep their own.
    pub(super) fn new(layers: &[LayerShape], weights: &Weights) -> Self {
        let of = |layer: &LayerShape| {
            let own = layer.parameters.iter().filter(|_| matches!(layer.output, Shape::Map { .. }));
            let plain = own.map(|spec| {
                let values: Buffer = weights.values(spec).into();
                let trained = spec.role.trained();
                let gradient = Buffer::zeros(if trained { values.len() } else { 0 });
                let trained = if trained { Trained::new(values) } else { Trained { values, ..Trained::default() } };
                let sides = (spec.shape.len() > 1).then(|| matrix(&spec.shape));
                Plain { role: spec.role, trained, gradient, seen: Seen::default(), sides }
            });
            plain.collect()
        };
        Self { layers: layers.iter().map(of).collect(), orthogonal: Orthogonal::default() }
    }

    /// The values of a layer's parameter with this role; empty where it has none.
    pub(super) fn values(&self, layer: usize, role: Role) -> &[f32] {
        self.layers[layer].iter().find(|plain| plain.role == role).map_or(&[], |plain| &plain.trained.values)
    }

    /// Moves all by their gradients, which `gradient` writes, given the layer and the role; says what it saw of these.
    pub(super) fn update(
        &mut self,
        (tier, team): (Tier, &Team),
        moves: Moves<'_>,
        gradient: impl Fn(usize, Role, &mut [f32]) + Sync,
    ) -> Seen {
        team.each(Chunks::new(&mut self.layers, 1), |at, layer| {
            for (own, plain) in layer.iter_mut().flatten().filter(|plain| plain.role.trained()).enumerate() {
                gradient(at, plain.role, &mut plain.gradient);
                let rule = moves.of(at, own, plain.role);
                plain.seen = Seen::of(&plain.gradient, rule != Rule::Frozen);
                plain.trained.step(tier, rule, &mut plain.gradient);
            }
        });
        let seen = self.layers.iter().flatten().fold(Seen::default(), |all, plain| all.and(plain.seen));
        self.orthogonal.step((tier, team), moves, &mut self.layers);
        seen
    }
}
