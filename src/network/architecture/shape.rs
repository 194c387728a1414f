//! Shape and cost inference: what each layer takes, gives, owns and costs, or why the list is not a network.

use serde::{Serialize, Serializer};

use crate::network::error::Error;
use crate::network::spec::{Architecture, Layer, LayerKind};

/// No activation, filter bank or list may be larger; far above anything useful, far below overflow.
const MAX_ELEMENTS: usize = 1 << 31;
const MAX_LAYERS: usize = 1000;
/// Side of a window at most: positions in it are counted in f32, which is exact up to 2²⁴.
const MAX_SIDE: usize = 4096;

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

/// Infers every layer of `architecture`, first to last, and checks that it ends in one score a class.
pub fn infer(architecture: &Architecture) -> Result<Vec<LayerShape>, Error> {
    check_names(architecture)?;
    let input = architecture.input;
    let image = Shape::Map { channels: input.channels, height: input.height, width: input.width };
    if size_of(&[input.channels, input.height, input.width]).is_none_or(|n| n == 0) {
        return Err(Error::Network(format!("takes images of {image}: each side must be at least 1")));
    }
    let mut layers: Vec<LayerShape> = Vec::with_capacity(architecture.layers.len());
    for layer in &architecture.layers {
        let inferred = infer_layer(layer, image, &layers)?;
        layers.push(inferred);
    }
    match layers.last().map(|last| last.output) {
        Some(Shape::Vector(classes)) if classes > 0 => Ok(layers),
        Some(shape) => Err(Error::Network(format!("ends in {shape}: end it with a vector of one score a class"))),
        None => Err(Error::Network("has no layers".into())),
    }
}

fn check_names(architecture: &Architecture) -> Result<(), Error> {
    if architecture.layers.len() > MAX_LAYERS {
        return Err(Error::Network(format!("has {} layers; at most {MAX_LAYERS} are allowed", architecture.layers.len())));
    }
    for (i, layer) in architecture.layers.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let reason = if layer.name.is_empty() || !layer.name.chars().all(plain) {
            "must be letters, digits, `_`, `-` or `.`"
        } else if layer.name == "input" {
            "is what the image is called; choose another"
        } else if architecture.layers[..i].iter().any(|earlier| earlier.name == layer.name) {
            "is taken by an earlier layer"
        } else {
            continue;
        };
        return Err(Error::LayerName { position: i + 1, name: layer.name.clone(), reason });
    }
    Ok(())
}

fn infer_layer(layer: &Layer, image: Shape, before: &[LayerShape]) -> Result<LayerShape, Error> {
    let (source, input) = before.last().map_or((Source::Image, image), |last| (Source::Layer(before.len() - 1), last.output));
    let mut sources = vec![source];
    if let LayerKind::Add(add) = &layer.kind {
        let from = before.iter().position(|earlier| earlier.name == add.from);
        let from = from.ok_or_else(|| argument(layer, format!("`from` names `{}`, which is not an earlier layer", add.from)))?;
        if before[from].output != input {
            let reason = format!("`{}` gives {}, and both must have one shape", add.from, before[from].output);
            return Err(misfit(layer, before, input, reason));
        }
        sources.push(Source::Layer(from));
    }
    let (output, parameters, multiply_adds) = output_of(layer, input, before)?;
    Ok(LayerShape { name: layer.name.clone(), sources, input, output, parameters, multiply_adds })
}

type Inferred = (Shape, Vec<ParameterSpec>, u64);

