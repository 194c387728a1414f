//! A fully connected layer in training: its weights in the order its products read, moved where they lie.

use super::moves::lengths;
use super::run::Run;
use super::seen::Seen;
use super::trained::{Part, Trained};
use crate::kernels::Buffer;
use crate::kernels::dense::{Apply, Backward, ByAdamW, BySgd, Dense, Forward, Keep, ToMomentum};
use crate::kernels::lanes::WIDTH;
use crate::kernels::newton_schulz::Squares;
use crate::kernels::team::{Chunks, Parts};
use crate::network::compiled::order::Order;
use crate::network::shape::Role;
use crate::optim::{Muon, Rule};

/// Outputs that one task computes.
const ROWS: usize = 64;
/// Blocks of inputs whose weights one task moves.
const BLOCKS: usize = 8;

/// One layer.
#[derive(Debug)]
pub(super) struct DenseLayer {
    dense: Dense,
    order: Order,
    weights: Trained,
    bias: Option<Trained>,
    /// The bias's gradient.
    to_bias: Vec<f32>,
    /// Sums of squares of the weights', task by task.
    squares: Vec<f64>,
    /// What Muon makes orthogonal; nothing before it moves the weights.
    step: Buffer,
    orthogonal: Squares,
}

/// What a backward pass reads: panels of the layer's input, columns of its output's gradient.
#[derive(Clone, Copy)]
struct Given<'a> {
    run: Run<'a>,
    input: &'a [f32],
    gradient: &'a [f32],
    outputs: usize,
}

impl DenseLayer {
    /// From weights `[out, in]` and a bias, as PyTorch has them.
    pub(super) fn new(order: Order, weights: &[f32], bias: Option<&[f32]>) -> Self {
        let dense = Dense { blocks: order.padded() / WIDTH, outputs: weights.len() / order.features() };
        let packed = Trained::new(Buffer::zeros(dense.weights()));
        let bias = bias.map(|bias| Trained::new(bias.into()));
        let (to_bias, squares) = (vec![0.0; dense.outputs], vec![0.0; dense.blocks.div_ceil(BLOCKS)]);
        let (step, orthogonal) = (Buffer::default(), Squares::default());
        let mut layer = Self { dense, order, weights: packed, bias, to_bias, squares, step, orthogonal };
        layer.import(Part::Values, Role::Weight, weights);
        layer
    }

    /// A part of the layer's parameters in PyTorch's order: the weight's, then the bias's if there is one. What is not there is
    /// empty.
    pub(super) fn export(&self, part: Part) -> Vec<Vec<f32>> {
        let packed = self.weights.part(part);
        let mut weights = Vec::new();
        if !packed.is_empty() {
            weights.reserve(self.dense.outputs * self.order.features());
            for output in 0..self.dense.outputs {
                weights.extend((0..self.order.features()).map(|f| packed[self.dense.place(output, self.order.place(f))]));
            }
        }
        std::iter::once(weights).chain(self.bias.iter().map(|bias| bias.part(part).to_vec())).collect()
    }

