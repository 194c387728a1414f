//! What everything compiled from the layer list needs to know of it in the kernels' terms.
//!
//! It knows neither training nor evaluation, and no values: only which kernel sizes a layer has, who reads what, and in which
//! order numbers lie.

use crate::kernels::blocked::pool::Windows;
use crate::kernels::blocked::{Convolution, Maps};
use crate::kernels::lanes::WIDTH;
use crate::network::shape::{LayerShape, Shape, Source};
use crate::network::spec::{Architecture, Conv2d, LayerKind, Pool2d};

/// The order of a layer's input features, and so of its weights.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// As PyTorch has them.
    Plain(usize),
    /// Flattened from the blocked layout.
    Blocked(Maps),
}

impl Order {
    /// Features as PyTorch counts them.
    pub(crate) fn features(self) -> usize {
        match self {
            Self::Plain(features) => features,
            Self::Blocked(maps) => maps.channels * maps.plane(),
        }
    }

    /// Features with fillers.
    pub(crate) fn padded(self) -> usize {
        match self {
            Self::Plain(features) => features.next_multiple_of(WIDTH),
            Self::Blocked(maps) => maps.len(),
        }
    }

    /// The order of what enters the first layer after the feature maps `maps`: blocked where only a fully connected layer reads
    /// them, whose weights are permuted once then.
    pub(crate) fn of_head(architecture: &Architecture, layers: &[LayerShape], maps: Maps) -> Self {
        let flatten = maps_before_vectors(layers);
        let next = architecture.layers.get(flatten + 1).map(|layer| &layer.kind);
        if readers(layers, Source::Layer(flatten)) == 1 && matches!(next, Some(LayerKind::Linear(_))) {
            Self::Blocked(maps)
        } else {
            Self::Plain(maps.channels * maps.plane())
        }
    }

    /// Where PyTorch's feature lies.
    pub(crate) fn place(self, feature: usize) -> usize {
        match self {
            Self::Plain(_) => feature,
            Self::Blocked(maps) => {
                let (channel, pixel) = (feature / maps.plane(), feature % maps.plane());
                (channel / WIDTH * maps.plane() + pixel) * WIDTH + channel % WIDTH
            }
        }
    }
}

/// How many layers read `source`.
pub(crate) fn readers(layers: &[LayerShape], source: Source) -> usize {
    layers.iter().flat_map(|layer| &layer.sources).filter(|&&read| read == source).count()
}

/// How many layers come before the first that gives a vector.
pub(crate) fn maps_before_vectors(layers: &[LayerShape]) -> usize {
    layers.iter().position(|layer| matches!(layer.output, Shape::Vector(_))).unwrap_or(layers.len())
}

/// A convolution's sizes on `from`.
pub(crate) fn convolution(from: Maps, conv: &Conv2d) -> Convolution {
    Convolution::new(from, conv.out_channels, conv.kernel_size).window(conv.stride, conv.padding).grouped(conv.groups)
}

/// A pooling layer's windows on `from`; none of another kind is asked for.
pub(crate) fn windows(from: Maps, kind: &LayerKind) -> Windows {
    let sliding = |pool: &Pool2d| Windows::sliding(from, pool.kernel_size, pool.step(), pool.padding);
    match kind {
        LayerKind::MaxPool2d(pool) | LayerKind::AvgPool2d(pool) => sliding(pool),
        LayerKind::AdaptiveAvgPool2d(pool) => Windows::adaptive(from, pool.output_size),
        _ => sliding(&Pool2d { kernel_size: 1, stride: None, padding: 0 }),
    }
}
