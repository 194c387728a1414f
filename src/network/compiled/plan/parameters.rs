//! Parameters in the orders the kernels read.

use std::sync::Arc;

use half::f16;

use crate::kernels::blocked::conv::{Applied, Conv};
use crate::kernels::blocked::part::Finish;
use crate::kernels::blocked::{Maps, blocks};
use crate::kernels::dense::panels::{Layer, Panels, Weights as Packed};
use crate::kernels::lanes::WIDTH;
use crate::kernels::{Buffer, Tier};
use crate::network::compiled::lowering::{Order, maps_before_vectors};
use crate::network::shape::{LayerShape, Shape};
use crate::network::spec::{Architecture, LayerKind};
use crate::network::weights::Weights;

/// What programs are compiled from.
#[derive(Debug)]
pub(super) struct Parameters {
    /// Of each layer before the first vector, in the state dict's order; programs pack them.
    pub(super) maps: Vec<Vec<Vec<f32>>>,
    /// Fully connected layers, packed.
    pub(super) dense: Vec<DenseLayer>,
}

/// A fully connected layer.
#[derive(Debug)]
pub(super) struct DenseLayer {
    pub(super) layer: usize,
    pub(super) panels: Panels,
    weights: Kept,
    bias: Vec<f32>,
}

/// Weights in the smallest precision that holds each of them exactly: they are read faster than they are multiplied.
#[derive(Debug)]
enum Kept {
    Full(Buffer),
    Half(Buffer<f16>),
}

impl Kept {
    fn new(weights: Buffer) -> Self {
        let exact = |w: &f32| f16::from_f32(*w).to_f32().to_bits() == w.to_bits();
        if weights.iter().all(exact) {
            Self::Half(weights.iter().copied().map(f16::from_f32).collect())
        } else {
            Self::Full(weights)
        }
    }
}

/// A convolution, ready to run.
#[derive(Debug)]
pub(super) struct ConvLayer {
    pub(super) conv: Conv,
    pub(super) layer: usize,
    /// Whether a batch norm is in its filters.
    pub(super) folded: bool,
    pub(super) packed: Arc<Buffer>,
    pub(super) bias: Vec<f32>,
    pub(super) finish: Finish,
}

/// A batch norm as [`crate::kernels::blocked::norm::Apply`] takes it; each filled up to a block.
#[derive(Debug)]
pub(super) struct NormLayer {
    pub(super) means: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl Parameters {
    pub(super) fn new((architecture, layers): (&Architecture, &[LayerShape]), weights: &Weights) -> Self {
        let count = maps_before_vectors(layers);
        let of = |layer: &LayerShape| {
            let values = |name: &str| weights.get(name).map_or_else(Vec::new, |parameter| parameter.values.clone());
            layer.parameters.iter().map(|spec| values(&spec.name)).collect::<Vec<_>>()
        };
        let mut exit =
            Maps { channels: architecture.input.channels, height: architecture.input.height, width: architecture.input.width };
        if let Some(Shape::Map { channels, height, width }) = count.checked_sub(1).map(|last| layers[last].output) {
            exit = Maps { channels, height, width };
        }
        let mut dense = Vec::new();
        for (at, (layer, shape)) in architecture.layers.iter().zip(layers).enumerate().skip(count) {
            if matches!(layer.kind, LayerKind::Linear(_)) {
                let order =
                    if at == count + 1 { Order::of_head(architecture, layers, exit) } else { Order::Plain(shape.input.elements()) };
                dense.push(DenseLayer::new(at, order, of(shape)));
            }
        }
        Self { maps: layers[..count].iter().map(of).collect(), dense }
    }
}

impl DenseLayer {
    fn new(layer: usize, order: Order, parameters: Vec<Vec<f32>>) -> Self {
        let mut parameters = parameters.into_iter();
        let (plain, mut bias) = (parameters.next().unwrap_or_default(), parameters.next().unwrap_or_default());
        let features = order.features();
        let panels = Panels { inputs: order.padded(), outputs: plain.len() / features };
        let mut weights = Buffer::zeros(panels.weights());
        for (output, row) in plain.chunks_exact(features).enumerate() {
            for (feature, &w) in row.iter().enumerate() {
                weights[panels.place(output, order.place(feature))] = w;
            }
        }
        bias.resize(panels.outputs.next_multiple_of(WIDTH), 0.0);
        Self { layer, panels, weights: Kept::new(weights), bias }
    }

    pub(super) fn applied(&self, rectify: bool) -> Layer<'_> {
        let weights = match &self.weights {
            Kept::Full(weights) => Packed::Full(weights),
            Kept::Half(weights) => Packed::Half(weights),
        };
        Layer { weights, bias: &self.bias, rectify }
    }
}

impl ConvLayer {
    /// From filters and a bias; `norm` are the parameters of a batch norm to be folded in, and its eps.
    pub(super) fn new((conv, layer): (Conv, usize), tier: Tier, parameters: &[Vec<f32>], norm: Option<(&[Vec<f32>], f64)>) -> Self {
        let channels = conv.sizes().output.channels;
        let mut filters = parameters.first().cloned().unwrap_or_default();
        let mut bias = parameters.get(1).cloned().unwrap_or_default();
        bias.resize(blocks(channels) * WIDTH, 0.0);
        if let Some((norm, eps)) = norm {
            let size = filters.len() / channels;
            for (channel, (filter, bias)) in filters.chunks_exact_mut(size).zip(&mut bias).enumerate() {
                let [mean, scale, shift] = affine(norm, eps, channel);
                for w in filter {
                    *w = (f64::from(*w) * scale) as f32;
                }
                *bias = ((f64::from(*bias) - mean) * scale + shift) as f32;
            }
        }
        let mut packed = Buffer::zeros(conv.packed_len());
        conv.pack(tier, &filters, &mut packed);
        Self { conv, layer, folded: norm.is_some(), packed: Arc::new(packed), bias, finish: Finish::default() }
    }

    /// The same convolution, with nothing done to its result.
    pub(super) fn unfinished(&self) -> Self {
        let (conv, packed, bias) = (self.conv.clone(), Arc::clone(&self.packed), self.bias.clone());
        Self { conv, layer: self.layer, folded: self.folded, packed, bias, finish: Finish::default() }
    }

    pub(super) fn applied(&self) -> Applied<'_> {
        Applied { filters: &self.packed, bias: &self.bias, finish: self.finish }
    }
}

impl NormLayer {
    pub(super) fn new(channels: usize, parameters: &[Vec<f32>], eps: f64) -> Self {
        let [mut means, mut scale, mut shift] = [(); 3].map(|()| vec![0.0; blocks(channels) * WIDTH]);
        for channel in 0..channels {
            let numbers = affine(parameters, eps, channel);
            [means[channel], scale[channel], shift[channel]] = numbers.map(|x| x as f32);
        }
        Self { means, scale, shift }
    }
}

/// Mean, scale and shift of a batch norm's channel in evaluation. Parameters are weight, bias, running mean, running variance.
fn affine(parameters: &[Vec<f32>], eps: f64, channel: usize) -> [f64; 3] {
    let of = |at: usize| parameters.get(at).map_or(0.0, |values| f64::from(values[channel]));
    [of(2), of(0) / (of(3) + eps).sqrt(), of(1)]
}
