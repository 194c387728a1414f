//! The part of a network that works on vectors: fully connected layers and what stands between them, and the loss.
//!
//! Values are columns (feature × image), so all of a layer's images are computed in vectors however few features it has.

use super::dense::DenseLayer;
use super::moves::Moves;
use super::run::Run;
use super::seen::Seen;
use crate::kernels::Buffer;
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::activate::{Activate, ActivateBackward};
use crate::kernels::blocked::pointwise::{Accumulate, DropColumns};
use crate::kernels::cross_entropy::{Measured, Mix, Targets, cross_entropy};
use crate::kernels::dense::{padded, transpose, untranspose};
use crate::kernels::dropout::Mask;
use crate::kernels::lanes::WIDTH;
use crate::kernels::team::Chunks;
use crate::network::compiled::group::Group;
use crate::network::compiled::order::Order;
use crate::network::compiled::program::{Program, VectorNode, VectorOp};
use crate::network::learner::{StepSettings, dropout_seed};
use crate::network::shape::{LayerShape, Role};
use crate::network::weights::Weights;

/// Blocks of features that one task transposes.
const TRANSPOSED: usize = 16;

/// All vectors of one batch, in the program's numbering: first those that come in through the exits, then one a node.
#[derive(Debug)]
pub(super) struct Head {
    nodes: Vec<VectorNode>,
    /// Position of each fully connected layer, and its parameters, in the program's numbering.
    dense: Vec<(usize, DenseLayer)>,
    pub(super) entries: Vec<Entry>,
    /// Images there is room for, whole vectors.
    batch: usize,
    /// Columns of each vector, and of its gradient.
    values: Vec<Buffer>,
    gradients: Vec<Buffer>,
    /// A second gradient of a vector; panels of a dense layer's input inside the head, and of its gradient.
    scratch: [Buffer; 3],
    logits: Buffer,
    to_logits: Buffer,
    /// Features of the last vector.
    scores: usize,
    /// Whether a vector's gradient has been begun.
    written: Vec<bool>,
}

/// A vector as it comes in.
#[derive(Debug)]
pub(super) struct Entry {
    /// It, and its gradient, as panels.
    pub(super) panels: Buffer,
    to_panels: Buffer,
    order: Order,
    /// Whether its gradient is wanted.
    wanted: bool,
    /// The node of the first fully connected layer that reads it: that one reads and writes panels.
    dense: Option<usize>,
}

impl Head {
    /// The vectors of `program`.
    pub(super) fn new(program: &Program, layers: &[LayerShape], weights: &Weights) -> Self {
        let exits = program.exits.len();
        let entries = program.exits.iter().enumerate().map(|(vector, exit)| {
            let reads = |node: &VectorNode| matches!(node.op, VectorOp::Dense { .. }) && node.input == vector;
            let [panels, to_panels] = std::array::from_fn(|_| Buffer::default());
            let wanted = program.gradients.places[exit.value].is_some();
            Entry { panels, to_panels, order: exit.order, wanted, dense: program.vectors.iter().position(reads) }
        });
        let dense = program.dense.iter().map(|node| {
            let [values, bias] = [Role::Weight, Role::Bias].map(|role| weights.of(&layers[node.layer], role));
            let Some(values) = values else { unreachable!("a fully connected layer has weights") };
            (node.layer, DenseLayer::new(node.order, values, bias))
        });
        let count = exits + program.vectors.len();
        let empty = || vec![Buffer::default(); count];
        Self {
            nodes: program.vectors.clone(),
            dense: dense.collect(),
            entries: entries.collect(),
            batch: 0,
            values: empty(),
            gradients: empty(),
            scratch: std::array::from_fn(|_| Buffer::default()),
            logits: Buffer::default(),
            to_logits: Buffer::default(),
            scores: layers.last().map_or(0, |last| last.output.elements()),
            written: vec![false; count],
        }
    }

    /// The fully connected layer at this position of the list.
    pub(super) fn dense(&self, layer: usize) -> Option<&DenseLayer> {
        self.dense.iter().find(|(own, _)| *own == layer).map(|(_, dense)| dense)
    }

    /// The same, to be changed.
    pub(super) fn dense_mut(&mut self, layer: usize) -> Option<&mut DenseLayer> {
        self.dense.iter_mut().find(|(own, _)| *own == layer).map(|(_, dense)| dense)
    }

