//! The part of a network that works on vectors: fully connected layers and what stands between them, and the loss.
//!
//! Values are columns (feature × image), so all of a layer's images are computed in vectors however few features it has.

use super::dense::DenseLayer;
use crate::kernels::activation::Activation;
use crate::kernels::blocked::activate::{Activate, ActivateBackward};
use crate::kernels::blocked::pointwise::{Accumulate, DropColumns};
use crate::kernels::cross_entropy::{Measured, Targets, cross_entropy};
use crate::kernels::dense::{padded, transpose, untranspose};
use crate::kernels::dropout::Mask;
use crate::kernels::lanes::WIDTH;
use crate::kernels::sgd::Sgd;
use crate::kernels::team::Chunks;
use crate::kernels::{Buffer, Team, Tier};
use crate::network::compiled::lowering::Order;
use crate::network::learner::dropout_seed;

/// Blocks of features that one task transposes.
const TRANSPOSED: usize = 16;

/// What a layer does to a vector.
#[derive(Debug)]
pub(super) enum VectorOp {
    Dense(Box<DenseLayer>),
    Activate(Activation),
    Drop(f64),
    /// Adds this value.
    Add(usize),
    /// A vector flattened stays as it is.
    Same,
}

/// A layer; it reads value `i` and writes value `i + 1`.
#[derive(Debug)]
pub(super) struct VectorLayer {
    pub(super) op: VectorOp,
    /// Position.
    pub(super) layer: usize,
    pub(super) features: usize,
}

/// All vectors of one batch.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) layers: Vec<VectorLayer>,
    /// How what comes in is ordered.
    order: Order,
    /// Whether the gradient of what comes in is wanted.
    wanted: bool,
    /// Images there is room for, whole vectors.
    batch: usize,
    /// What comes in, and its gradient, as panels.
    pub(super) panels: Buffer,
    pub(super) to_panels: Buffer,
    /// Columns of each value, and of its gradient.
    values: Vec<Buffer>,
    gradients: Vec<Buffer>,
    /// A second gradient of a value; panels of a dense layer's input inside the head, and of its gradient.
    scratch: [Buffer; 3],
    logits: Buffer,
    to_logits: Buffer,
    /// Features of the last value.
    scores: usize,
    /// Whether a value's gradient has been begun.
    written: Vec<bool>,
}

/// What all layers share in one step.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) team: &'a Team,
    pub(super) tier: Tier,
    pub(super) seed: u64,
    pub(super) batch: usize,
}

impl Run<'_> {
    /// Images as columns have them.
    pub(super) fn columns(&self) -> usize {
        padded(self.batch)
    }
}

impl Head {
    /// The layers after the first `flatten`. `wanted` says whether the gradient of what comes in is, `scores` how many numbers
    /// come out.
    pub(super) fn new(layers: Vec<VectorLayer>, order: Order, wanted: bool, scores: usize) -> Self {
        let empty = || vec![Buffer::default(); layers.len() + 1];
        let (values, gradients, written) = (empty(), empty(), vec![false; layers.len() + 1]);
        let [panels, to_panels, logits, to_logits] = std::array::from_fn(|_| Buffer::default());
        let scratch = std::array::from_fn(|_| Buffer::default());
        Self { layers, order, wanted, batch: 0, panels, to_panels, values, gradients, scratch, logits, to_logits, scores, written }
    }

    /// Images there is room for, whole vectors.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// How what comes in is ordered.
    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Makes room for `batch` images.
    pub(super) fn fit(&mut self, batch: usize) {
        let batch = padded(batch);
        if batch == self.batch {
            return;
        }
        self.batch = batch;
        // Fillers must be zeros, and they lie elsewhere now: everything starts from zeros again, in the memory it has.
        let fit = |buffer: &mut Buffer, features: usize| {
            buffer.resize(0);
            buffer.resize(features.next_multiple_of(WIDTH) * batch);
        };
        let entry = self.order.padded();
        let sizes = std::iter::once(entry).chain(self.layers.iter().map(|layer| layer.features));
        for ((value, gradient), features) in self.values.iter_mut().zip(&mut self.gradients).zip(sizes.clone()) {
            fit(value, features);
            fit(gradient, features);
        }
        let largest = sizes.max().unwrap_or(0);
        self.scratch.iter_mut().for_each(|buffer| fit(buffer, largest));
        fit(&mut self.panels, entry);
        fit(&mut self.to_panels, entry);
        fit(&mut self.logits, self.scores);
        fit(&mut self.to_logits, self.scores);
    }

