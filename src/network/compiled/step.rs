//! Training on the processor: forward, backward and update in buffers that are made once.
//!
//! A step's feature maps go through the network a few images at a time and stay in the cache between layers; its vectors go
//! through a batch at a time, because a fully connected layer's weights are what has to be moved. Nothing is allocated in a
//! step once the batch size has been seen. Sums over the batch are made in parts that follow from the batch size alone, so
//! one seed gives the same bits for any number of threads. [`crate::network::autograd`] is the reference that tests hold this to.

mod backward;
mod dense;
mod filters;
mod head;
mod moves;
mod norm;
mod orthogonal;
mod parameters;
mod passes;
mod run;
mod seen;
mod sizes;
mod trained;

use self::filters::Filters;
use self::head::Head;
use self::moves::Moves;
use self::norm::NormState;
use self::parameters::Parameters;
use self::run::Run;
use self::trained::Part;
use super::forward::Workspace;
use super::program::{Program, Purpose};
use super::{Machine, Network};
use crate::kernels::Buffer;
use crate::network::error::Error;
use crate::network::learner::{
    Batch, Learner, Mix, StepReport, StepSettings, check_batch, check_mix, check_momentum, check_squares,
};
use crate::network::shape::LayerShape;
use crate::network::spec::Architecture;
use crate::network::weights::{Parameter, Weights, specs};

/// A network that is trained by the kernels.
pub struct Step {
    name: String,
    layers: Vec<LayerShape>,
    program: Program,
    head: Head,
    parameters: Parameters,
    filters: Filters,
    norms: Vec<NormState>,
    buffers: Buffers,
    workspaces: Vec<Workspace>,
    machine: Machine,
    /// As [`moves::first`] has it.
    first: Vec<usize>,
}

/// Memory that grows with the batch.
#[derive(Debug, Default)]
struct Buffers {
    batch: usize,
    /// Values that are needed beyond their segment.
    values: Buffer,
    /// Gradients of values that are.
    gradients: Buffer,
    /// Partial sums of one batch norm, group by group.
    partial: Buffer,
    /// Gradients of convolutions' parameters, part by part.
    parts: Buffer,
}

impl Step {
    /// Compiles `architecture` for this processor.
    pub fn new(architecture: &Architecture, weights: &Weights) -> Result<Self, Error> {
        Self::on(Machine::available(), architecture, weights)
    }

    /// On these kernels, with these threads.
    pub fn on(machine: Machine, architecture: &Architecture, weights: &Weights) -> Result<Self, Error> {
        let layers = crate::network::infer(architecture)?;
        weights.check(&architecture.name, &layers)?;
        let program = Program::new(Network { architecture, layers: &layers }, Purpose::Training);
        let head = Head::new(&program, &layers, weights);
        let parameters = Parameters::new(&layers, weights);
        let filters = Filters::new(&program, &parameters);
        let norms = program.norms.iter().map(NormState::new).collect();
        let workspaces = (0..machine.team.size()).map(|_| Workspace::default()).collect();
        let (name, buffers) = (architecture.name.clone(), Buffers::default());
        let first = moves::first(&layers);
        Ok(Self { name, layers, program, head, parameters, filters, norms, buffers, workspaces, machine, first })
    }

    /// A part of all parameters, running statistics too where these are asked for, in the architecture's order. What no rule has
    /// needed is left out.
    fn export(&self, part: Part) -> Vec<Parameter> {
        let mut out = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            let values: Vec<Vec<f32>> = match self.head.dense(at) {
                Some(dense) => dense.export(part),
                None => self.parameters.layers[at].iter().map(|plain| plain.trained.part(part).to_vec()).collect(),
            };
            for (spec, values) in layer.parameters.iter().zip(values) {
                let there = !values.is_empty() || spec.shape.contains(&0);
                if there && (part == Part::Values || spec.role.trained()) {
                    out.push(Parameter { name: spec.name.clone(), shape: spec.shape.clone(), values });
                }
            }
        }
        out
    }

    /// Takes a part of the parameters that [`Step::export`] gave, found by name; the others keep theirs.
    fn import<'a>(&mut self, part: Part, entries: impl Iterator<Item = &'a Parameter>) {
        let entries: Vec<&Parameter> = entries.collect();
        for (at, layer) in self.layers.iter().enumerate() {
            for (position, spec) in layer.parameters.iter().enumerate() {
                let Some(entry) = entries.iter().find(|entry| entry.name == spec.name) else { continue };
                match self.head.dense_mut(at) {
                    Some(dense) => dense.import(part, spec.role, &entry.values),
                    None => *self.parameters.layers[at][position].trained.part_mut(part) = entry.values[..].into(),
                }
            }
        }
    }
}

impl Learner for Step {
    fn step_mixed(&mut self, batch: Batch<'_>, mix: Option<Mix<'_>>, settings: &StepSettings<'_>) -> Result<StepReport, Error> {
        check_batch(&self.layers, batch)?;
        check_mix(&self.layers, batch, mix)?;
        settings.rules.check(specs(&self.layers).filter(|spec| spec.role.trained()))?;
        let count = batch.labels.len();
        self.fit(count);
        self.pack();
        self.forward(batch.images, settings.seed);
        self.enter_head();
        let machine = self.machine.clone();
        let run = Run { team: &machine.team, tier: machine.tier, seed: settings.seed, batch: count };
        self.head.forward(run);
        let measured = self.head.loss(batch.labels, mix, settings);
        let first = std::mem::take(&mut self.first);
        let moves = Moves { rules: settings.rules, first: &first };
        let head = self.head.backward(run, moves);
        self.backward(settings.seed);
        let seen = head.and(self.update(moves));
        self.first = first;
        let gradient_norm = seen.squares.sqrt();
        Ok(StepReport { loss: measured.loss as f32, correct: measured.correct, finite: seen.finite, gradient_norm })
    }

    fn weights(&self) -> Result<Weights, Error> {
        Weights::fit(&self.name, &self.layers, self.export(Part::Values))
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<(), Error> {
        self.import(Part::Values, weights.iter());
        Ok(())
    }

    fn momentum(&self) -> Result<Vec<Parameter>, Error> {
        Ok(self.export(Part::Momentum))
    }

    fn restore_momentum(&mut self, buffers: Vec<Parameter>) -> Result<(), Error> {
        check_momentum(&self.name, specs(&self.layers), &buffers)?;
        self.import(Part::Momentum, buffers.iter());
        Ok(())
    }

    fn squares(&self) -> Result<Vec<Parameter>, Error> {
        Ok(self.export(Part::Squares))
    }

    fn restore_squares(&mut self, buffers: Vec<Parameter>) -> Result<(), Error> {
        check_squares(&self.name, specs(&self.layers), &buffers)?;
        self.import(Part::Squares, buffers.iter());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