    /// Takes a part of a parameter back.
    pub(super) fn import(&mut self, part: Part, role: Role, values: &[f32]) {
        if role == Role::Weight {
            let features = self.order.features();
            let packed = self.weights.part_mut(part);
            packed.grow(self.dense.weights());
            for (at, &x) in values.iter().enumerate() {
                packed[self.dense.place(at / features, self.order.place(at % features))] = x;
            }
        } else if let Some(bias) = &mut self.bias {
            *bias.part_mut(part) = values.into();
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

    /// From the panels of the input and the columns of the output's gradient: the panels of the input's gradient where they are
    /// wanted, and the update, by `rules` of weight and bias. Says what it saw of their gradients.
    pub(super) fn backward(
        &mut self,
        run: Run<'_>,
        rules: [Rule; 2],
        (input, gradient): (&[f32], &[f32]),
        to_input: Option<&mut [f32]>,
    ) -> Seen {
        let given = Given { run, input, gradient, outputs: self.dense.outputs };
        let size = BLOCKS * given.outputs * WIDTH;
        let Trained { values, momentum, squares: means } = &mut self.weights;
        let squares = Chunks::new(&mut self.squares, 1);
        match rules[0] {
            Rule::Frozen => given.pass((Chunks::new(values, size), squares), to_input, |weights| Keep { weights }),
            Rule::Sgd(sgd) => {
                let moved = (Chunks::new(values, size), Chunks::new(momentum, size));
                given.pass((moved, squares), to_input, |(weights, momentum)| BySgd { sgd: sgd.into(), weights, momentum });
            }
            Rule::AdamW(rule) => {
                means.grow(values.len());
                let moved = (Chunks::new(values, size), Chunks::new(momentum, size), Chunks::new(means, size));
                let apply = |(weights, mean, square)| ByAdamW { rule: rule.into(), weights, mean, square };
                given.pass((moved, squares), to_input, apply);
            }
            Rule::Muon(rule) => {
                self.step.grow(values.len());
                let moved = (Chunks::new(values, size), Chunks::new(momentum, size), Chunks::new(&mut self.step, size));
                let kept = (rule.momentum, rule.nesterov);
                given.pass((moved, squares), to_input, |(weights, momentum, step)| ToMomentum { kept, weights, momentum, step });
                self.orthogonal_step(run, rule);
            }
        }
        let seen = Seen { squares: self.squares.iter().sum(), finite: true };
        let Some(bias) = &mut self.bias else { return seen };
        for (to, row) in self.to_bias.iter_mut().zip(gradient.chunks_exact(run.columns())) {
            *to = row.iter().sum();
        }
        let seen = seen.and(Seen::of(&self.to_bias, rules[1] != Rule::Frozen));
        bias.step(run.tier, rules[1], &mut self.to_bias);
        seen
    }

    /// Moves the weights by what was left in `step`.
    fn orthogonal_step(&mut self, run: Run<'_>, rule: Muon) {
        let Self { dense, order, weights, step, orthogonal, .. } = self;
        let sides = [dense.outputs, order.features()];
        orthogonal.take(std::iter::once(sides));
        orthogonal.load(run.team, |_, row, column| step[dense.place(row, order.place(column))]);
        orthogonal.run(run.tier, run.team, &rule.into());
        let [kept, length] = lengths(&rule, sides, &weights.values);
        let block = dense.outputs * WIDTH;
        run.team.each(Chunks::new(&mut weights.values, block), |at, weights| {
            for lane in 0..WIDTH {
                // Fillers are zeros, and stay.
                let Some(column) = order.feature(at * WIDTH + lane) else { continue };
                for (row, w) in weights.iter_mut().skip(lane).step_by(WIDTH).enumerate() {
                    *w = kept * *w - length * orthogonal.entry(0, row, column);
                }
            }
        });
    }
}

impl Given<'_> {
    /// Shares the blocks of weights in `parts` among threads, each with a place for the sum of their gradients' squares; `apply`
    /// makes of a part what is done with its gradient.
    fn pass<P: Parts, A: Apply>(
        self,
        parts: (P, Chunks<'_, f64>),
        to_input: Option<&mut [f32]>,
        apply: impl Fn(P::Part) -> A + Sync,
    ) {
        let Self { run, input, gradient, outputs } = self;
        let (batch, panel) = (run.columns(), run.columns() * WIDTH);
        let part = |task: usize, (own, squares): (P::Part, &mut [f64]), to_input: Option<&mut [f32]>| {
            let apply = apply(own);
            let dense = Dense { blocks: apply.weights().len() / (outputs * WIDTH), outputs };
            let input = &input[task * BLOCKS * panel..][..dense.blocks * panel];
            squares[0] = run.tier.run(Backward { dense, batch, gradient, input, to_input, apply });
        };
        match to_input {
            Some(to) => {
                let parts = (parts, Chunks::new(to, BLOCKS * panel));
                run.team.each(parts, |task, (own, to)| part(task, own, Some(to)));
            }
            None => run.team.each(parts, |task, own| part(task, own, None)),
        }
    }
}
