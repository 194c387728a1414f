//! What can be wrong with a network, in sentences that say what to change.

use super::architecture::fault::Fault;
use crate::picture::Dimensions;

/// Everything this module refuses. None of it depends on who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layer list cannot be read, or is no network: everything that is wrong with it.
    #[error("the network cannot be used{}", listed(.0))]
    Architecture(Vec<Fault>),
    /// It cannot be used so.
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
    let start = if let [_] = faults { ": ".into() } else { format!(", for {} faults:\n  ", faults.len()) };
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    format!("{start}{}", faults.join("\n  "))
}
