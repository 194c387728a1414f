//! Convolution.

use candle_core::{Result, Tensor, bail};

use super::window::copies;
use crate::kernels::window::count;

/// Arguments of a convolution, as `torch.nn.functional.conv2d` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Step between windows.
    pub stride: usize,
    /// Rows and columns of zeros added on each side.
    pub padding: usize,
    /// Pixels from one place of the window to the next.
    pub dilation: usize,
    /// Parts the channels are split in, which do not see each other.
    pub groups: usize,
}

impl Default for Conv2d {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1 }
    }
}

/// Cross-correlation: `x` is batch × in × height × width, `weight` out × in / groups × k × k, `bias` one number an output
/// channel. As `torch.nn.functional.conv2d`.
///
/// Candle's own gradient fails where a stride leaves more rows over than columns, and takes one dot product a pixel; so where a
/// gradient will be asked for, the sum is written as one matrix product. Without one, candle's own is quick.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: Conv2d) -> Result<Tensor> {
    check(x, weight, bias, conv)?;
    let y = if x.track_op() || weight.track_op() {
        by_columns(x, weight, conv)?
    } else {
        x.contiguous()?.conv2d(&weight.contiguous()?, conv.padding, conv.stride, conv.dilation, conv.groups)?
    };
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?),
        None => Ok(y),
    }
}

/// Every window as a column of a matrix (Chellapilla, Puri, Simard: High performance convolutional neural networks for document
/// processing, 2006), the whole batch side by side.
fn by_columns(x: &Tensor, weight: &Tensor, conv: Conv2d) -> Result<Tensor> {
    let (filters, seen, kernel, _) = weight.dims4()?;
    let Conv2d { stride, padding, dilation, groups } = conv;
    let (batch, _, height, width) = x.dims4()?;
    let padded = x.transpose(0, 1)?.pad_with_zeros(2, padding, padding)?.pad_with_zeros(3, padding, padding)?;
    let [rows, columns] = [height, width].map(|side| count(side, (kernel - 1) * dilation + 1, stride, padding));
    let at = |window: usize, place: usize| window * stride + place * dilation;
    // Channel × place × batch × row × column: a filter's numbers one below the other.
    let windows = Tensor::stack(&copies(&padded, kernel, &[(rows, at), (columns, at)])?, 1)?;
    let windows = windows.reshape((groups, seen * kernel * kernel, batch * rows * columns))?;
    let y = weight.reshape((groups, filters / groups, seen * kernel * kernel))?.matmul(&windows)?;
    y.reshape((filters, batch, rows, columns))?.transpose(0, 1)?.contiguous()
}

fn check(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: Conv2d) -> Result<()> {
    let ((_, channels, height, width), (filters, _, kernel, _)) = (x.dims4()?, weight.dims4()?);
    let Conv2d { stride, padding, dilation, groups } = conv;
    if groups == 0 || channels % groups != 0 || filters % groups != 0 {
        bail!("{groups} groups must divide {channels} channels in and {filters} out");
    }
    let reach = kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
    let fits = |side: usize| side > 0 && side.saturating_add(padding.saturating_mul(2)) >= reach;
    if kernel == 0 || stride == 0 || dilation == 0 || !fits(height) || !fits(width) {
        let steps = format!("stride {stride}, padding {padding}, dilation {dilation}");
        bail!("a convolution of {kernel} × {kernel}, {steps} does not fit on {height} × {width}");
    }
    let needed = [filters, channels / groups, kernel, kernel];
    if weight.dims() != needed || needed.contains(&0) {
        bail!("the filters are {:?} where {needed:?} are needed", weight.dims());
    }
    if let Some(bias) = bias.filter(|bias| bias.dims() != [filters]) {
        bail!("the biases are {:?} where [{filters}] are needed", bias.dims());
    }
    Ok(())
}
