//! A network as its formulas, in f64: forward, and the gradient of every parameter.
//!
//! It interprets the layer list with [`crate::kernels::naive`] one number at a time and shares nothing with what it judges but the
//! sizes and the dropout masks. Slow on purpose.

use crate::kernels::blocked::{Convolution, Maps};
use crate::kernels::cross_entropy::Targets;
use crate::kernels::dropout::Mask;
use crate::kernels::naive::adaptive_avg_pool2d::{self, AdaptiveShape};
use crate::kernels::naive::batch_norm2d::{self, Norm, NormGradients, NormShape, Statistics};
use crate::kernels::naive::linear::{self, LinearShape};
use crate::kernels::naive::window::Pool2dShape;
use crate::kernels::naive::{activation, avg_pool2d, conv2d, cross_entropy, dropout, max_pool2d};
use crate::network::forward::Mode;
use crate::network::learner::dropout_seed;
use crate::network::shape::{LayerShape, Role, Shape, Source};
use crate::network::spec::{Conv2d, Pool2d};
use crate::network::{Architecture, LayerKind, Weights};

/// A network with its parameters.
pub(super) struct Truth<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) layers: &'a [LayerShape],
    pub(super) weights: &'a Weights,
}

/// What one layer gave to a batch.
#[derive(Default)]
struct Given {
    output: Vec<f64>,
    winners: Vec<u32>,
}

impl Truth<'_> {
    /// Every layer's output for a batch of images.
    pub(super) fn forward(&self, images: &[f64], mode: Mode) -> Vec<Vec<f64>> {
        self.run(images, mode).into_iter().map(|given| given.output).collect()
    }

    /// Mean cross-entropy, and the gradient of every trained parameter, in the layers' order.
    pub(super) fn gradients(&self, images: &[f64], labels: &[u32], seed: u64) -> (f64, Vec<Vec<f64>>) {
        let given = self.run(images, Mode::Training { seed });
        let Some(scores) = given.last().map(|last| &last.output) else { return (0.0, Vec::new()) };
        let classes = scores.len() / labels.len();
        let mut flowing: Vec<Vec<f64>> = given.iter().map(|given| vec![0.0; given.output.len()]).collect();
        let mut to_scores = vec![0.0; scores.len()];
        let measured =
            cross_entropy::cross_entropy(&Targets { labels, classes, smoothing: 0.0, mix: None }, scores, &mut to_scores);
        if let Some(last) = flowing.last_mut() {
            *last = to_scores;
        }
        let mut gradients: Vec<Vec<Vec<f64>>> = vec![Vec::new(); self.layers.len()];
        for at in (0..self.layers.len()).rev() {
            let place = Place { truth: self, at, batch: labels.len(), seed };
            let inputs: Vec<&[f64]> = self.layers[at].sources.iter().map(|&source| read(source, images, &given)).collect();
            let (to_inputs, own) = place.backward(&inputs, &given[at].winners, &flowing[at]);
            gradients[at] = own;
            for (source, to_input) in self.layers[at].sources.iter().zip(to_inputs) {
                if let Source::Layer(earlier) = *source {
                    flowing[earlier].iter_mut().zip(to_input).for_each(|(sum, x)| *sum += x);
                }
            }
        }
        (measured.loss, gradients.into_iter().flatten().collect())
    }

    fn run(&self, images: &[f64], mode: Mode) -> Vec<Given> {
        let input = self.architecture.input;
        let batch = images.len() / (input.channels * input.height * input.width);
        let mut given: Vec<Given> = Vec::with_capacity(self.layers.len());
        for (at, layer) in self.layers.iter().enumerate() {
            let inputs: Vec<&[f64]> = layer.sources.iter().map(|&source| read(source, images, &given)).collect();
            let seed = if let Mode::Training { seed } = mode { seed } else { 0 };
            let result = Place { truth: self, at, batch, seed }.forward(&inputs, mode);
            given.push(result);
        }
        given
    }
}

fn read<'a>(source: Source, images: &'a [f64], given: &'a [Given]) -> &'a [f64] {
    match source {
        Source::Image => images,
        Source::Layer(earlier) => &given[earlier].output,
    }
}

/// One layer, computing a batch.
struct Place<'a> {
    truth: &'a Truth<'a>,
    at: usize,
    batch: usize,
    seed: u64,
}