    /// Images there is room for, whole vectors.
    pub(super) fn batch(&self) -> usize {
        self.batch
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
        let entries = self.entries.iter().map(|entry| entry.order.padded());
        let sizes = entries.chain(self.nodes.iter().map(|node| node.features));
        for ((value, gradient), features) in self.values.iter_mut().zip(&mut self.gradients).zip(sizes.clone()) {
            fit(value, features);
            fit(gradient, features);
        }
        let largest = sizes.max().unwrap_or(0);
        self.scratch.iter_mut().for_each(|buffer| fit(buffer, largest));
        for Entry { panels, to_panels, order, .. } in &mut self.entries {
            fit(panels, order.padded());
            fit(to_panels, order.padded());
        }
        fit(&mut self.logits, self.scores);
        fit(&mut self.to_logits, self.scores);
    }

    /// From the panels to the scores' columns.
    pub(super) fn forward(&mut self, run: Run<'_>) {
        let (batch, task, exits) = (self.batch, TRANSPOSED * self.batch * WIDTH, self.entries.len());
        for (entry, columns) in self.entries.iter().zip(&mut self.values) {
            run.team.each(Chunks::new(columns, task), |at, columns| {
                transpose(batch, &entry.panels[at * task..][..columns.len()], columns);
            });
        }
        for (at, node) in self.nodes.iter().enumerate() {
            let (before, rest) = self.values.split_at_mut(exits + at);
            let (input, output) = (&before[node.input], &mut rest[0]);
            match node.op {
                VectorOp::Dense { dense, .. } => self.dense[dense].1.forward(run, (input, &mut output[..node.features * batch])),
                VectorOp::Activate(activation) => run.tier.run(Activate { activation, input, output }),
                VectorOp::Drop { p, layer } => {
                    output.copy_from_slice(input);
                    drop_columns(run, layer, node.features, p, output);
                }
                VectorOp::Add { other } => {
                    output.copy_from_slice(input);
                    run.tier.run(Accumulate { from: &before[other], to: output });
                }
                VectorOp::Same => output.copy_from_slice(input),
            }
        }
    }

    /// The loss of the scores, and the gradient of them.
    pub(super) fn loss(&mut self, labels: &[u32], mix: Option<Mix<'_>>, settings: &StepSettings<'_>) -> Measured {
        let (batch, smoothing) = (labels.len(), f64::from(settings.label_smoothing));
        let factor = settings.reduction.factor(batch);
        let at = self.values.len() - 1;
        let classes = self.scores;
        let (values, gradients) = (&self.values[at], &mut self.gradients[at]);
        for (image, logits) in self.logits[..batch * classes].chunks_exact_mut(classes).enumerate() {
            for (class, logit) in logits.iter_mut().enumerate() {
                *logit = values[class * self.batch + image];
            }
        }
        let (logits, to_logits) = (&self.logits[..batch * classes], &mut self.to_logits[..batch * classes]);
        let measured = cross_entropy(&Targets { labels, classes, smoothing, mix }, logits, Some(to_logits));
        gradients.fill(0.0);
        for (image, logits) in to_logits.chunks_exact(classes).enumerate() {
            for (class, &gradient) in logits.iter().enumerate() {
                gradients[class * self.batch + image] = factor * gradient;
            }
        }
        measured
    }