fn output_of(layer: &Layer, input: Shape, before: &[LayerShape]) -> Result<Inferred, Error> {
    let own = |suffix: &str, shape: Vec<usize>, role| ParameterSpec { name: format!("{}.{suffix}", layer.name), shape, role };
    let map = |what: &str| match input {
        Shape::Map { channels, height, width } => Ok((channels, height, width)),
        Shape::Vector(_) => Err(misfit(layer, before, input, format!("{what} works on feature maps; put it before `flatten`"))),
    };
    let elements = input.elements() as u64;
    Ok(match &layer.kind {
        LayerKind::Conv2d(conv) => {
            let (c, h, w) = map("a convolution")?;
            require(layer, conv.out_channels > 0, "`out_channels` must be at least 1")?;
            require(layer, conv.groups > 0, "`groups` must be at least 1")?;
            if c % conv.groups != 0 || conv.out_channels % conv.groups != 0 {
                let reason = format!("`groups` = {} must divide both {c} and `out_channels` = {}", conv.groups, conv.out_channels);
                return Err(misfit(layer, before, input, reason));
            }
            let window = Window { side: conv.kernel_size, stride: conv.stride, padding: conv.padding };
            let (height, width) = window.output(layer, before, (c, h, w))?;
            let filters = vec![conv.out_channels, c / conv.groups, conv.kernel_size, conv.kernel_size];
            let output = Shape::Map { channels: conv.out_channels, height, width };
            let per_pixel = size_of(&filters).ok_or_else(|| too_large(layer))?;
            let multiply_adds = (per_pixel as u64).checked_mul((height * width) as u64).ok_or_else(|| too_large(layer))?;
            let mut parameters = vec![own("weight", filters, Role::Weight)];
            if conv.bias {
                parameters.push(own("bias", vec![conv.out_channels], Role::Bias));
            }
            bounded(layer, output, parameters, multiply_adds)?
        }
        LayerKind::BatchNorm2d(norm) => {
            let (c, ..) = map("batch norm")?;
            require(layer, norm.eps.is_finite() && norm.eps > 0.0, "`eps` must be above 0")?;
            require(layer, (0.0..=1.0).contains(&norm.momentum), "`momentum` must be between 0 and 1")?;
            let parameters = vec![
                own("weight", vec![c], Role::Scale),
                own("bias", vec![c], Role::Bias),
                own("running_mean", vec![c], Role::RunningMean),
                own("running_var", vec![c], Role::RunningVariance),
            ];
            (input, parameters, elements)
        }
        LayerKind::Relu | LayerKind::Gelu | LayerKind::Silu | LayerKind::Add(_) => (input, vec![], 0),
        LayerKind::Dropout(dropout) => {
            require(layer, (0.0..1.0).contains(&dropout.p), "`p` must be at least 0 and below 1")?;
            (input, vec![], 0)
        }
        LayerKind::MaxPool2d(pool) | LayerKind::AvgPool2d(pool) => {
            let (c, h, w) = map("pooling")?;
            require(layer, pool.padding <= pool.kernel_size / 2, "`padding` must be at most half of `kernel_size`")?;
            let window = Window { side: pool.kernel_size, stride: pool.step(), padding: pool.padding };
            let (height, width) = window.output(layer, before, (c, h, w))?;
            (Shape::Map { channels: c, height, width }, vec![], 0)
        }
        LayerKind::AdaptiveAvgPool2d(pool) => {
            let (c, ..) = map("pooling")?;
            require(layer, pool.output_size > 0, "`output_size` must be at least 1")?;
            let output = Shape::Map { channels: c, height: pool.output_size, width: pool.output_size };
            bounded(layer, output, vec![], 0)?
        }
        LayerKind::Flatten => (Shape::Vector(input.elements()), vec![], 0),
        LayerKind::Linear(linear) => {
            let Shape::Vector(length) = input else {
                return Err(misfit(layer, before, input, "a linear layer takes a vector; put a `flatten` before it".into()));
            };
            require(layer, linear.out_features > 0, "`out_features` must be at least 1")?;
            let mut parameters = vec![own("weight", vec![linear.out_features, length], Role::Weight)];
            if linear.bias {
                parameters.push(own("bias", vec![linear.out_features], Role::Bias));
            }
            let multiply_adds = size_of(&[linear.out_features, length]).ok_or_else(|| too_large(layer))? as u64;
            bounded(layer, Shape::Vector(linear.out_features), parameters, multiply_adds)?
        }
    })
}

