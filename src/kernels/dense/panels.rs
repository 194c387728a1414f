//! Fully connected layers in evaluation: weights packed once, read as few times as can be.
//!
//! Weights lie panel × input × outputs of the panel, a panel being up to 64 outputs, so that whatever an input is multiplied
//! with in one panel is one piece of memory. They may be in half precision, which is read faster; sums are f32 either way. Of
//! a single image the inputs that are exactly 0 (after a rectifier, most) are left out with all their weights. Sums over inputs
//! are made in the same chunks either way, and adding a product with 0 changes nothing: an image's result does not depend on
//! how many others it came with.

mod many;
mod one;
mod places;

pub use places::Places;

use half::f16;

use self::many::Many;
use self::one::One;
use crate::kernels::blocked::part::Shared;
use crate::kernels::crew::Crew;
use crate::kernels::lanes::{Lanes, WIDTH};
use crate::kernels::lengths::{product, sum};

/// Vectors of outputs in a panel.
const PANEL: usize = 4;
/// Inputs that are summed before their sum is added to the others: a chunk's weights fit the nearest cache.
const CHUNK: usize = 64;
/// Images that one task multiplies, where there are too few panels for all threads.
const ROWS: usize = 16;

/// Sizes of a fully connected layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panels {
    /// Input features as they lie in memory, fillers included.
    pub inputs: usize,
    /// Output features.
    pub outputs: usize,
}

/// Parameters and what happens to the result.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// [`Panels::weights`] numbers by [`Panels::place`].
    pub weights: Weights<'a>,
    /// A number an output, filled up to a vector with zeros.
    pub bias: &'a [f32],
    /// Whether what is below 0 becomes 0.
    pub rectify: bool,
}

/// Weights in the precision they are kept in.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// f32.
    Full(&'a [f32]),
    /// f16, exactly the numbers that f32 would hold.
    Half(&'a [f16]),
}

impl Weights<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Full(weights) => weights.len(),
            Self::Half(weights) => weights.len(),
        }
    }
}

/// Vectors of a batch, one after another.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Numbers.
    pub values: &'a [f32],
    /// How many vectors.
    pub images: usize,
    /// Floats from one vector to the next.
    pub stride: usize,
    /// Where numbers of the only vector are not 0; none where there are several.
    pub places: Option<&'a Places>,
}

/// Where the results of a batch go: a vector for each of its own.
#[derive(Debug)]
pub struct Results<'a> {
    /// Overwritten.
    pub values: &'a mut [f32],
    /// Floats from one vector to the next; each is filled up to a vector of the machine's.
    pub stride: usize,
}

impl Panels {
    /// Vectors of sixteen outputs.
    fn vectors(&self) -> usize {
        self.outputs.div_ceil(WIDTH)
    }

    /// Number of weights, fillers included.
    pub fn weights(&self) -> usize {
        product([self.inputs, self.vectors(), WIDTH])
    }

    /// The place of a weight.
    pub fn place(&self, output: usize, input: usize) -> usize {
        let first = output / (PANEL * WIDTH) * PANEL;
        let vectors = PANEL.min(self.vectors() - first);
        (first * self.inputs + input * vectors) * WIDTH + output - first * WIDTH
    }

    /// `y = W·x + b` for each vector.
    pub fn forward(&self, crew: Crew<'_>, layer: Layer<'_>, input: Rows<'_>, output: Results<'_>) {
        let (Crew { tier, team }, Rows { images, .. }, Results { values: output, stride }) = (crew, input, output);
        let padded = product([self.vectors(), WIDTH]);
        assert!(layer.weights.len() == self.weights() && layer.bias.len() == padded, "dense: parameters");
        assert!(images > 0 && input.values.len() >= sum([product([images - 1, input.stride]), self.inputs]), "dense: inputs");
        assert!(output.len() >= sum([product([images - 1, stride]), padded]) && stride >= padded, "dense: outputs");
        assert!(input.places.is_none_or(|places| images == 1 && places.inputs() == self.inputs), "dense: places");
        let panels = self.vectors().div_ceil(PANEL);
        // All of a thread's panels go through the images together: what an image has is fetched once a thread.
        let (rows, group) = if panels >= team.size() { (images, panels.div_ceil(team.size())) } else { (ROWS, 1) };
        let group = if images == 1 { 1 } else { group };
        let (bands, groups) = (images.div_ceil(rows), panels.div_ceil(group));
        // SAFETY: a task writes the outputs of its own panels for its own band of images.
        let shared = unsafe { Shared::new(output, groups * bands) };
        team.each(shared, |task, output| {
            let first = task / groups * rows;
            let rows = rows.min(images - first);
            let vector = task % groups * group * PANEL;
            let vectors = (group * PANEL).min(self.vectors() - vector);
            let task = Task {
                inputs: self.inputs,
                bias: &layer.bias[vector * WIDTH..][..vectors * WIDTH],
                rectify: layer.rectify,
                input: &input.values[first * input.stride..],
                stride: input.stride,
                at: output.place(first * stride + vector * WIDTH, (rows - 1) * stride + vectors * WIDTH),
            };
            let weights = vector * self.inputs * WIDTH..(vector + vectors) * self.inputs * WIDTH;
            match (layer.weights, input.places) {
                (Weights::Full(all), Some(places)) => tier.run(One { task, weights: &all[weights], places }),
                (Weights::Half(all), Some(places)) => tier.run(One { task, weights: &all[weights], places }),
                (Weights::Full(all), None) => tier.run(Many { task, weights: &all[weights], rows, stride }),
                (Weights::Half(all), None) => tier.run(Many { task, weights: &all[weights], rows, stride }),
            }
        });
    }
}

/// Outputs of some panels, for some images.
#[derive(Clone, Copy)]
struct Task<'a> {
    inputs: usize,
    bias: &'a [f32],
    rectify: bool,
    /// From the first image on.
    input: &'a [f32],
    /// Floats from one image's inputs to the next one's.
    stride: usize,
    /// The first panel's place in the first image's outputs.
    at: *mut f32,
}

/// A number as weights are kept.
trait Weight: Copy {
    /// Whether a vector of them is a vector of floats in memory.
    const FLOATS: bool;

    /// Reads sixteen.
    ///
    /// # Safety
    /// `at` is valid for reads of sixteen.
    unsafe fn load<L: Lanes>(l: L, at: *const Self) -> L::V;
}

impl Weight for f32 {
    const FLOATS: bool = true;

    #[inline(always)]
    unsafe fn load<L: Lanes>(l: L, at: *const Self) -> L::V {
        // SAFETY: as the caller promises.
        unsafe { l.load(at) }
    }
}

impl Weight for f16 {
    const FLOATS: bool = false;

    #[inline(always)]
    unsafe fn load<L: Lanes>(l: L, at: *const Self) -> L::V {
        // SAFETY: as the caller promises.
        unsafe { l.load_half(at) }
    }
}

#[cfg(test)]
mod tests;
