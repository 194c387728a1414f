//! What training needs of a network: one step on one batch, and its numbers back.

use super::error::Error;
use super::rules::Rules;
use super::shape::{LayerShape, ParameterSpec, Role, Shape};
use super::weights::{Parameter, Weights};
use crate::kernels::blocked::norm::check_values;
pub use crate::kernels::cross_entropy::Mix;

/// One batch, already preprocessed and augmented.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// image × channel × height × width.
    pub images: &'a [f32],
    /// Class of each image.
    pub labels: &'a [u32],
}

/// What changes from step to step.
#[derive(Debug, Clone, Copy)]
pub struct StepSettings<'a> {
    /// The update of each parameter, at this step's learning rate.
    pub rules: Rules<'a>,
    /// Share of each target spread evenly over all classes, 0 to 1.
    pub label_smoothing: f32,
    /// What gradients are of.
    pub reduction: Reduction,
    /// Seeds this step's dropout masks; different in every step.
    pub seed: u64,
}

/// What becomes of the losses of a batch's images before they are differentiated (PyTorch's `reduction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean: a step does not grow with the batch.
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    /// What the gradient of the mean over `images` is multiplied by.
    pub(super) fn factor(self, images: usize) -> f32 {
        match self {
            Self::Mean => 1.0,
            Self::Sum => images as f32,
        }
    }
}

/// What one step saw, before its update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean softmax cross-entropy of the batch.
    pub loss: f32,
    /// Images whose most probable class was right.
    pub correct: usize,
    /// Whether the gradients were finite numbers, as far as they are looked at: all that a layer of feature maps has, and of
    /// fully connected ones the bias's. What is not finite in a layer reaches those before it.
    pub finite: bool,
    /// Length of the gradients of all parameters that move, as one vector and before weight decay: what
    /// `torch.nn.utils.clip_grad_norm_` reports. Of the summed losses where these are summed, and so as many times longer as the batch
    /// has images. Infinite where squares of a fully connected layer's are beyond f32.
    pub gradient_norm: f64,
}

/// A network that is being trained. Parameters, momentum and running statistics are the learner's own.
pub trait Learner: Send {
    /// Forward, backward and update on one batch.
    fn step(&mut self, batch: Batch<'_>, settings: &StepSettings) -> Result<StepReport, Error> {
        self.step_mixed(batch, None, settings)
    }

    /// The same on images that were mixed with others, whose labels count too.
    fn step_mixed(&mut self, batch: Batch<'_>, mix: Option<Mix<'_>>, settings: &StepSettings) -> Result<StepReport, Error>;

    /// The parameters as they are now.
    fn weights(&self) -> Result<Weights, Error>;

    /// Goes on from these parameters; what the optimizer remembers stays.
    fn set_weights(&mut self, weights: &Weights) -> Result<(), Error>;

    /// What the optimizer remembers of each trained parameter's gradients, named after it: SGD's and Muon's momentum, AdamW's
    /// first mean. With [`Learner::weights`] and [`Learner::squares`] all that a run resumes from.
    fn momentum(&self) -> Result<Vec<Parameter>, Error>;

    /// Puts buffers read by [`Learner::momentum`] back.
    fn restore_momentum(&mut self, buffers: Vec<Parameter>) -> Result<(), Error>;

    /// AdamW's second mean, that of squared gradients, of the parameters that it has moved.
    fn squares(&self) -> Result<Vec<Parameter>, Error>;

    /// Puts buffers read by [`Learner::squares`] back.
    fn restore_squares(&mut self, buffers: Vec<Parameter>) -> Result<(), Error>;
}

