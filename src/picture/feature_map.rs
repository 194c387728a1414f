//! What is drawn and measured: an activation, by which scale, and why that cannot be.

use std::str::FromStr;

use super::error::UnknownName;

/// Most pixels of a grid.
pub const MAX_PIXELS: u64 = 64 << 20;

/// One image's activation at one layer.
#[derive(Debug, Clone, Copy)]
pub struct FeatureMap<'a> {
    /// Channels; the length of a vector.
    pub channels: usize,
    /// Rows; 1 for a vector.
    pub height: usize,
    /// Columns; 1 for a vector.
    pub width: usize,
    /// channel × row × column.
    pub values: &'a [f32],
}

impl FeatureMap<'_> {
    /// Values a channel has, once it is known that all are there.
    pub(super) fn area(&self) -> Result<usize, Error> {
        let area = self.height * self.width;
        if area == 0 || self.channels == 0 || self.values.len() != self.channels * area {
            let Self { channels, height, width, values } = *self;
            return Err(Error::Values { shape: [channels, height, width], count: values.len() });
        }
        Ok(area)
    }
}

/// What the ends of the colours stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// One range for the whole layer: tiles can be compared.
    #[default]
    Layer,
    /// A range a channel, by the same rule.
    Channel,
    /// Each channel's own minimum to maximum in viridis: what the tutorial's `plt.imshow` shows.
    Tutorial,
}

impl FromStr for Scale {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "layer" => Ok(Self::Layer),
            "channel" => Ok(Self::Channel),
            "tutorial" => Ok(Self::Tutorial),
            _ => Err(UnknownName { what: "scale", name: name.into(), known: "layer, channel, tutorial" }),
        }
    }
}

/// Why a grid cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Number and shape disagree: the caller's mistake.
    #[error("{count} values are no feature map of {}×{}×{}", .shape[0], .shape[1], .shape[2])]
    Values {
        /// Channels, height, width.
        shape: [usize; 3],
        /// Values given.
        count: usize,
    },
    /// A channel that is not there.
    #[error("this layer has channels 0 to {last}, not {channel}")]
    Channel {
        /// As asked for.
        channel: usize,
        /// Highest one.
        last: usize,
    },
    /// More pixels than anyone can look at.
    #[error("the grid would have {width}×{height} pixels, more than {} million: use a smaller `zoom`, or one `channel`", MAX_PIXELS >> 20)]
    TooLarge {
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// The encoder failed.
    #[error("the PNG cannot be written")]
    Png(#[from] png::EncodingError),
}