struct Window {
    side: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    /// Output height and width: `floor((n + 2·padding − side) / stride) + 1`.
    fn output(&self, layer: &Layer, before: &[LayerShape], (c, h, w): (usize, usize, usize)) -> Result<(usize, usize), Error> {
        let Self { side, stride, padding } = *self;
        require(layer, side > 0, "`kernel_size` must be at least 1")?;
        require(layer, stride > 0, "`stride` must be at least 1")?;
        require(layer, side <= MAX_SIDE, "`kernel_size` must be at most 4096")?;
        require(layer, side.max(stride).max(padding) < MAX_ELEMENTS, "an argument is far too large")?;
        if side > h + 2 * padding || side > w + 2 * padding {
            let given = Shape::Map { channels: c, height: h, width: w };
            let reason =
                format!("its {side}×{side} window is larger than the padded plane of {}×{}", h + 2 * padding, w + 2 * padding);
            return Err(misfit(layer, before, given, reason));
        }
        Ok(((h + 2 * padding - side) / stride + 1, (w + 2 * padding - side) / stride + 1))
    }
}

fn bounded(layer: &Layer, output: Shape, parameters: Vec<ParameterSpec>, multiply_adds: u64) -> Result<Inferred, Error> {
    let fits = |dims: &[usize]| size_of(dims).is_some();
    let fits = fits(&output.dims()) && parameters.iter().all(|parameter| fits(&parameter.shape));
    if fits { Ok((output, parameters, multiply_adds)) } else { Err(too_large(layer)) }
}

fn size_of(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |product, &side| product.checked_mul(side)).filter(|&n| n <= MAX_ELEMENTS)
}

fn too_large(layer: &Layer) -> Error {
    argument(layer, format!("it would hold more than {MAX_ELEMENTS} numbers"))
}

fn require(layer: &Layer, holds: bool, reason: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(argument(layer, reason.into())) }
}

fn argument(layer: &Layer, reason: String) -> Error {
    Error::Argument { layer: layer.name.clone(), kind: layer.kind.name(), reason }
}

fn misfit(layer: &Layer, before: &[LayerShape], shape: Shape, reason: String) -> Error {
    let source_layer = before.last().map_or_else(|| "input".to_owned(), |last| last.name.clone());
    Error::Shape { layer: layer.name.clone(), kind: layer.kind.name(), source_layer, shape, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(layers: &str) -> String {
        let text = format!("name = 'x'\ninput = {{ channels = 3, height = 9, width = 7 }}\n{layers}");
        infer(&Architecture::from_toml(&text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_misfit_names_the_layer_and_both_shapes() {
        let cases = [
            ("layers = [{ name = 'fc', kind = 'linear', out_features = 2 }]", "`fc` (linear) cannot take 3×9×7 from `input`"),
            (
                "layers = [{ name = 'a', kind = 'flatten' }, { name = 'b', kind = 'max_pool2d', kernel_size = 2 }]",
                "`b` (max_pool2d) cannot take a vector of 189 from `a`",
            ),
            (
                "layers = [{ name = 'a', kind = 'conv2d', out_channels = 4, kernel_size = 8 }]",
                "its 8×8 window is larger than the padded plane of 9×7",
            ),
            (
                "layers = [{ name = 'a', kind = 'conv2d', out_channels = 4, kernel_size = 3, groups = 2 }]",
                "`groups` = 2 must divide both 3 and `out_channels` = 4",
            ),
            (
                "layers = [{ name = 'a', kind = 'relu' }, { name = 'b', kind = 'max_pool2d', kernel_size = 2 }, { name = 'c', kind = 'add', from = 'a' }]",
                "`c` (add) cannot take 3×4×3 from `b`: `a` gives 3×9×7",
            ),
            ("layers = [{ name = 'a', kind = 'add', from = 'z' }]", "`from` names `z`, which is not an earlier layer"),
            ("layers = [{ name = 'a', kind = 'relu' }]", "ends in 3×9×7"),
            ("layers = []", "has no layers"),
            ("layers = [{ name = 'a', kind = 'relu' }, { name = 'a', kind = 'flatten' }]", "layer 2: the name `a` is taken"),
            ("layers = [{ name = 'a/b', kind = 'relu' }]", "must be letters"),
            (
                "layers = [{ name = 'a', kind = 'conv2d', out_channels = 1000000, kernel_size = 7, padding = 100000000 }]",
                "would hold more than",
            ),
        ];
        for (layers, expected) in cases {
            let message = fails(layers);
            assert!(message.contains(expected), "{message}");
        }
    }
}