impl Place<'_> {
    fn layer(&self) -> &LayerShape {
        &self.truth.layers[self.at]
    }

    fn kind(&self) -> &LayerKind {
        &self.truth.architecture.layers[self.at].kind
    }

    fn parameter(&self, role: Role) -> Option<Vec<f64>> {
        let own = self.truth.weights.of(self.layer(), role)?;
        Some(own.iter().map(|&x| f64::from(x)).collect())
    }

    /// Of a role that every layer of its kind has.
    fn own(&self, role: Role) -> Vec<f64> {
        self.parameter(role).unwrap_or_else(|| unreachable!("`{}` has no {role:?}", self.layer().name))
    }

    /// The layer's input as feature maps; a vector's is one pixel a feature.
    fn maps(&self) -> Maps {
        match self.layer().input {
            Shape::Map { channels, height, width } => Maps { channels, height, width },
            Shape::Vector(channels) => Maps { channels, height: 1, width: 1 },
        }
    }

    fn convolution(&self, conv: &Conv2d) -> Convolution {
        let sizes = Convolution::new(self.maps(), conv.out_channels, conv.kernel_size);
        sizes.window(conv.stride, conv.padding).dilated(conv.dilation).grouped(conv.groups)
    }

    fn pool(&self, pool: &Pool2d) -> Pool2dShape {
        let Maps { channels, height, width } = self.maps();
        let (kernel, stride, padding) = (pool.kernel_size, pool.step(), pool.padding);
        Pool2dShape { planes: self.batch * channels, height, width, kernel, stride, padding }
    }

    fn linear(&self) -> LinearShape {
        let (inputs, outputs) = (self.layer().input.elements(), self.layer().output.elements());
        LinearShape { batch: self.batch, inputs, outputs }
    }

    fn norm(&self) -> NormShape {
        let maps = self.maps();
        NormShape { batch: self.batch, channels: maps.channels, plane: maps.plane() }
    }

    fn mask(&self, p: f64) -> Mask {
        Mask::new(p, dropout_seed(self.seed, self.at))
    }

    fn forward(&self, inputs: &[&[f64]], mode: Mode) -> Given {
        let x = inputs[0];
        let mut y = vec![0.0; self.batch * self.layer().output.elements()];
        let mut winners = Vec::new();
        let bias = self.parameter(Role::Bias);
        let bias = bias.as_deref();
        match self.kind() {
            LayerKind::Conv2d(conv) => conv2d::forward(&self.convolution(conv), x, &self.own(Role::Weight), bias, &mut y),
            LayerKind::Linear(_) => linear::forward(&self.linear(), x, &self.own(Role::Weight), bias, &mut y),
            LayerKind::BatchNorm2d(norm) => {
                let of_batch = mode != Mode::Evaluation;
                let statistics = if of_batch {
                    Statistics::of(&self.norm(), x)
                } else {
                    Statistics { mean: self.own(Role::RunningMean), variance: self.own(Role::RunningVariance) }
                };
                let (scale, shift) = (self.own(Role::Scale), self.own(Role::Bias));
                let norm = Norm { shape: self.norm(), statistics: &statistics, of_batch, scale: &scale, eps: norm.eps };
                batch_norm2d::forward(&norm, &shift, x, &mut y);
            }
            LayerKind::Activation(function) => activation::forward(function.kernel(), x, &mut y),
            LayerKind::MaxPool2d(pool) => {
                winners = vec![0; y.len()];
                max_pool2d::forward(&self.pool(pool), x, &mut y, &mut winners);
            }
            LayerKind::AvgPool2d(pool) => avg_pool2d::forward(&self.pool(pool), x, &mut y),
            LayerKind::AdaptiveAvgPool2d(pool) => adaptive_avg_pool2d::forward(&self.adaptive(pool.output_size), x, &mut y),
            LayerKind::Dropout(layer) if mode != Mode::Evaluation => dropout::apply(&self.mask(layer.p), x, &mut y),
            LayerKind::Add => y.iter_mut().zip(x.iter().zip(inputs[1])).for_each(|(y, (a, b))| *y = a + b),
            LayerKind::Flatten | LayerKind::Dropout(_) => y.copy_from_slice(x),
        }
        Given { output: y, winners }
    }

    fn adaptive(&self, output: usize) -> AdaptiveShape {
        let Maps { height, width, .. } = self.maps();
        AdaptiveShape { height, width, output }
    }

    /// Gradients of the inputs, and of the trained parameters.
    fn backward(&self, inputs: &[&[f64]], winners: &[u32], dy: &[f64]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let x = inputs[0];
        let mut dx = vec![0.0; x.len()];
        let mut own: Vec<Vec<f64>> = self
            .layer()
            .parameters
            .iter()
            .filter(|spec| spec.role.trained())
            .map(|spec| vec![0.0; spec.shape.iter().product()])
            .collect();
        match self.kind() {
            LayerKind::Conv2d(conv) => {
                let sizes = self.convolution(conv);
                conv2d::backward_data(&sizes, &self.own(Role::Weight), dy, &mut dx);
                conv2d::backward_weight(&sizes, x, dy, &mut own[0]);
                own.iter_mut().skip(1).for_each(|bias| conv2d::backward_bias(&sizes, dy, bias));
            }
            LayerKind::Linear(_) => {
                linear::backward_data(&self.linear(), &self.own(Role::Weight), dy, &mut dx);
                linear::backward_weight(&self.linear(), x, dy, &mut own[0]);
                own.iter_mut().skip(1).for_each(|bias| linear::backward_bias(&self.linear(), dy, bias));
            }
            LayerKind::BatchNorm2d(layer) => {
                let (statistics, scale) = (Statistics::of(&self.norm(), x), self.own(Role::Scale));
                let norm = Norm { shape: self.norm(), statistics: &statistics, of_batch: true, scale: &scale, eps: layer.eps };
                if let [scale, shift] = &mut own[..] {
                    batch_norm2d::backward(&norm, x, dy, &mut NormGradients { input: &mut dx, scale, shift });
                }
            }
            LayerKind::Activation(function) => activation::backward(function.kernel(), x, dy, &mut dx),
            LayerKind::MaxPool2d(pool) => max_pool2d::backward(&self.pool(pool), winners, dy, &mut dx),
            LayerKind::AvgPool2d(pool) => avg_pool2d::backward(&self.pool(pool), dy, &mut dx),
            LayerKind::AdaptiveAvgPool2d(pool) => adaptive_avg_pool2d::backward(&self.adaptive(pool.output_size), dy, &mut dx),
            // A mask drops the same gradients as numbers, and scales both alike.
            LayerKind::Dropout(layer) => dropout::apply(&self.mask(layer.p), dy, &mut dx),
            LayerKind::Flatten | LayerKind::Add => dx.copy_from_slice(dy),
        }
        let second = (inputs.len() > 1).then(|| dy.to_vec());
        (std::iter::once(dx).chain(second).collect(), own)
    }
}
