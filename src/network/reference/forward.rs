//! candle's reading of the layer list: the reference that everything compiled from the list is held to, the way to look at any
//! layer, and what runs on CUDA.

use candle_core::{D, Device, Tensor};

use crate::network::error::Error;
use crate::network::learner::dropout_seed;
use crate::network::probe::Probe;
use crate::network::shape::{LayerShape, Shape, Source};
use crate::network::spec::{Architecture, Conv2d, LayerKind, Pool2d};
use crate::network::weights::Weights;
use crate::ops;

/// How layers behave that tell training from evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No dropout; batch norm by its running statistics.
    Evaluation,
    /// Dropout by masks from this seed; batch norm by the batch's own statistics.
    Training {
        /// Different in every step.
        seed: u64,
    },
}

/// A layer list with its parameters as tensors.
pub struct Forward {
    layers: Vec<Placed>,
    input: Shape,
}

struct Placed {
    kind: LayerKind,
    shape: LayerShape,
    /// As [`LayerShape::parameters`] lists them.
    parameters: Vec<Tensor>,
    /// Position of the last layer that reads this one's output.
    last_reader: usize,
}

/// What one pass gives.
pub struct Pass {
    /// Scores before softmax, image × class.
    pub scores: Tensor,
    /// The probe's layers, in its order.
    pub taps: Vec<Tensor>,
    /// Batch norm layers' own statistics in training.
    pub statistics: Vec<BatchStatistics>,
}

/// What a batch norm layer measured on one batch.
pub struct BatchStatistics {
    /// Position of the layer.
    pub layer: usize,
    /// Mean of each channel.
    pub mean: Tensor,
    /// Unbiased variance of each channel.
    pub variance: Tensor,
}

impl Forward {
    /// Places `parameters`, one list a layer in the order of [`LayerShape::parameters`].
    pub fn new(architecture: &Architecture, layers: &[LayerShape], parameters: Vec<Vec<Tensor>>) -> Self {
        let input = architecture.input;
        let input = Shape::Map { channels: input.channels, height: input.height, width: input.width };
        let mut placed: Vec<Placed> = Vec::with_capacity(layers.len());
        for (position, ((layer, shape), parameters)) in architecture.layers.iter().zip(layers).zip(parameters).enumerate() {
            for source in &shape.sources {
                if let Source::Layer(read) = *source {
                    placed[read].last_reader = position;
                }
            }
            placed.push(Placed { kind: layer.kind.clone(), shape: shape.clone(), parameters, last_reader: position });
        }
        Self { layers: placed, input }
    }

    /// Runs `images` (image × channel × height × width) through every layer.
    pub fn run(&self, images: &Tensor, mode: Mode, probe: &Probe) -> Result<Pass, Error> {
        let mut outputs: Vec<Option<Tensor>> = vec![None; self.layers.len()];
        let mut pass = Pass { scores: images.clone(), taps: Vec::with_capacity(probe.taps.len()), statistics: Vec::new() };
        for (position, layer) in self.layers.iter().enumerate() {
            let read = |source: &Source| match *source {
                Source::Image => Some(images.clone()),
                Source::Layer(earlier) => outputs[earlier].clone(),
            };
            // Inference puts every source before its reader, and outputs live until their last reader.
            let inputs: Vec<Tensor> = layer.shape.sources.iter().filter_map(read).collect();
            let mut output = layer.compute(position, &inputs, mode, &mut pass.statistics)?;
            if probe.masks.iter().chain(&probe.each).any(|mask| mask.layer == position) {
                output = masked(&output, layer.shape.output, |image| probe.masks_of(position, image))?;
            }
            if probe.taps.contains(&position) {
                pass.taps.push(output.clone());
            }
            for (kept, owner) in outputs.iter_mut().zip(&self.layers) {
                if owner.last_reader <= position {
                    *kept = None;
                }
            }
            pass.scores = output.clone();
            outputs[position] = Some(output);
        }
        Ok(pass)
    }

    /// Plain numbers as a batch of images.
    pub fn images(&self, values: &[f32], device: &Device) -> Result<Tensor, Error> {
        let mut dims = vec![values.len() / self.input.elements()];
        dims.extend(self.input.dims());
        Ok(Tensor::from_slice(values, dims, device)?)
    }
}

impl Placed {
    fn compute(
        &self,
        position: usize,
        inputs: &[Tensor],
        mode: Mode,
        statistics: &mut Vec<BatchStatistics>,
    ) -> Result<Tensor, Error> {
        let x = &inputs[0];
        let parameter = |at: usize| &self.parameters[at];
        Ok(match &self.kind {
            LayerKind::Conv2d(conv) => ops::conv2d(x, parameter(0), self.parameters.get(1), convolution(conv))?,
            LayerKind::Linear(_) => ops::linear(x, parameter(0), self.parameters.get(1))?,
            LayerKind::BatchNorm2d(norm) => match mode {
                Mode::Evaluation => ops::batch_norm2d_eval(x, [0, 1, 2, 3].map(parameter), norm.eps)?,
                Mode::Training { .. } => {
                    let (y, mean, variance) = ops::batch_norm2d(x, parameter(0), parameter(1), norm.eps)?;
                    statistics.push(BatchStatistics { layer: position, mean, variance });
                    y
                }
            },
            LayerKind::Activation(activation) => ops::activate(x, activation.kernel())?,
            LayerKind::MaxPool2d(pool) => ops::max_pool2d(x, windows(pool))?,
            LayerKind::AvgPool2d(pool) => ops::avg_pool2d(x, windows(pool))?,
            LayerKind::AdaptiveAvgPool2d(pool) => ops::adaptive_avg_pool2d(x, pool.output_size)?,
            LayerKind::Dropout(dropout) => match mode {
                Mode::Evaluation => x.clone(),
                Mode::Training { seed } => ops::dropout(x, dropout.p, dropout_seed(seed, position))?,
            },
            LayerKind::Flatten => x.flatten_from(1)?,
            LayerKind::Add => (x + &inputs[1])?,
        })
    }
}

