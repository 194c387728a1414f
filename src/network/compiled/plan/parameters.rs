//! A model's parameters in the orders the kernels read.

use std::sync::Arc;

use half::f16;

use crate::kernels::blocked::blocks;
use crate::kernels::dense::panels::{Layer, Panels, Weights as Numbers};
use crate::kernels::lanes::WIDTH;
use crate::kernels::{Buffer, Tier};
use crate::network::compiled::forward::{Affine, Parameters};
use crate::network::compiled::order::Order;
use crate::network::compiled::program::{ConvNode, NormNode, Program};
use crate::network::shape::{LayerShape, Role, Shape};
use crate::network::weights::Weights;

/// What a program's convolutions and batch norms are computed with.
#[derive(Debug)]
pub(super) struct Packed {
    convs: Vec<Filters>,
    norms: Vec<Running>,
}

/// A convolution's.
#[derive(Debug, Clone)]
struct Filters {
    /// Position of its layer.
    layer: usize,
    /// Position of the batch norm that is in them.
    norm: Option<usize>,
    packed: Arc<Buffer>,
    /// Filled up to a block.
    bias: Vec<f32>,
}

/// A batch norm's, by its running statistics.
#[derive(Debug)]
struct Running {
    means: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// A fully connected layer, packed.
#[derive(Debug)]
pub(super) struct Dense {
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

/// What programs are packed from: each layer's parameters by role, without those of fully connected layers, which are in
/// [`Dense`].
pub(super) struct Plain(Vec<Vec<(Role, Vec<f32>)>>);

impl Plain {
    pub(super) fn new(layers: &[LayerShape], weights: &Weights) -> Self {
        let of = |layer: &LayerShape| {
            let own = layer.parameters.iter().filter(|_| matches!(layer.output, Shape::Map { .. }));
            own.map(|spec| (spec.role, weights.values(spec).to_vec())).collect()
        };
        Self(layers.iter().map(of).collect())
    }

    /// A layer's values of one role; none where it has no such parameter.
    fn get(&self, layer: usize, role: Role) -> Option<&[f32]> {
        self.0[layer].iter().find(|(own, _)| *own == role).map(|(_, values)| &values[..])
    }

    /// Of a role that every layer of its kind has.
    fn own(&self, layer: usize, role: Role) -> &[f32] {
        self.get(layer, role).unwrap_or_else(|| unreachable!("layer {layer} has no {role:?}"))
    }

    /// Mean, scale and shift of a batch norm's channel in evaluation.
    fn affine(&self, norm: &NormNode, channel: usize) -> [f64; 3] {
        let of = |role| f64::from(self.own(norm.layer, role)[channel]);
        [of(Role::RunningMean), of(Role::Scale) / (of(Role::RunningVariance) + norm.eps).sqrt(), of(Role::Bias)]
    }
}

impl Packed {
    pub(super) fn new(program: &Program, plain: &Plain, tier: Tier) -> Self {
        Self::sharing(program, plain, tier, &[])
    }

    /// Packed for another program of the same network: what both multiply with is there once.
    pub(super) fn again(&self, program: &Program, plain: &Plain, tier: Tier) -> Self {
        Self::sharing(program, plain, tier, &self.convs)
    }

    fn sharing(program: &Program, plain: &Plain, tier: Tier, known: &[Filters]) -> Self {
        let convs = program.convs.iter().map(|node| {
            let known =
                known.iter().find(|known| (known.layer, known.norm) == (node.layer, node.norm.as_ref().map(|norm| norm.layer)));
            known.cloned().unwrap_or_else(|| Filters::new(node, plain, tier))
        });
        Self { convs: convs.collect(), norms: program.norms.iter().map(|norm| Running::new(norm, plain)).collect() }
    }
}

impl Parameters for Packed {
    fn filters(&self, conv: usize) -> (&[f32], &[f32]) {
        let Filters { packed, bias, .. } = &self.convs[conv];
        (packed, bias)
    }

    fn affine(&self, norm: usize) -> Affine<'_> {
        let Running { means, scale, shift } = &self.norms[norm];
        Affine { means, scale, shift }
    }
}

impl Filters {
    fn new(node: &ConvNode, plain: &Plain, tier: Tier) -> Self {
        let ConvNode { conv, layer, norm, .. } = node;
        let channels = conv.sizes().output.channels;
        let mut filters = plain.own(*layer, Role::Weight).to_vec();
        let mut bias = plain.get(*layer, Role::Bias).map_or_else(Vec::new, <[f32]>::to_vec);
        bias.resize(blocks(channels) * WIDTH, 0.0);
        if let Some(norm) = norm {
            let size = filters.len() / channels;
            for (channel, (filter, bias)) in filters.chunks_exact_mut(size).zip(&mut bias).enumerate() {
                let [mean, scale, shift] = plain.affine(norm, channel);
                for w in filter {
                    *w = (f64::from(*w) * scale) as f32;
                }
                *bias = ((f64::from(*bias) - mean) * scale + shift) as f32;
            }
        }
        let mut packed = Buffer::zeros(conv.packed_len());
        conv.pack(tier, &filters, &mut packed);
        Self { layer: *layer, norm: norm.as_ref().map(|norm| norm.layer), packed: Arc::new(packed), bias }
    }
}

impl Running {
    fn new(norm: &NormNode, plain: &Plain) -> Self {
        let [mut means, mut scale, mut shift] = [(); 3].map(|()| vec![0.0; norm.channels()]);
        for channel in 0..norm.maps.channels {
            let numbers = plain.affine(norm, channel);
            [means[channel], scale[channel], shift[channel]] = numbers.map(|x| x as f32);
        }
        Self { means, scale, shift }
    }
}

impl Dense {
    /// All fully connected layers of `program`, in its numbering.
    pub(super) fn all(layers: &[LayerShape], program: &Program, weights: &Weights) -> Vec<Self> {
        let dense = program.dense.iter().map(|node| {
            let [plain, bias] = [Role::Weight, Role::Bias].map(|role| weights.of(&layers[node.layer], role));
            let Some(plain) = plain else { unreachable!("a fully connected layer has weights") };
            Self::new(node.order, plain, bias)
        });
        dense.collect()
    }

    fn new(order: Order, plain: &[f32], bias: Option<&[f32]>) -> Self {
        let mut bias = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        let features = order.features();
        let panels = Panels { inputs: order.padded(), outputs: plain.len() / features };
        let mut weights = Buffer::zeros(panels.weights());
        for (output, row) in plain.chunks_exact(features).enumerate() {
            for (feature, &w) in row.iter().enumerate() {
                weights[panels.place(output, order.place(feature))] = w;
            }
        }
        bias.resize(panels.outputs.next_multiple_of(WIDTH), 0.0);
        Self { panels, weights: Kept::new(weights), bias }
    }

    pub(super) fn applied(&self, rectify: bool) -> Layer<'_> {
        let weights = match &self.weights {
            Kept::Full(weights) => Numbers::Full(weights),
            Kept::Half(weights) => Numbers::Half(weights),
        };
        Layer { weights, bias: &self.bias, rectify }
    }
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
