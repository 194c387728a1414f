//! Training on the processor, compiled from the layer list: forward, backward and update in buffers that are made once.
//!
//! A step's feature maps go through the network a few images at a time and stay in the cache between layers; its vectors go
//! through a batch at a time, because a fully connected layer's weights are what has to be moved. Nothing is allocated in a
//! step once the batch size has been seen. Sums over the batch are made in parts that follow from the batch size alone, so
//! one seed gives the same bits for any number of threads. [`crate::network::autograd`] is the reference that tests hold this to.

mod backward;
mod compile;
mod dense;
mod forward;
mod head;
mod memory;
mod norm;
mod parameters;
mod passes;
mod program;

use std::sync::Arc;

use self::forward::Filters;
use self::head::{Head, Run, VectorOp};
use self::memory::Workspace;
use self::norm::NormState;
use self::parameters::Parameters;
use self::program::Program;
use crate::kernels::{Buffer, Team, Tier};
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
    team: Arc<Team>,
    tier: Tier,
}

/// Memory that grows with the batch.
#[derive(Debug, Default)]
struct Buffers {
    batch: usize,
    /// Values kept, group by group.
    saved: Buffer,
    winners: Buffer,
    /// Gradients of values, group by group, in programs of several segments.
    gradients: Buffer,
    /// Gradients of convolutions' parameters, part by part.
    parts: Buffer,
}

impl Step {
    /// Compiles `architecture` for this processor.
    pub fn new(architecture: &Architecture, weights: &Weights) -> Result<Self, Error> {
        Self::with(architecture, weights, (Tier::detect(), Arc::new(Team::available())))
    }

    /// On these kernels, with these threads.
    pub fn with(architecture: &Architecture, weights: &Weights, (tier, team): (Tier, Arc<Team>)) -> Result<Self, Error> {
        let layers = crate::network::infer(architecture)?;
        let program = Program::new(architecture, &layers);
        let head = compile::head(architecture, &layers, &program, weights);
        let parameters = Parameters::new(&layers[..program.layers], weights);
        let filters = Filters::new(&program);
        let norms = program.norms.iter().map(NormState::new).collect();
        let workspaces = (0..team.size()).map(|_| Workspace::new(&program)).collect();
        let (name, buffers) = (architecture.name.clone(), Buffers::default());
        Ok(Self { name, layers, program, head, parameters, filters, norms, buffers, workspaces, team, tier })
    }

    /// The trained parameters and running statistics, or the optimizer's buffers, in the architecture's order.
    fn export(&self, momentum: bool) -> Vec<Parameter> {
        let mut vectors = self.head.layers.iter().filter_map(|layer| match &layer.op {
            VectorOp::Dense(dense) => Some((layer.layer, dense)),
            _ => None,
        });
        let mut out = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            let values: Vec<Vec<f32>> = if at < self.program.layers {
                let plain = self.parameters.layers[at].iter();
                plain.map(|p| if momentum { p.trained.momentum.to_vec() } else { p.trained.values.to_vec() }).collect()
            } else if layer.parameters.is_empty() {
                continue;
            } else {
                vectors.next().map(|(_, dense)| if momentum { dense.momentum() } else { dense.values() }).unwrap_or_default()
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
        self.enter_head(count);
        let run = Run { team: &self.team, tier: self.tier, seed: settings.seed, batch: count };
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
        let mut buffers = buffers.into_iter();
        for plain in self.parameters.layers.iter_mut().flatten().filter(|plain| plain.role.trained()) {
            plain.trained.momentum = buffers.next().map(|buffer| buffer.values[..].into()).unwrap_or_default();
        }
        for layer in &mut self.head.layers {
            if let VectorOp::Dense(dense) = &mut layer.op {
                let own = &self.layers[layer.layer].parameters;
                let weights = buffers.next().map(|buffer| buffer.values).unwrap_or_default();
                let bias = own.iter().any(|spec| spec.role == Role::Bias).then(|| buffers.next()).flatten();
                dense.restore(&weights, bias.as_ref().map(|bias| &bias.values[..]));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
