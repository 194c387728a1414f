//! Shape and cost inference: what each layer takes, gives, owns and costs, or why the list is not a network.
//!
//! Everything compiled from a list relies on what is refused here: names, sources, shapes that fit, sizes that cannot wrap.

use super::shape::{LayerShape, ParameterSpec, Role, Shape, Source};
use super::spec::{Architecture, IMAGE, Layer, LayerKind};
use crate::kernels::lanes::WIDTH;
use crate::network::error::Error;
use crate::words::nearest;

/// No activation (padding counted), filter bank or list may be larger: a gigabyte of numbers, far above anything useful, and so
/// far below overflow that no length made of it can wrap.
const MAX_ELEMENTS: usize = 1 << 28;
const MAX_LAYERS: usize = 1000;
/// Side of a window at most, and step between two: positions are counted in f32, which is exact up to 2²⁴.
const MAX_SIDE: usize = 4096;

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
        let inferred = Placed { layer, image, before: &layers }.infer()?;
        layers.push(inferred);
    }
    check_readers(&layers)?;
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

/// Layers whose output nobody reads would be computed, and trained, for nothing.
fn check_readers(layers: &[LayerShape]) -> Result<(), Error> {
    let read = |at: usize| layers.iter().any(|layer| layer.sources.contains(&Source::Layer(at)));
    match (0..layers.len().saturating_sub(1)).find(|&at| !read(at)) {
        Some(at) => Err(Error::Network(format!(
            "has a layer `{}` that nothing reads: name it in a later layer's `from`, or leave it out",
            layers[at].name
        ))),
        None => Ok(()),
    }
}

/// A layer on its way through inference: what is known before it.
struct Placed<'a> {
    layer: &'a Layer,
    image: Shape,
    before: &'a [LayerShape],
}

impl Placed<'_> {
    /// The layer that comes before, or the image.
    fn previous(&self) -> Source {
        self.before.len().checked_sub(1).map_or(Source::Image, Source::Layer)
    }

    fn shape(&self, source: Source) -> Shape {
        match source {
            Source::Image => self.image,
            Source::Layer(at) => self.before[at].output,
        }
    }

    fn name(&self, source: Source) -> &str {
        match source {
            Source::Image => IMAGE,
            Source::Layer(at) => &self.before[at].name,
        }
    }

    /// What `from` names.
    fn named(&self, from: &str) -> Result<Source, Error> {
        if from == IMAGE {
            return Ok(Source::Image);
        }
        self.before.iter().position(|earlier| earlier.name == from).map(Source::Layer).ok_or_else(|| {
            let names: Vec<&str> = self.before.iter().map(|earlier| &earlier.name[..]).chain([IMAGE]).collect();
            let hint = nearest(from, &names).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            argument(self.layer, format!("`from` names `{from}`, which is not an earlier layer{hint}"))
        })
    }

    fn sources(&self) -> Result<Vec<Source>, Error> {
        let from = self.layer.from.as_deref().map(|from| self.named(from)).transpose()?;
        if self.layer.kind != LayerKind::Add {
            return Ok(vec![from.unwrap_or_else(|| self.previous())]);
        }
        let from = from.ok_or_else(|| argument(self.layer, "`from` is missing: name the earlier layer that is added".into()))?;
        let previous = self.previous();
        if self.shape(from) != self.shape(previous) {
            let reason = format!("`{}` gives {}, and both must have one shape", self.name(from), self.shape(from));
            return Err(self.misfit(previous, reason));
        }
        Ok(vec![previous, from])
    }

    fn misfit(&self, source: Source, reason: String) -> Error {
        let (layer, kind) = (self.layer.name.clone(), self.layer.kind.name());
        Error::Shape { layer, kind, source_layer: self.name(source).to_owned(), shape: self.shape(source), reason }
    }

    fn infer(&self) -> Result<LayerShape, Error> {
        let sources = self.sources()?;
        let (output, parameters, multiply_adds) = self.output_of(sources[0])?;
        let input = self.shape(sources[0]);
        Ok(LayerShape { name: self.layer.name.clone(), sources, input, output, parameters, multiply_adds })
    }
}