fn convolution(conv: &Conv2d) -> ops::Conv2d {
    ops::Conv2d { stride: conv.stride, padding: conv.padding, dilation: conv.dilation, groups: conv.groups }
}

fn windows(pool: &Pool2d) -> ops::Pool2d {
    ops::Pool2d { kernel_size: pool.kernel_size, stride: pool.step(), padding: pool.padding }
}

/// `output` with the channels set to 0 that `off` names of each image.
fn masked<I: Iterator<Item = usize>>(output: &Tensor, shape: Shape, off: impl Fn(usize) -> I) -> Result<Tensor, Error> {
    let (images, channels) = (output.dim(0)?, shape.channels());
    let mut keep = vec![1f32; images * channels];
    for image in 0..images {
        off(image).for_each(|channel| keep[image * channels + channel] = 0.0);
    }
    let mut dims = vec![1; output.rank()];
    dims[..2].copy_from_slice(&[images, channels]);
    let keep = Tensor::from_vec(keep, dims, output.device())?;
    Ok(output.broadcast_mul(&keep)?)
}

/// Softmax over classes.
pub fn probabilities(scores: &Tensor) -> Result<Tensor, Error> {
    Ok(candle_nn::ops::softmax(scores, D::Minus1)?)
}

/// `weights` as tensors on `device`, one list a layer.
pub fn tensors(layers: &[LayerShape], weights: &Weights, device: &Device) -> Result<Vec<Vec<Tensor>>, Error> {
    let mut parameters = weights.iter();
    layers
        .iter()
        .map(|layer| {
            parameters
                .by_ref()
                .take(layer.parameters.len())
                .map(|parameter| Ok(Tensor::from_slice(&parameter.values, parameter.shape.as_slice(), device)?))
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Mask, Parameter, infer, random, weights::specs};

    fn placed(architecture: &Architecture) -> (Forward, Tensor) {
        let layers = infer(architecture).unwrap();
        let values = |n: usize| (0..n).map(|i| ((i * 7919 + 13) % 101) as f32 / 101.0 - 0.45).collect::<Vec<f32>>();
        let entries = specs(&layers)
            .map(|spec| {
                let mut values = values(spec.shape.iter().product());
                if spec.name.ends_with("running_var") {
                    values = values.iter().map(|v| v + 1.0).collect();
                }
                Parameter { name: spec.name.clone(), shape: spec.shape.clone(), values }
            })
            .collect();
        let weights = Weights::fit("test", &layers, entries).unwrap();
        let network = Forward::new(architecture, &layers, tensors(&layers, &weights, &Device::Cpu).unwrap());
        let input = architecture.input;
        let images = network.images(&values(2 * input.channels * input.height * input.width), &Device::Cpu).unwrap();
        (network, images)
    }

    #[test]
    fn a_tap_is_the_output_of_the_network_that_ends_there() {
        for seed in 0..40 {
            let architecture = random::architecture(seed);
            let (network, images) = placed(&architecture);
            let taps: Vec<usize> = (0..architecture.layers.len()).collect();
            let pass = network.run(&images, Mode::Evaluation, &Probe { taps, ..Probe::default() }).unwrap();
            for (position, tap) in pass.taps.iter().enumerate() {
                let mut expected = vec![2];
                expected.extend(infer(&architecture).unwrap()[position].output.dims());
                assert_eq!(tap.dims(), expected, "seed {seed}, layer {position}");
                let shorter =
                    Forward { layers: network.layers[..=position].iter().map(Placed::copy).collect(), input: network.input };
                let alone = shorter.run(&images, Mode::Evaluation, &Probe::default()).unwrap().scores;
                let same = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(same(tap), same(&alone), "seed {seed}, layer {position}");
            }
        }
    }

    #[test]
    fn a_masked_channel_is_zero_and_its_neighbours_are_not_touched() {
        let (network, images) = placed(&crate::network::presets::named("tutorial").unwrap());
        let free = Probe { taps: vec![0], ..Probe::default() };
        let masked = Probe { taps: vec![0], masks: vec![Mask { layer: 0, channels: vec![3, 7] }], ..Probe::default() };
        let run = |probe| network.run(&images, Mode::Evaluation, probe).unwrap();
        let (free, masked) = (run(&free), run(&masked));
        for channel in 0..32 {
            let plane = |pass: &Pass| pass.taps[0].narrow(1, channel, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let expected = if [3, 7].contains(&channel) { vec![0.0; 2048] } else { plane(&free) };
            assert_eq!(plane(&masked), expected);
        }
        assert_ne!(free.scores.to_vec2::<f32>().unwrap(), masked.scores.to_vec2::<f32>().unwrap());
    }

    impl Placed {
        fn copy(&self) -> Self {
            let Self { kind, shape, parameters, last_reader } = self;
            Self { kind: kind.clone(), shape: shape.clone(), parameters: parameters.clone(), last_reader: *last_reader }
        }
    }
}