    /// From the panels to the scores' columns.
    pub(super) fn forward(&mut self, run: Run<'_>) {
        let (batch, task) = (self.batch, TRANSPOSED * self.batch * WIDTH);
        let panels = &self.panels;
        run.team.each(Chunks::new(&mut self.values[0], task), |at, columns| {
            transpose(batch, &panels[at * task..][..columns.len()], columns);
        });
        for (at, layer) in self.layers.iter().enumerate() {
            let (before, rest) = self.values.split_at_mut(at + 1);
            let (input, output) = (&before[at], &mut rest[0]);
            match &layer.op {
                VectorOp::Dense(dense) => dense.forward(run, (input, &mut output[..layer.features * batch])),
                VectorOp::Activate(activation) => run.tier.run(Activate { activation: *activation, input, output }),
                VectorOp::Drop(p) => {
                    output.copy_from_slice(input);
                    drop_columns(run, (layer.layer, layer.features), *p, output);
                }
                VectorOp::Add(other) => {
                    output.copy_from_slice(input);
                    run.tier.run(Accumulate { from: &before[*other], to: output });
                }
                VectorOp::Same => output.copy_from_slice(input),
            }
        }
    }

    /// The loss of the scores, and the gradient of them.
    pub(super) fn loss(&mut self, batch: usize, labels: &[u32], smoothing: f32) -> Measured {
        let at = self.layers.len();
        let classes = self.scores;
        let (values, gradients) = (&self.values[at], &mut self.gradients[at]);
        for (image, logits) in self.logits[..batch * classes].chunks_exact_mut(classes).enumerate() {
            for (class, logit) in logits.iter_mut().enumerate() {
                *logit = values[class * self.batch + image];
            }
        }
        let (logits, to_logits) = (&self.logits[..batch * classes], &mut self.to_logits[..batch * classes]);
        let measured = cross_entropy(&Targets { labels, classes, smoothing: f64::from(smoothing) }, logits, Some(to_logits));
        gradients.fill(0.0);
        for (image, logits) in to_logits.chunks_exact(classes).enumerate() {
            for (class, &gradient) in logits.iter().enumerate() {
                gradients[class * self.batch + image] = gradient;
            }
        }
        measured
    }

    /// From the gradient of the scores to that of the panels, moving all parameters on the way.
    pub(super) fn backward(&mut self, run: Run<'_>, sgd: &Sgd) {
        let batch = self.batch;
        self.written.fill(false);
        self.written[self.layers.len()] = true;
        for (at, layer) in self.layers.iter_mut().enumerate().rev() {
            let (before, after) = self.gradients.split_at_mut(at + 1);
            let (to, output) = (&mut before[at], &after[0]);
            let again = std::mem::replace(&mut self.written[at], true);
            let (spare, panels) = self.scratch.split_at_mut(1);
            let len = to.len();
            let spare = &mut spare[0][..len];
            let target = if again { &mut *spare } else { &mut to[..] };
            match &mut layer.op {
                VectorOp::Dense(dense) if at == 0 => {
                    let to_input = self.wanted.then_some(&mut self.to_panels[..]);
                    dense.backward(run, sgd, (&self.panels, &output[..layer.features * batch]), to_input);
                    self.written[0] = again;
                    continue;
                }
                VectorOp::Dense(dense) => {
                    let (input, to_input) = panels.split_at_mut(1);
                    let (input, to_input) = (&mut input[0][..len], &mut to_input[0][..len]);
                    untranspose(batch, &self.values[at], input);
                    dense.backward(run, sgd, (input, &output[..layer.features * batch]), Some(to_input));
                    transpose(batch, to_input, target);
                }
                VectorOp::Activate(activation) => {
                    run.tier.run(ActivateBackward { activation: *activation, input: &self.values[at], output, gradient: target });
                }
                VectorOp::Drop(p) => {
                    target.copy_from_slice(output);
                    drop_columns(run, (layer.layer, layer.features), *p, target);
                }
                VectorOp::Add(_) | VectorOp::Same => target.copy_from_slice(output),
            }
            if again {
                run.tier.run(Accumulate { from: spare, to });
            }
            if let VectorOp::Add(other) = layer.op {
                if std::mem::replace(&mut self.written[other], true) {
                    run.tier.run(Accumulate { from: output, to: &mut before[other] });
                } else {
                    before[other].copy_from_slice(output);
                }
            }
        }
        if self.wanted && self.written[0] {
            let from_dense = self.layers.first().is_some_and(|layer| matches!(layer.op, VectorOp::Dense(_)));
            let to = if from_dense { &mut self.scratch[0][..self.to_panels.len()] } else { &mut self.to_panels[..] };
            untranspose(batch, &self.gradients[0], to);
            if from_dense {
                run.tier.run(Accumulate { from: &self.scratch[0][..self.to_panels.len()], to: &mut self.to_panels });
            }
        }
    }
}

fn drop_columns(run: Run<'_>, (layer, features): (usize, usize), p: f64, values: &mut [f32]) {
    let mask = Mask::new(p, dropout_seed(run.seed, layer));
    run.tier.run(DropColumns { mask: &mask, features, batch: run.columns(), rectify: false, values });
}
