//! What can be wrong with a network, in sentences that say what to change.

use super::architecture::fault::Fault;
use super::shape::Shape;
use crate::picture::Dimensions;

/// Everything this module refuses. None of it depends on who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layer list cannot be read.
    #[error("the architecture cannot be read:{}", listed(.0))]
    Architecture(Vec<Fault>),
    /// A layer is called like another one, or in a way that cannot stand in a URL.
    #[error("layer {position}: the name `{name}` {reason}")]
    LayerName {
        /// Counted from 1.
        position: usize,
        /// As written.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A layer does not fit on the one before it.
    #[error("layer `{layer}` ({kind}) cannot take {shape} from `{source_layer}`: {reason}")]
    Shape {
        /// The layer that does not fit.
        layer: String,
        /// Its kind.
        kind: &'static str,
        /// Where its input comes from; `input` is the image.
        source_layer: String,
        /// What it was given.
        shape: Shape,
        /// What it needs.
        reason: String,
    },
    /// An argument is outside its range.
    #[error("layer `{layer}` ({kind}): {reason}")]
    Argument {
        /// The layer.
        layer: String,
        /// Its kind.
        kind: &'static str,
        /// The argument, its value and its range.
        reason: String,
    },
    /// The whole list is unusable.
    #[error("the network {0}")]
    Network(String),
    /// Parameters do not belong to the architecture.
    #[error("the parameters do not fit the architecture `{architecture}`:\n  {}", .faults.join("\n  "))]
    Parameters {
        /// Name of the architecture.
        architecture: String,
        /// Every tensor that is missing, left over or of another shape, one sentence each.
        faults: Vec<String>,
    },
    /// A name that is not there.
    #[error("there is no layer `{name}`; the layers are {}", .known.join(", "))]
    UnknownLayer {
        /// As asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A mask names a channel that is not there.
    #[error("layer `{layer}` has channels 0 to {last}, not {channel}")]
    UnknownChannel {
        /// The layer.
        layer: String,
        /// As asked for.
        channel: usize,
        /// Highest channel.
        last: usize,
    },
    /// A mask that cannot be read.
    #[error("the mask `{0}` cannot be read: write it as `conv1:3,7;conv2:0`")]
    Mask(String),
    /// Metadata contradicts itself.
    #[error("the model's metadata is wrong: {0}")]
    Metadata(String),
    /// Pixels of another shape than the network takes: the caller's mistake.
    #[error(
        "an image of {}×{}×{} is not the {}×{}×{} that the network takes",
        .given.height, .given.width, .given.channels.count(), .expected[0], .expected[1], .expected[2]
    )]
    Pixels {
        /// The image's.
        given: Dimensions,
        /// Height, width, channels.
        expected: [usize; 3],
    },
    /// The device cannot be had.
    #[error("{0}")]
    Device(String),
    /// candle failed. Its text may carry source paths: for the log only.
    #[error("the tensor library failed")]
    Tensor(#[from] candle_core::Error),
}

/// One fault in its sentence, several under it.
fn listed(faults: &[Fault]) -> String {
    let start = if faults.len() > 1 { "\n  " } else { " " };
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    format!("{start}{}", faults.join("\n  "))
}
