//! What follows from a layer list: shapes, parameters, cost. Plain data; [`super::infer`] makes it.

use serde::{Serialize, Serializer};

/// The shape of one image's activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Feature maps, stored channel × height × width.
    Map {
        /// Feature maps.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A plain vector.
    Vector(usize),
}

impl Shape {
    /// Number of values.
    pub fn elements(&self) -> usize {
        match *self {
            Self::Map { channels, height, width } => channels * height * width,
            Self::Vector(length) => length,
        }
    }

    /// What a mask or a tile counts: feature maps, or the vector's elements.
    pub fn channels(&self) -> usize {
        match *self {
            Self::Map { channels, .. } => channels,
            Self::Vector(length) => length,
        }
    }

    /// `[C, H, W]` or `[N]`.
    pub fn dims(&self) -> Vec<usize> {
        match *self {
            Self::Map { channels, height, width } => vec![channels, height, width],
            Self::Vector(length) => vec![length],
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Map { channels, height, width } => write!(f, "{channels}×{height}×{width}"),
            Self::Vector(length) => write!(f, "a vector of {length}"),
        }
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.dims().serialize(serializer)
    }
}

/// What a parameter does, which decides how it is initialised and updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Filters or a matrix: weight decay applies.
    Weight,
    /// Added constants, and batch norm's shift.
    Bias,
    /// Batch norm's scale.
    Scale,
    /// Batch norm's running mean: measured, not trained.
    RunningMean,
    /// Batch norm's running variance: measured, not trained.
    RunningVariance,
}

impl Role {
    /// Whether a gradient reaches it.
    pub fn trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVariance)
    }
}

/// One tensor a layer owns, named and shaped as in PyTorch's state dict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSpec {
    /// `conv1.weight`.
    pub name: String,
    /// `[out, in / groups, k, k]` for filters, `[out, in]` for a matrix, `[n]` otherwise.
    pub shape: Vec<usize>,
    /// What it does.
    pub role: Role,
}

/// Where a layer reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The image.
    Image,
    /// The output of the layer at this position.
    Layer(usize),
}

/// One layer, inferred.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerShape {
    /// The layer's name.
    pub name: String,
    /// What it reads: one source, two for `add`.
    pub sources: Vec<Source>,
    /// Shape of its (first) input.
    pub input: Shape,
    /// Shape of its output.
    pub output: Shape,
    /// What it owns, weight first.
    pub parameters: Vec<ParameterSpec>,
    /// Multiply-adds an image in evaluation; comparisons and additions alone count nothing.
    pub multiply_adds: u64,
}

impl LayerShape {
    /// Numbers the layer owns, running statistics included.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum()
    }
}