type Inferred = (Shape, Vec<ParameterSpec>, u64);

impl Placed<'_> {
    fn output_of(&self, source: Source) -> Result<Inferred, Error> {
        let (layer, input) = (self.layer, self.shape(source));
        let own = |suffix: &str, shape: Vec<usize>, role| ParameterSpec { name: format!("{}.{suffix}", layer.name), shape, role };
        let map = |what: &str| match input {
            Shape::Map { channels, height, width } => Ok((channels, height, width)),
            Shape::Vector(_) => Err(self.misfit(source, format!("{what} works on feature maps; put it before `flatten`"))),
        };
        let elements = input.elements() as u64;
        Ok(match &layer.kind {
            LayerKind::Conv2d(conv) => {
                let (c, ..) = map("a convolution")?;
                require(layer, conv.out_channels > 0, "`out_channels` must be at least 1")?;
                require(layer, conv.groups > 0, "`groups` must be at least 1")?;
                if c % conv.groups != 0 || conv.out_channels % conv.groups != 0 {
                    let reason =
                        format!("`groups` = {} must divide both {c} and `out_channels` = {}", conv.groups, conv.out_channels);
                    return Err(self.misfit(source, reason));
                }
                let window = Window { side: conv.kernel_size, dilation: conv.dilation, stride: conv.stride, padding: conv.padding };
                let (height, width) = window.output(self, source)?;
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
            LayerKind::Activation(_) | LayerKind::Add => (input, vec![], 0),
            LayerKind::Dropout(dropout) => {
                require(layer, (0.0..1.0).contains(&dropout.p), "`p` must be at least 0 and below 1")?;
                (input, vec![], 0)
            }
            LayerKind::MaxPool2d(pool) | LayerKind::AvgPool2d(pool) => {
                let (c, ..) = map("pooling")?;
                require(layer, pool.padding <= pool.kernel_size / 2, "`padding` must be at most half of `kernel_size`")?;
                let window = Window { side: pool.kernel_size, dilation: 1, stride: pool.step(), padding: pool.padding };
                let (height, width) = window.output(self, source)?;
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
                    return Err(self.misfit(source, "a linear layer takes a vector; put a `flatten` before it".into()));
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
}

struct Window {
    side: usize,
    dilation: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    /// Output height and width: `floor((n + 2·padding − reach) / stride) + 1`, where `reach = (side − 1)·dilation + 1`.
    fn output(&self, placed: &Placed<'_>, source: Source) -> Result<(usize, usize), Error> {
        let Self { side, dilation, stride, padding } = *self;
        let layer = placed.layer;
        // Where a window is asked for, feature maps were found.
        let Shape::Map { channels, height, width } = placed.shape(source) else { return Err(too_large(layer)) };
        require(layer, side > 0, "`kernel_size` must be at least 1")?;
        require(layer, stride > 0, "`stride` must be at least 1")?;
        require(layer, side <= MAX_SIDE, "`kernel_size` must be at most 4096")?;
        require(layer, stride <= MAX_SIDE, "`stride` must be at most 4096")?;
        require(layer, dilation > 0, "`dilation` must be at least 1")?;
        require(layer, dilation <= MAX_SIDE, "`dilation` must be at most 4096")?;
        require(layer, padding <= MAX_ELEMENTS, "`padding` is far too large")?;
        let (height, width) = (height + 2 * padding, width + 2 * padding);
        size_of(&[channels.next_multiple_of(WIDTH), height, width]).ok_or_else(|| too_large(layer))?;
        let reach = (side - 1) * dilation + 1;
        if reach > height || reach > width {
            let reason = format!("its {reach}×{reach} window is larger than the padded plane of {height}×{width}");
            return Err(placed.misfit(source, reason));
        }
        Ok(((height - reach) / stride + 1, (width - reach) / stride + 1))
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
