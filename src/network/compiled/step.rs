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
mod norm;
mod parameters;
mod passes;
mod run;

use self::filters::Filters;
use self::head::Head;
use self::norm::NormState;
use self::parameters::Parameters;
use self::run::Run;
use super::forward::Workspace;
use super::program::{Program, Purpose};
use super::{Machine, Network};
use crate::kernels::Buffer;
use crate::network::error::Error;
use crate::network::learner::{Batch, Learner, StepReport, StepSettings, check_batch, check_momentum};
use crate::network::shape::{LayerShape, Role};
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
        Ok(Self { name, layers, program, head, parameters, filters, norms, buffers, workspaces, machine })
    }

    /// The trained parameters and running statistics, or the optimizer's buffers, in the architecture's order.
    fn export(&self, momentum: bool) -> Vec<Parameter> {
        let mut out = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            let values: Vec<Vec<f32>> = match self.head.dense(at) {
                Some(dense) if momentum => dense.momentum(),
                Some(dense) => dense.values(),
                None => {
                    let own = self.parameters.layers[at].iter();
                    own.map(|p| if momentum { p.trained.momentum.to_vec() } else { p.trained.values.to_vec() }).collect()
                }
            };
            for (spec, values) in layer.parameters.iter().zip(values) {
                if !momentum || spec.role.trained() {
                    out.push(Parameter { name: spec.name.clone(), shape: spec.shape.clone(), values });
                }
            }
        }
        out
    }
}

impl Learner for Step {
    fn step(&mut self, batch: Batch<'_>, settings: &StepSettings) -> Result<StepReport, Error> {
        check_batch(&self.layers, batch)?;
        let count = batch.labels.len();
        self.fit(count);
        self.pack();
        self.forward(batch.images, settings.seed);
        self.enter_head();
        let machine = self.machine.clone();
        let run = Run { team: &machine.team, tier: machine.tier, seed: settings.seed, batch: count };
        self.head.forward(run);
        let measured = self.head.loss(count, batch.labels, settings.label_smoothing);
        let sgd = settings.sgd.into();
        self.head.backward(run, &sgd);
        self.backward(settings.seed);
        self.update(&sgd);
        Ok(StepReport { loss: measured.loss as f32, correct: measured.correct })
    }

    fn weights(&self) -> Result<Weights, Error> {
        Weights::fit(&self.name, &self.layers, self.export(false))
    }

    fn momentum(&self) -> Result<Vec<Parameter>, Error> {
        Ok(self.export(true))
    }

    fn restore_momentum(&mut self, buffers: Vec<Parameter>) -> Result<(), Error> {
        check_momentum(&self.name, specs(&self.layers), &buffers)?;
        let mut buffers = buffers.into_iter().map(|buffer| buffer.values);
        for (at, layer) in self.layers.iter().enumerate() {
            if let Some(dense) = self.head.dense_mut(at) {
                let weights = buffers.next().unwrap_or_default();
                let bias = layer.parameters.iter().any(|spec| spec.role == Role::Bias).then(|| buffers.next()).flatten();
                dense.restore(&weights, bias.as_deref());
            }
            for plain in self.parameters.layers[at].iter_mut().filter(|plain| plain.role.trained()) {
                plain.trained.momentum = buffers.next().map(|values| values[..].into()).unwrap_or_default();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
