//! Evaluation on the processor, compiled from the layer list: fused kernels over one layout, in buffers that are made once.
//!
//! Two programs are compiled. The fast one has batch norm in the filters of the convolution before it, rectifiers and pooling in
//! the convolution's last step, and no dropout. The plain one, made when first needed, has every layer's output as it is, so
//! that any of them can be looked at or switched off; a layer looks the same whatever else is looked at. Feature maps go
//! through the layers a few images at a time and stay in the cache, several groups side by side; a single image has all
//! threads on each layer. Neither changes a number: an image's result does not depend on its company or on the threads.
//! [`crate::network::forward`] is the reference that tests hold this to.

mod compile;
mod maps;
mod parameters;
mod program;
mod sight;
mod vectors;

use std::sync::Arc;

use self::parameters::Parameters;
use self::program::Program;
use self::sight::Sight;
use crate::kernels::{Buffer, Team, Tier};
use crate::network::error::Error;
use crate::network::probe::{Evaluation, Probe};
use crate::network::shape::LayerShape;
use crate::network::spec::Architecture;
use crate::network::weights::Weights;

/// A network that is evaluated by the kernels.
pub struct Plan {
    architecture: Architecture,
    layers: Vec<LayerShape>,
    parameters: Parameters,
    fast: Program,
    plain: Option<Program>,
    workspaces: Vec<Workspace>,
    machine: Machine,
}

/// What programs run on.
#[derive(Clone)]
struct Machine {
    tier: Tier,
    team: Arc<Team>,
}

/// What one thread computes in; grows to what is needed.
#[derive(Debug, Default)]
struct Workspace {
    /// Values of a group of images.
    scratch: Buffer,
    /// A convolution's.
    conv: Buffer,
}

impl AsMut<[f32]> for Workspace {
    fn as_mut(&mut self) -> &mut [f32] {
        &mut self.conv
    }
}

impl Plan {
    /// Compiles `architecture` (its `layers` inferred) with these `weights` for this processor.
    pub fn new(architecture: &Architecture, layers: &[LayerShape], weights: &Weights) -> Self {
        Self::with((architecture, layers), weights, (Tier::detect(), Arc::new(Team::available())))
    }

    /// On these kernels, with these threads.
    pub fn with(
        (architecture, layers): (&Architecture, &[LayerShape]),
        weights: &Weights,
        (tier, team): (Tier, Arc<Team>),
    ) -> Self {
        let machine = Machine { tier, team };
        let parameters = Parameters::new((architecture, layers), weights);
        let fast = Program::fast((architecture, layers), &parameters, tier);
        let workspaces = (0..machine.team.size()).map(|_| Workspace::default()).collect();
        let (architecture, layers) = (architecture.clone(), layers.to_vec());
        Self { architecture, layers, parameters, fast, plain: None, workspaces, machine }
    }

    /// Evaluates a batch of preprocessed images (image × channel × height × width).
    ///
    /// # Errors
    /// Where these are not whole images.
    pub fn evaluate(&mut self, images: &[f32], probe: &Probe) -> Result<Evaluation, Error> {
        let input = self.architecture.input;
        let pixels = input.channels * input.height * input.width;
        if !images.len().is_multiple_of(pixels) {
            return Err(Error::Network(format!("takes images of {pixels} numbers, and was given {}", images.len())));
        }
        let batch = images.len() / pixels;
        let program = if probe.is_empty() {
            &mut self.fast
        } else {
            let (architecture, layers) = (&self.architecture, &self.layers[..]);
            self.plain
                .get_or_insert_with(|| Program::plain((architecture, layers), &self.parameters, (self.machine.tier, &self.fast)))
        };
        let mut sight = Sight::new(probe, &self.layers, batch);
        if batch > 0 {
            program.vectors.fit(batch);
            program.maps.run(&self.machine, (images, batch), (&mut program.vectors, &mut sight), &mut self.workspaces);
            program.vectors.run(&self.machine, batch, (&self.parameters.dense, &mut sight));
        }
        let classes = self.layers.last().map_or(0, |last| last.output.elements());
        Ok(Evaluation { probabilities: program.vectors.probabilities(batch, classes), taps: sight.taps })
    }
}

#[cfg(test)]
mod tests;
