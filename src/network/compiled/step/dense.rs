//! A fully connected layer in training: its weights in the order its products read, moved where they lie.

use super::run::Run;
use crate::kernels::Buffer;
use crate::kernels::dense::{Backward, Dense, Forward, Update};
use crate::kernels::lanes::WIDTH;
use crate::kernels::sgd::{Sgd, update};
use crate::kernels::team::Chunks;
use crate::network::compiled::order::Order;

/// Outputs that one task computes.
const ROWS: usize = 64;
/// Blocks of inputs whose weights one task moves.
const BLOCKS: usize = 8;

/// Weights and momentum, or bias and its.
#[derive(Debug, Clone)]
pub(super) struct Trained {
    pub(super) values: Buffer,
    pub(super) momentum: Buffer,
}

/// One layer.
#[derive(Debug)]
pub(super) struct DenseLayer {
    dense: Dense,
    order: Order,
    weights: Trained,
    bias: Option<Trained>,
    /// The bias's gradient.
    to_bias: Vec<f32>,
}

impl DenseLayer {
    /// From weights `[out, in]` and a bias, as PyTorch has them.
    pub(super) fn new(order: Order, weights: &[f32], bias: Option<&[f32]>) -> Self {
        let dense = Dense { blocks: order.padded() / WIDTH, outputs: weights.len() / order.features() };
        let packed = Trained { values: Buffer::zeros(dense.weights()), momentum: Buffer::zeros(dense.weights()) };
        let bias = bias.map(|bias| Trained { values: bias.into(), momentum: Buffer::zeros(bias.len()) });
        let mut layer = Self { dense, order, weights: packed, bias, to_bias: vec![0.0; dense.outputs] };
        layer.each(weights, |layer, place, &w| layer.weights.values[place] = w);
        layer
    }

    /// Values of the layer's parameters in PyTorch's order: the weight, then the bias if there is one.
    pub(super) fn values(&self) -> Vec<Vec<f32>> {
        self.plain(|trained| &trained.values)
    }

    /// The optimizer's buffers, likewise.
    pub(super) fn momentum(&self) -> Vec<Vec<f32>> {
        self.plain(|trained| &trained.momentum)
    }

    /// Puts buffers back: the weight's, then the bias's.
    pub(super) fn restore(&mut self, weights: &[f32], bias: Option<&[f32]>) {
        self.each(weights, |layer, place, &v| layer.weights.momentum[place] = v);
        if let (Some(own), Some(bias)) = (&mut self.bias, bias) {
            own.momentum.copy_from_slice(bias);
        }
    }

    fn plain(&self, part: impl Fn(&Trained) -> &Buffer) -> Vec<Vec<f32>> {
        let mut weights = Vec::with_capacity(self.dense.outputs * self.order.features());
        for output in 0..self.dense.outputs {
            weights.extend((0..self.order.features()).map(|f| part(&self.weights)[self.dense.place(output, self.order.place(f))]));
        }
        std::iter::once(weights).chain(self.bias.iter().map(|bias| part(bias).to_vec())).collect()
    }

    fn each(&mut self, plain: &[f32], mut f: impl FnMut(&mut Self, usize, &f32)) {
        let features = self.order.features();
        for (at, x) in plain.iter().enumerate() {
            let place = self.dense.place(at / features, self.order.place(at % features));
            f(self, place, x);
        }
    }

    /// Columns to columns.
    pub(super) fn forward(&self, run: Run<'_>, (input, output): (&[f32], &mut [f32])) {
        let batch = run.columns();
        run.team.each(Chunks::new(output, ROWS * batch), |task, output| {
            let first = task * ROWS;
            let bias = self.bias.as_ref().map(|bias| &bias.values[first..][..output.len() / batch]);
            run.tier.run(Forward { dense: self.dense, weights: &self.weights.values, bias, input, batch, first, output });
        });
    }

    /// From the columns of the output's gradient and the panels of the input: the panels of its gradient where they are wanted,
    /// and the update.
    pub(super) fn backward(&mut self, run: Run<'_>, sgd: &Sgd, (input, gradient): (&[f32], &[f32]), to_input: Option<&mut [f32]>) {
        let (batch, outputs) = (run.columns(), self.dense.outputs);
        let (weights, panel) = (BLOCKS * outputs * WIDTH, batch * WIDTH);
        let moved = (Chunks::new(&mut self.weights.values, weights), Chunks::new(&mut self.weights.momentum, weights));
        let part = |task: usize, (weights, momentum): (&mut [f32], &mut [f32]), to_input: Option<&mut [f32]>| {
            let dense = Dense { blocks: weights.len() / (outputs * WIDTH), outputs };
            let input = &input[task * BLOCKS * panel..][..dense.blocks * panel];
            run.tier.run(Backward { dense, batch, gradient, input, to_input, update: Update { sgd: *sgd, weights, momentum } });
        };
        match to_input {
            Some(to) => run.team.each((moved, Chunks::new(to, BLOCKS * panel)), |task, (moved, to)| part(task, moved, Some(to))),
            None => run.team.each(moved, |task, moved| part(task, moved, None)),
        }
        if let Some(bias) = &mut self.bias {
            for (to, row) in self.to_bias.iter_mut().zip(gradient.chunks_exact(batch)) {
                *to = row.iter().sum();
            }
            update(&Sgd { weight_decay: 0.0, ..*sgd }, &mut bias.values, &self.to_bias, &mut bias.momentum);
        }
    }
}
