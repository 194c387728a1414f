//! In which order the numbers of a vector lie that was made of feature maps.

use super::Network;
use crate::kernels::blocked::Maps;
use crate::kernels::lanes::WIDTH;
use crate::network::shape::Source;
use crate::network::spec::LayerKind;

/// The order of a layer's input features, and so of its weights.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// As PyTorch has them.
    Plain(usize),
    /// Flattened from the blocked layout.
    Blocked(Maps),
}

impl Order {
    /// What the `flatten` at `at` makes of `maps`: blocked where only a fully connected layer reads it, whose weights are
    /// permuted once then.
    pub(super) fn of_flatten(network: Network<'_>, at: usize, maps: Maps) -> Self {
        let mut readers = network.layers.iter().enumerate().filter(|(_, layer)| layer.sources.contains(&Source::Layer(at)));
        match (readers.next(), readers.next()) {
            (Some((reader, _)), None) if matches!(network.architecture.layers[reader].kind, LayerKind::Linear(_)) => {
                Self::Blocked(maps)
            }
            _ => Self::Plain(maps.channels * maps.plane()),
        }
    }

    /// Features as PyTorch counts them.
    pub(super) fn features(self) -> usize {
        match self {
            Self::Plain(features) => features,
            Self::Blocked(maps) => maps.channels * maps.plane(),
        }
    }

    /// Features with fillers.
    pub(super) fn padded(self) -> usize {
        match self {
            Self::Plain(features) => features.next_multiple_of(WIDTH),
            Self::Blocked(maps) => maps.len(),
        }
    }

    /// PyTorch's feature that lies at `place`; none where that is a filler.
    pub(super) fn feature(self, place: usize) -> Option<usize> {
        let feature = match self {
            Self::Plain(_) => place,
            Self::Blocked(maps) => {
                let (block, lane) = (place / WIDTH, place % WIDTH);
                let (channel, pixel) = (block / maps.plane() * WIDTH + lane, block % maps.plane());
                if channel >= maps.channels {
                    return None;
                }
                channel * maps.plane() + pixel
            }
        };
        (feature < self.features()).then_some(feature)
    }

    /// Where PyTorch's feature lies.
    pub(super) fn place(self, feature: usize) -> usize {
        match self {
            Self::Plain(_) => feature,
            Self::Blocked(maps) => {
                let (channel, pixel) = (feature / maps.plane(), feature % maps.plane());
                (channel / WIDTH * maps.plane() + pixel) * WIDTH + channel % WIDTH
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_a_place_and_every_other_place_has_none() {
        let maps = Maps { channels: 19, height: 3, width: 5 };
        for order in [Order::Plain(37), Order::Blocked(maps)] {
            let mut found: Vec<usize> = (0..order.padded()).filter_map(|place| order.feature(place)).collect();
            assert!((0..order.features()).all(|feature| order.feature(order.place(feature)) == Some(feature)));
            found.sort_unstable();
            assert!(found.into_iter().eq(0..order.features()), "{order:?}");
        }
    }
}