    /// From the gradient of the scores to those of the panels, moving all parameters on the way. Says what it saw of these
    /// parameters' gradients.
    pub(super) fn backward(&mut self, run: Run<'_>, moves: Moves<'_>) -> Seen {
        let (batch, exits) = (self.batch, self.entries.len());
        self.written.fill(false);
        // The scores', by the loss.
        self.written[self.values.len() - 1] = true;
        let mut seen = Seen::default();
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let (before, after) = self.gradients.split_at_mut(exits + at);
            let (to, output) = (&mut before[node.input], &after[0]);
            let entry = self.entries.get_mut(node.input).filter(|entry| entry.dense == Some(at));
            if let (VectorOp::Dense { dense, .. }, Some(Entry { panels, to_panels, wanted, .. })) = (&node.op, entry) {
                let to_input = wanted.then_some(&mut to_panels[..]);
                let (layer, dense) = &mut self.dense[*dense];
                seen = seen.and(dense.backward(run, moves.dense(*layer), (panels, &output[..node.features * batch]), to_input));
                continue;
            }
            let again = std::mem::replace(&mut self.written[node.input], true);
            let (spare, panels) = self.scratch.split_at_mut(1);
            let len = to.len();
            let spare = &mut spare[0][..len];
            let target = if again { &mut *spare } else { &mut to[..] };
            match node.op {
                VectorOp::Dense { dense, .. } => {
                    let (input, to_input) = panels.split_at_mut(1);
                    let (input, to_input) = (&mut input[0][..len], &mut to_input[0][..len]);
                    untranspose(batch, &self.values[node.input], input);
                    let (layer, dense) = &mut self.dense[dense];
                    let gradient = &output[..node.features * batch];
                    seen = seen.and(dense.backward(run, moves.dense(*layer), (input, gradient), Some(to_input)));
                    transpose(batch, to_input, target);
                }
                VectorOp::Activate(activation) => {
                    let input = &self.values[node.input];
                    run.tier.run(ActivateBackward { activation, input, output, gradient: target });
                }
                VectorOp::Drop { p, layer } => {
                    target.copy_from_slice(output);
                    drop_columns(run, layer, node.features, p, target);
                }
                VectorOp::Add { .. } | VectorOp::Same => target.copy_from_slice(output),
            }
            if again {
                run.tier.run(Accumulate { from: spare, to });
            }
            if let VectorOp::Add { other } = node.op {
                if std::mem::replace(&mut self.written[other], true) {
                    run.tier.run(Accumulate { from: output, to: &mut before[other] });
                } else {
                    before[other].copy_from_slice(output);
                }
            }
        }
        self.enter_panels(run);
        seen
    }

    /// Brings what came in columns to what is in panels of the entries' gradients.
    fn enter_panels(&mut self, run: Run<'_>) {
        for (at, Entry { to_panels, wanted, dense, .. }) in self.entries.iter_mut().enumerate() {
            if !*wanted || !self.written[at] {
                continue;
            }
            let spare = &mut self.scratch[0][..to_panels.len()];
            let to = if dense.is_some() { &mut *spare } else { &mut to_panels[..] };
            untranspose(self.batch, &self.gradients[at], to);
            if dense.is_some() {
                run.tier.run(Accumulate { from: spare, to: to_panels });
            }
        }
    }

    /// Writes the gradients of a group's feature maps that became vectors.
    pub(super) fn leave(&self, program: &Program, group: &mut Group<'_>) {
        for (at, (exit, entry)) in program.exits.iter().zip(&self.entries).enumerate() {
            if !entry.wanted {
                continue;
            }
            let maps = program.values[exit.value];
            let first = program.exits[..at].iter().all(|earlier| earlier.value != exit.value);
            let images = group.images.clone();
            for (image, gradient) in images.zip(group.get(exit.value).chunks_exact_mut(maps.len())) {
                if !first {
                    entry.add_to(image, self.batch, maps, gradient);
                } else if let Order::Blocked(_) = entry.order {
                    entry.copy_to(image, self.batch, gradient);
                } else {
                    gradient.fill(0.0);
                    entry.add_to(image, self.batch, maps, gradient);
                }
            }
        }
    }
}

impl Entry {
    /// One image's gradient, in blocked order.
    fn copy_to(&self, image: usize, columns: usize, gradient: &mut [f32]) {
        for (block, row) in gradient.chunks_exact_mut(WIDTH).enumerate() {
            row.copy_from_slice(&self.to_panels[(block * columns + image) * WIDTH..][..WIDTH]);
        }
    }

    /// Adds one image's gradient to that of its feature maps.
    fn add_to(&self, image: usize, columns: usize, maps: Maps, gradient: &mut [f32]) {
        for feature in 0..self.order.features() {
            let at = self.order.place(feature);
            let from = (at / WIDTH * columns + image) * WIDTH + at % WIDTH;
            gradient[Order::Blocked(maps).place(feature)] += self.to_panels[from];
        }
    }
}

fn drop_columns(run: Run<'_>, layer: usize, features: usize, p: f64, values: &mut [f32]) {
    let mask = Mask::new(p, dropout_seed(run.seed, layer));
    run.tier.run(DropColumns { mask: &mask, features, batch: run.columns(), rectify: false, values });
}
