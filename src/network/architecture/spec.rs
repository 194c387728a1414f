//! The layer list: what a network is, as data.
//!
//! Kinds, argument names and defaults are those of `torch.nn`. A list is read from TOML (an architecture file) or JSON (a
//! request, a checkpoint's metadata); both go through the same checks, and every message names the layer it is about.

use serde::{Deserialize, Serialize};

use super::written::{Item, Wrong, read as parse};
use crate::kernels::activation as kernels;
use crate::words::nearest;

/// A network: its input and its layers, in the order in which they are computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Architecture {
    /// What the network is called; a model's file has a name of its own.
    pub name: String,
    /// The image it takes.
    pub input: Input,
    /// Each layer takes the output of the one before it, or of the earlier one that its `from` names.
    pub layers: Vec<Layer>,
}

/// The image a network takes, channel × height × width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Colour channels: 3 for RGB.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
}

/// One named layer. The name is also its feature map's name and the prefix of its parameters (`conv1.weight`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Unique in the network.
    pub name: String,
    /// What it computes.
    #[serde(flatten)]
    pub kind: LayerKind,
    /// The earlier layer (or [`IMAGE`]) that is read in place of the one before; what `add` adds to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What `from` calls the image.
pub const IMAGE: &str = "input";

/// What a layer computes, with `torch.nn`'s arguments.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LayerKind {
    /// Cross-correlation with learned filters.
    Conv2d(Conv2d),
    /// Normalisation of each channel over batch and plane.
    BatchNorm2d(BatchNorm2d),
    /// The maximum of each window; a tie goes to the first in row order.
    MaxPool2d(Pool2d),
    /// The mean of each window; padding counts as zeros (`count_include_pad`).
    AvgPool2d(Pool2d),
    /// The mean over windows chosen so that the output is `output_size` × `output_size`.
    AdaptiveAvgPool2d(AdaptiveAvgPool2d),
    /// In training, zeroes elements with probability `p` and scales the rest by `1 / (1 - p)`.
    Dropout(Dropout),
    /// Channel × height × width as one vector, in this order.
    Flatten,
    /// `y = x·Wᵀ + b`.
    Linear(Linear),
    /// The sum of the layer before it and the one that `from` names: a residual connection.
    Add,
    /// A function of each element.
    #[serde(untagged)]
    Activation(Activation),
}

/// The activation functions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x · Φ(x)`, exact (by erf).
    Gelu,
    /// `x · sigmoid(x)`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `x` above 0, else a small share of it.
    LeakyRelu(LeakyRelu),
}

impl Activation {
    /// One of each.
    pub const ALL: [Self; 6] =
        [Self::Relu, Self::Gelu, Self::Silu, Self::Tanh, Self::Sigmoid, Self::LeakyRelu(LeakyRelu { negative_slope: 0.1 })];

    /// The kind as it is written in an architecture file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::LeakyRelu(_) => "leaky_relu",
        }
    }

    /// As the kernels know it.
    pub fn kernel(self) -> kernels::Activation {
        match self {
            Self::Relu => kernels::Activation::Relu,
            Self::Gelu => kernels::Activation::Gelu,
            Self::Silu => kernels::Activation::Silu,
            Self::Tanh => kernels::Activation::Tanh,
            Self::Sigmoid => kernels::Activation::Sigmoid,
            Self::LeakyRelu(leaky) => kernels::Activation::LeakyRelu(leaky.negative_slope),
        }
    }
}

/// Arguments of `leaky_relu`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakyRelu {
    /// What numbers below 0 are multiplied with.
    #[serde(default = "hundredth")]
    pub negative_slope: f64,
}

/// Arguments of `conv2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Filters, and so feature maps.
    pub out_channels: usize,
    /// Side of the square filter.
    pub kernel_size: usize,
    /// Step between windows.
    #[serde(default = "one")]
    pub stride: usize,
    /// Rows and columns of zeros added on each side.
    #[serde(default)]
    pub padding: usize,
    /// Pixels from one tap of the filter to the next.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Channels are split in this many groups that do not see each other.
    #[serde(default = "one")]
    pub groups: usize,
    /// Whether a learned constant is added to each channel.
    #[serde(default = "yes")]
    pub bias: bool,
}

/// Arguments of `batch_norm2d`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm2d {
    /// Added to the variance.
    #[serde(default = "norm_eps")]
    pub eps: f64,
    /// Weight of the newest batch in the running statistics.
    #[serde(default = "norm_momentum")]
    pub momentum: f64,
}

/// Arguments of `max_pool2d` and `avg_pool2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool2d {
    /// Side of the square window.
    pub kernel_size: usize,
    /// Step between windows; the window's side where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// Rows and columns added on each side; at most half the window.
    #[serde(default)]
    pub padding: usize,
}

impl Pool2d {
    /// The step between windows.
    pub fn step(&self) -> usize {
        self.stride.unwrap_or(self.kernel_size)
    }
}

/// Arguments of `adaptive_avg_pool2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveAvgPool2d {
    /// Height and width of the output.
    pub output_size: usize,
}

/// Arguments of `dropout`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Probability that an element is zeroed, 0 ≤ p < 1.
    #[serde(default = "half")]
    pub p: f64,
}

/// Arguments of `linear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Length of the output vector.
    pub out_features: usize,
    /// Whether a learned constant is added to each output.
    #[serde(default = "yes")]
    pub bias: bool,
}

