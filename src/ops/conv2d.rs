//! Convolution.

use candle_core::{Result, Shape, Tensor, bail};

use super::twin;
use super::weighted::{Weighted, apply};
use crate::kernels::conv2d::{self, Conv2dShape};
use crate::kernels::real::Real;
use crate::network::spec::Conv2d;

/// Cross-correlation: `x` is batch × in × height × width, `weight` out × in / groups × k × k, `bias` one number an output
/// channel. As `torch.nn.functional.conv2d`.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Tensor> {
    let shape = sizes(x, weight, bias, conv)?;
    if x.device().is_cpu() { apply(shape, x, weight, bias) } else { twin::conv2d(x, weight, bias, conv) }
}

fn sizes(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Conv2dShape> {
    let (batch, in_channels, height, width) = x.dims4()?;
    let &Conv2d { out_channels, kernel_size: kernel, stride, padding, groups, .. } = conv;
    if groups == 0 || in_channels % groups != 0 || out_channels % groups != 0 {
        bail!("{groups} groups must divide {in_channels} channels in and {out_channels} out");
    }
    if kernel == 0 || stride == 0 || height.min(width) == 0 || height.min(width) + 2 * padding < kernel {
        bail!("a convolution of {kernel} × {kernel}, stride {stride}, padding {padding} does not fit on {height} × {width}");
    }
    let filters = [out_channels, in_channels / groups, kernel, kernel];
    if weight.dims() != filters || filters.contains(&0) {
        bail!("the filters are {:?} where {filters:?} are needed", weight.dims());
    }
    if let Some(bias) = bias.filter(|bias| bias.dims() != [out_channels]) {
        bail!("the biases are {:?} where [{out_channels}] are needed", bias.dims());
    }
    Ok(Conv2dShape { batch, in_channels, out_channels, height, width, kernel, stride, padding, groups })
}

impl Weighted for Conv2dShape {
    const NAME: &'static str = "conv2d";

    fn output(&self) -> Shape {
        (self.batch, self.out_channels, self.output_height(), self.output_width()).into()
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: Option<&[T]>, y: &mut [T]) {
        conv2d::forward(self, x, weight, bias, y);
    }

    fn backward_data<T: Real>(&self, weight: &[T], dy: &[T], dx: &mut [T]) {
        conv2d::backward_data(self, weight, dy, dx);
    }

    fn backward_weight<T: Real>(&self, x: &[T], dy: &[T], dw: &mut [T]) {
        conv2d::backward_weight(self, x, dy, dw);
    }

    fn backward_bias<T: Real>(&self, dy: &[T], db: &mut [T]) {
        conv2d::backward_bias(self, dy, db);
    }
}