/// Seeds the dropout mask of the layer at position `layer` in one step: every learner drops the same elements.
///
/// The finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) over both numbers.
pub fn dropout_seed(step_seed: u64, layer: usize) -> u64 {
    let mut z = step_seed.wrapping_add((layer as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Refuses a batch that the network of these layers cannot learn from.
pub(super) fn check_batch(layers: &[LayerShape], batch: Batch<'_>) -> Result<(), Error> {
    let pixels = layers.first().map_or(0, |first| first.input.elements());
    let classes = layers.last().map_or(0, |last| last.output.elements());
    let count = batch.labels.len();
    if count == 0 || batch.images.len() != count * pixels {
        let given = (batch.images.len(), count);
        return Err(Error::Network(format!("takes images of {pixels} numbers, one label each, and was given {given:?}")));
    }
    if let Some(label) = batch.labels.iter().find(|&&label| label as usize >= classes) {
        return Err(Error::Network(format!("has {classes} classes, and there is a label {label}")));
    }
    check_batch_size(layers, count)
}

/// Refuses labels of what a batch was mixed with that are not the network's.
pub(super) fn check_mix(layers: &[LayerShape], batch: Batch<'_>, mix: Option<Mix<'_>>) -> Result<(), Error> {
    let Some(Mix { labels, share }) = mix else { return Ok(()) };
    if !(0.0..=1.0).contains(&share) {
        return Err(Error::Network(format!("takes shares of mixed images between 0 and 1, and was given {share}")));
    }
    check_batch(layers, Batch { labels, ..batch })
}

/// Refuses batches of so many images where a batch norm would have one value a channel, and no variance.
pub fn check_batch_size(layers: &[LayerShape], images: usize) -> Result<(), Error> {
    let measures = |layer: &&LayerShape| layer.parameters.iter().any(|parameter| parameter.role == Role::RunningVariance);
    for layer in layers.iter().filter(measures) {
        if let Shape::Map { channels, height, width } = layer.input {
            let named =
                |sentence| Error::Network(format!("cannot be trained on batches of {images}: layer `{}`: {sentence}", layer.name));
            check_values([images, channels, height, width]).map_err(named)?;
        }
    }
    Ok(())
}

/// Whether `buffers` are one for each trained parameter, in order and of its shape.
pub(super) fn check_momentum<'a>(
    architecture: &str,
    specs: impl Iterator<Item = &'a ParameterSpec>,
    buffers: &[Parameter],
) -> Result<(), Error> {
    let expected: Vec<&ParameterSpec> = specs.filter(|spec| spec.role.trained()).collect();
    let whole = expected.len() == buffers.len() && expected.iter().zip(buffers).all(|(spec, buffer)| fits(spec, buffer));
    if whole { Ok(()) } else { Err(others(architecture)) }
}

/// Whether each of `buffers` is one of a trained parameter's shape.
pub(super) fn check_squares<'a>(
    architecture: &str,
    specs: impl Iterator<Item = &'a ParameterSpec>,
    buffers: &[Parameter],
) -> Result<(), Error> {
    let expected: Vec<&ParameterSpec> = specs.filter(|spec| spec.role.trained()).collect();
    let known = |buffer: &Parameter| expected.iter().any(|spec| fits(spec, buffer));
    if buffers.iter().all(known) { Ok(()) } else { Err(others(architecture)) }
}

fn fits(spec: &ParameterSpec, buffer: &Parameter) -> bool {
    spec.name == buffer.name && spec.shape == buffer.shape && buffer.values.len() == buffer.shape.iter().product::<usize>()
}

fn others(architecture: &str) -> Error {
    let faults = vec!["the optimizer's buffers are another network's: start the run anew, without `--resume`".to_owned()];
    Error::Parameters { architecture: architecture.into(), faults }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Architecture, Autograd, Init, Step, infer, init};
    use crate::optim::{Rule, Sgd};

    /// `channels` maps of one value each, normalised.
    const ONE_VALUE: &str = "name = 'x'\ninput = { channels = 1, height = 4, width = 4 }\nlayers = [
        { name = 'c', kind = 'conv2d', out_channels = 3, kernel_size = 4 }, { name = 'n', kind = 'batch_norm2d' },
        { name = 'f', kind = 'flatten' }, { name = 'l', kind = 'linear', out_features = 2 }]";

    #[test]
    fn one_value_a_channel_is_refused_by_every_learner_in_pytorchs_words_and_nothing_is_learned() {
        let architecture = Architecture::from_toml(ONE_VALUE).unwrap();
        let weights = init::weights(&infer(&architecture).unwrap(), Init::Pytorch, 1);
        let sgd = Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
        let rules = Rules::All(Rule::Sgd(sgd));
        let settings = StepSettings { rules, label_smoothing: 0.0, reduction: Reduction::Mean, seed: 1 };
        let learners: [Box<dyn Learner>; 2] = [
            Box::new(Step::new(&architecture, &weights).unwrap()),
            Box::new(Autograd::new(&architecture, &weights, &candle_core::Device::Cpu).unwrap()),
        ];
        assert!(check_batch_size(&infer(&architecture).unwrap(), 1).is_err());
        assert!(check_batch_size(&infer(&architecture).unwrap(), 2).is_ok());
        for mut learner in learners {
            let refused = learner.step(Batch { images: &[0.5; 16], labels: &[1] }, &settings).unwrap_err().to_string();
            let sentence = "layer `n`: Expected more than 1 value per channel when training, got input size [1, 3, 1, 1]";
            assert!(refused.contains(sentence), "{refused}");
            assert_eq!(learner.weights().unwrap(), weights);
            let images: Vec<f32> = (0..32).map(|pixel| pixel as f32).collect();
            learner.step(Batch { images: &images, labels: &[0, 1] }, &settings).unwrap();
        }
    }

    #[test]
    fn a_mixed_batch_costs_the_shares_of_both_labels_and_every_learner_takes_the_same_step() {
        let architecture = Architecture::from_toml(ONE_VALUE).unwrap();
        let weights = init::weights(&infer(&architecture).unwrap(), Init::Pytorch, 1);
        let sgd = Sgd { learning_rate: 0.5, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let settings =
            StepSettings { rules: Rules::All(Rule::Sgd(sgd)), label_smoothing: 0.1, reduction: Reduction::Mean, seed: 1 };
        let images: Vec<f32> = (0..48_u16).map(|pixel| f32::from(pixel * 37 % 41) / 41.0).collect();
        let learners = || -> [Box<dyn Learner>; 2] {
            [
                Box::new(Step::new(&architecture, &weights).unwrap()),
                Box::new(Autograd::new(&architecture, &weights, &candle_core::Device::Cpu).unwrap()),
            ]
        };
        let loss = |labels: &[u32]| learners()[0].step(Batch { images: &images, labels }, &settings).unwrap().loss;
        let expected = 0.7 * loss(&[0, 1, 1]) + 0.3 * loss(&[1, 1, 0]);
        let batch = Batch { images: &images, labels: &[0, 1, 1] };
        let mix = |labels, share| Some(Mix { labels, share });
        let moved = learners().map(|mut learner| {
            for wrong in [mix(&[1, 1][..], 0.7), mix(&[1, 1, 2], 0.7), mix(&[1, 1, 0], 1.5)] {
                learner.step_mixed(batch, wrong, &settings).unwrap_err();
            }
            let report = learner.step_mixed(batch, mix(&[1, 1, 0], 0.7), &settings).unwrap();
            assert!((report.loss - expected).abs() < 1e-6, "{report:?} {expected}");
            learner.weights().unwrap()
        });
        for ((a, b), from) in moved[0].iter().zip(moved[1].iter()).zip(weights.iter()) {
            assert!(a.values.iter().zip(&b.values).all(|(a, b)| (a - b).abs() < 1e-5), "{}: {a:?} {b:?}", a.name);
            assert!(a.name == "c.bias" || a.values != from.values, "{} moved", a.name);
        }
    }
}