/// Every kind, as it is written.
pub const KINDS: [&str; 15] = [
    "conv2d",
    "batch_norm2d",
    "relu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "leaky_relu",
    "max_pool2d",
    "avg_pool2d",
    "adaptive_avg_pool2d",
    "dropout",
    "flatten",
    "linear",
    "add",
];

impl LayerKind {
    /// The kind as it is written in an architecture file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "conv2d",
            Self::BatchNorm2d(_) => "batch_norm2d",
            Self::Activation(activation) => activation.name(),
            Self::MaxPool2d(_) => "max_pool2d",
            Self::AvgPool2d(_) => "avg_pool2d",
            Self::AdaptiveAvgPool2d(_) => "adaptive_avg_pool2d",
            Self::Dropout(_) => "dropout",
            Self::Flatten => "flatten",
            Self::Linear(_) => "linear",
            Self::Add => "add",
        }
    }
}

impl Architecture {
    /// Position of the layer called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.name == name)
    }
}

/// The layer of `kind` with `arguments`, or everything that is wrong with them.
pub(super) fn parse_kind(kind: &str, arguments: &[(String, Item)]) -> Result<LayerKind, Wrong> {
    Ok(match kind {
        "conv2d" => LayerKind::Conv2d(parse(arguments)?),
        "batch_norm2d" => LayerKind::BatchNorm2d(parse(arguments)?),
        "relu" => parse::<Nothing>(arguments).map(|_| LayerKind::Activation(Activation::Relu))?,
        "gelu" => parse::<Nothing>(arguments).map(|_| LayerKind::Activation(Activation::Gelu))?,
        "silu" => parse::<Nothing>(arguments).map(|_| LayerKind::Activation(Activation::Silu))?,
        "tanh" => parse::<Nothing>(arguments).map(|_| LayerKind::Activation(Activation::Tanh))?,
        "sigmoid" => parse::<Nothing>(arguments).map(|_| LayerKind::Activation(Activation::Sigmoid))?,
        "leaky_relu" => LayerKind::Activation(Activation::LeakyRelu(parse(arguments)?)),
        "max_pool2d" => LayerKind::MaxPool2d(parse(arguments)?),
        "avg_pool2d" => LayerKind::AvgPool2d(parse(arguments)?),
        "adaptive_avg_pool2d" => LayerKind::AdaptiveAvgPool2d(parse(arguments)?),
        "dropout" => LayerKind::Dropout(parse(arguments)?),
        "flatten" => parse::<Nothing>(arguments).map(|_| LayerKind::Flatten)?,
        "linear" => LayerKind::Linear(parse(arguments)?),
        "add" => parse::<Nothing>(arguments).map(|_| LayerKind::Add)?,
        other => {
            let hint = nearest(other, &KINDS).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            return Err(Wrong::new(format!("there is no layer kind `{other}`; {hint}The kinds are {}", KINDS.join(", "))));
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn one() -> usize {
    1
}
/// Files written before there was `dilation` do not name it, and equal content gives equal bytes.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_one(n: &usize) -> bool {
    *n == 1
}
fn yes() -> bool {
    true
}
fn hundredth() -> f64 {
    0.01
}
fn half() -> f64 {
    0.5
}
fn norm_eps() -> f64 {
    1e-5
}
fn norm_momentum() -> f64 {
    0.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Result<Layer, String> {
        let text = format!("name = 'x'\ninput = {{ channels = 3, height = 4, width = 4 }}\n[[layers]]\n{text}");
        Architecture::from_toml(&text).map(|mut network| network.layers.remove(0)).map_err(|e| e.to_string())
    }

    #[test]
    fn arguments_default_to_pytorchs() {
        let conv = layer("name = 'c'\nkind = 'conv2d'\nout_channels = 8\nkernel_size = 3").unwrap();
        let expected = Conv2d { out_channels: 8, kernel_size: 3, stride: 1, padding: 0, dilation: 1, groups: 1, bias: true };
        assert_eq!(conv.kind, LayerKind::Conv2d(expected));
        let pool = layer("name = 'p'\nkind = 'max_pool2d'\nkernel_size = 2").unwrap();
        assert!(matches!(pool.kind, LayerKind::MaxPool2d(pool) if pool.step() == 2));
    }

    #[test]
    fn a_wrong_layer_is_named_in_the_message() {
        let unknown = layer("name = 'c'\nkind = 'conv3d'").unwrap_err();
        assert!(unknown.contains("layer `c`") && unknown.contains("did you mean `conv2d`?"), "{unknown}");
        let argument = layer("name = 'r'\nkind = 'relu'\ninplace = true").unwrap_err();
        assert!(argument.contains("layer `r`") && argument.contains("inplace"), "{argument}");
        let missing = layer("name = 'l'\nkind = 'linear'").unwrap_err();
        assert!(missing.contains("layer `l`") && missing.contains("out_features"), "{missing}");
    }

    #[test]
    fn toml_and_json_round_trip_to_the_same_list() {
        let preset = crate::network::presets::named("tutorial").unwrap();
        let json = serde_json::to_string(&preset).unwrap();
        assert_eq!(serde_json::from_str::<Architecture>(&json).unwrap(), preset);
        assert_eq!(Architecture::from_toml(&toml::to_string(&preset).unwrap()).unwrap(), preset);
    }
}
