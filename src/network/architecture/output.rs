//! What one layer makes of what it is given, owns and costs; or the arithmetic that shows why it cannot.

use super::arguments::MAX_ELEMENTS;
use super::shape::{ParameterSpec, Role, Shape};
use super::spec::LayerKind;
use crate::kernels::lanes::WIDTH;

/// Output, parameters, multiply-adds an image.
pub(super) type Inferred = (Shape, Vec<ParameterSpec>, u64);

/// Why there is no output.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What it is given does not suit it.
    Misfit(String),
    /// No memory would hold it.
    TooLarge,
}

/// The shape of whatever comes out of a layer of `kind` although its input is not known.
pub(super) fn without_input(kind: &LayerKind) -> Option<Shape> {
    match kind {
        LayerKind::Linear(linear) if linear.out_features > 0 => Some(Shape::Vector(linear.out_features)),
        _ => None,
    }
}

/// Whether a layer of `kind` gives what it is given, whatever its arguments.
pub(super) fn keeps_shape(kind: &LayerKind) -> bool {
    matches!(kind, LayerKind::Activation(_) | LayerKind::Dropout(_) | LayerKind::BatchNorm2d(_) | LayerKind::Add)
}

/// Numbers of so many sides, where that is not too large.
pub(super) fn size_of(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |product, &side| product.checked_mul(side)).filter(|&n| n <= MAX_ELEMENTS)
}

/// The arithmetic of a flattened map: `8192 = 32·16·16`.
pub(super) fn product(dims: &[usize]) -> String {
    let sides: Vec<String> = dims.iter().map(ToString::to_string).collect();
    format!("{} = {}", dims.iter().product::<usize>(), sides.join("·"))
}

/// The layer called `name`, of `kind`, on `input`. Its arguments are within their ranges.
pub(super) fn output(name: &str, kind: &LayerKind, input: Shape) -> Result<Inferred, Refusal> {
    let own = |suffix: &str, shape: Vec<usize>, role| ParameterSpec { name: format!("{name}.{suffix}"), shape, role };
    let map = |what: &str| match input {
        Shape::Map { channels, height, width } => Ok([channels, height, width]),
        Shape::Vector(_) => Err(Refusal::Misfit(format!("{what} works on feature maps; put it before `flatten`"))),
    };
    Ok(match kind {
        LayerKind::Conv2d(conv) => {
            let planes = map("a convolution")?;
            if planes[0] % conv.groups != 0 || conv.out_channels % conv.groups != 0 {
                let reason =
                    format!("`groups` = {} must divide both {} and `out_channels` = {}", conv.groups, planes[0], conv.out_channels);
                return Err(Refusal::Misfit(reason));
            }
            let window = Window { side: conv.kernel_size, dilation: conv.dilation, stride: conv.stride, padding: conv.padding };
            let [height, width] = window.output(planes)?;
            let filters = vec![conv.out_channels, planes[0] / conv.groups, conv.kernel_size, conv.kernel_size];
            let output = Shape::Map { channels: conv.out_channels, height, width };
            let per_pixel = size_of(&filters).ok_or(Refusal::TooLarge)?;
            let multiply_adds = (per_pixel as u64).checked_mul((height * width) as u64).ok_or(Refusal::TooLarge)?;
            let mut parameters = vec![own("weight", filters, Role::Weight)];
            if conv.bias {
                parameters.push(own("bias", vec![conv.out_channels], Role::Bias));
            }
            bounded(output, parameters, multiply_adds)?
        }
        LayerKind::BatchNorm2d(_) => {
            let [c, ..] = map("batch norm")?;
            let parameters = vec![
                own("weight", vec![c], Role::Scale),
                own("bias", vec![c], Role::Bias),
                own("running_mean", vec![c], Role::RunningMean),
                own("running_var", vec![c], Role::RunningVariance),
            ];
            (input, parameters, input.elements() as u64)
        }
        LayerKind::Activation(_) | LayerKind::Add | LayerKind::Dropout(_) => (input, vec![], 0),
        LayerKind::MaxPool2d(pool) | LayerKind::AvgPool2d(pool) => {
            let planes = map("pooling")?;
            let window = Window { side: pool.kernel_size, dilation: 1, stride: pool.step(), padding: pool.padding };
            let [height, width] = window.output(planes)?;
            (Shape::Map { channels: planes[0], height, width }, vec![], 0)
        }
        LayerKind::AdaptiveAvgPool2d(pool) => {
            let [channels, ..] = map("pooling")?;
            bounded(Shape::Map { channels, height: pool.output_size, width: pool.output_size }, vec![], 0)?
        }
        LayerKind::Flatten => (Shape::Vector(input.elements()), vec![], 0),
        LayerKind::Linear(linear) => {
            let Shape::Vector(length) = input else {
                let inputs = product(&input.dims());
                let reason = format!("a linear layer takes a vector; put a `flatten` before it, which gives {inputs} inputs");
                return Err(Refusal::Misfit(reason));
            };
            let mut parameters = vec![own("weight", vec![linear.out_features, length], Role::Weight)];
            if linear.bias {
                parameters.push(own("bias", vec![linear.out_features], Role::Bias));
            }
            let multiply_adds = size_of(&[linear.out_features, length]).ok_or(Refusal::TooLarge)? as u64;
            bounded(Shape::Vector(linear.out_features), parameters, multiply_adds)?
        }
    })
}

struct Window {
    side: usize,
    dilation: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    /// Height and width on planes of `[channels, height, width]`: `floor((n + 2·padding − reach) / stride) + 1`, where
    /// `reach = (side − 1)·dilation + 1`.
    fn output(&self, [channels, height, width]: [usize; 3]) -> Result<[usize; 2], Refusal> {
        let Self { side, dilation, stride, padding } = *self;
        let padded = [height, width].map(|length| length + 2 * padding);
        size_of(&[channels.next_multiple_of(WIDTH), padded[0], padded[1]]).ok_or(Refusal::TooLarge)?;
        let reach = (side - 1) * dilation + 1;
        if padded.iter().any(|&length| reach > length) {
            let reaching =
                if dilation == 1 { String::new() } else { format!(" with dilation {dilation} reaches {reach}×{reach} and") };
            let reason = format!("its {side}×{side} window{reaching} does not fit {height}×{width} planes with padding {padding}");
            return Err(Refusal::Misfit(reason));
        }
        Ok(padded.map(|length| (length - reach) / stride + 1))
    }
}

fn bounded(output: Shape, parameters: Vec<ParameterSpec>, multiply_adds: u64) -> Result<Inferred, Refusal> {
    let fits = |dims: &[usize]| size_of(dims).is_some();
    let fits = fits(&output.dims()) && parameters.iter().all(|parameter| fits(&parameter.shape));
    if fits { Ok((output, parameters, multiply_adds)) } else { Err(Refusal::TooLarge) }
}
