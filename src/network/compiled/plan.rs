//! Evaluation on the processor: fused kernels over one layout, in buffers that are made once.
//!
//! Two programs are compiled. The fast one has batch norm in the filters of the convolution before it, rectifiers and pooling in
//! the convolution's last step, and no dropout. The plain one, made when first needed, has every layer's output as it is, so
//! that any of them can be looked at or switched off; a layer looks the same whatever else is looked at. Feature maps go
//! through the layers a few images at a time and stay in the cache, several groups side by side; a single image has all
//! threads on each layer. Neither changes a number: an image's result does not depend on its company or on the threads.
//! [`crate::network::forward`] is the reference that tests hold this to.

mod maps;
mod parameters;
mod sight;
mod sizes;
mod vectors;

use std::sync::Arc;

use self::parameters::{Dense, Packed, Plain};
use self::sight::Sight;
use self::vectors::Vectors;
use super::forward::Workspace;
use super::program::{Program, Purpose};
use super::{Machine, Network};
use crate::kernels::{Buffer, Team};
use crate::network::error::Error;
use crate::network::probe::{Evaluation, Probe};
use crate::network::shape::LayerShape;
use crate::network::spec::Architecture;
use crate::network::weights::Weights;

/// A network that is evaluated by the kernels.
pub struct Plan {
    network: Arc<Common>,
    fast: Compiled,
    plain: Option<Compiled>,
    workspaces: Vec<Workspace>,
    machine: Machine,
}

/// What all plans of a network read and none changes.
struct Common {
    architecture: Architecture,
    layers: Vec<LayerShape>,
    plain: Plain,
    dense: Vec<Dense>,
}

/// A program, what it multiplies with, and what it computes in.
struct Compiled {
    program: Arc<Program>,
    packed: Arc<Packed>,
    /// Values that are needed beyond their segment.
    batch: Buffer,
    vectors: Vectors,
}

impl Compiled {
    fn new(program: Arc<Program>, packed: Arc<Packed>) -> Self {
        let vectors = Vectors::new(&program);
        Self { program, packed, batch: Buffer::default(), vectors }
    }
}

impl Plan {
    /// Compiles `architecture` (its `layers` inferred) with these `weights` for this processor.
    pub fn new(architecture: &Architecture, layers: &[LayerShape], weights: &Weights) -> Self {
        Self::on(Machine::available(), architecture, layers, weights)
    }

    /// On these kernels, with these threads.
    pub fn on(machine: Machine, architecture: &Architecture, layers: &[LayerShape], weights: &Weights) -> Self {
        let network = Network { architecture, layers };
        let program = Program::new(network, Purpose::Evaluation);
        let dense = Dense::all(layers, &program, weights);
        let plain = Plain::new(layers, weights);
        let packed = Packed::new(&program, &plain, machine.tier);
        let network = Common { architecture: architecture.clone(), layers: layers.to_vec(), plain, dense };
        Self::of(Arc::new(network), Compiled::new(Arc::new(program), Arc::new(packed)), machine)
    }

    fn of(network: Arc<Common>, fast: Compiled, machine: Machine) -> Self {
        let workspaces = (0..machine.team.size()).map(|_| Workspace::default()).collect();
        Self { network, fast, plain: None, workspaces, machine }
    }

    /// Another plan of the same network, on `team`: the parameters are there once, what is computed in is its own.
    #[must_use]
    pub fn beside(&self, team: Arc<Team>) -> Self {
        let fast = Compiled::new(Arc::clone(&self.fast.program), Arc::clone(&self.fast.packed));
        Self::of(Arc::clone(&self.network), fast, Machine { tier: self.machine.tier, team })
    }

    /// The threads that it computes on.
    pub fn team(&self) -> &Team {
        &self.machine.team
    }

    /// Evaluates a batch of preprocessed images (image × channel × height × width).
    ///
    /// # Errors
    /// Where these are not whole images.
    pub fn evaluate(&mut self, images: &[f32], probe: &Probe) -> Result<Evaluation, Error> {
        let pixels = self.fast.program.image_len();
        if !images.len().is_multiple_of(pixels) {
            return Err(Error::Network(format!("takes images of {pixels} numbers, and was given {}", images.len())));
        }
        let batch = images.len() / pixels;
        let Common { architecture, layers, plain, dense } = &*self.network;
        let network = Network { architecture, layers };
        let compiled = if probe.is_empty() {
            &mut self.fast
        } else {
            self.plain.get_or_insert_with(|| {
                let program = Program::new(network, Purpose::Inspection);
                let packed = self.fast.packed.again(&program, plain, self.machine.tier);
                Compiled::new(Arc::new(program), Arc::new(packed))
            })
        };
        let mut sight = Sight::new(probe, layers, batch);
        if batch > 0 {
            compiled.vectors.fit(batch);
            compiled.maps(&self.machine, images, &mut sight, &mut self.workspaces);
            compiled.vectors.show(&compiled.program.exits, &mut sight);
            compiled.vectors.run(&self.machine, &compiled.program, dense, &mut sight);
        }
        let classes = layers.last().map_or(0, |last| last.output.elements());
        Ok(Evaluation { probabilities: compiled.vectors.probabilities(batch, classes), taps: sight.taps, familiarity: Vec::new() })
    }
}

#[cfg(test)]
mod tests;
