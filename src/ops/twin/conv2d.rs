//! Convolution on candle's, kept to the sizes at which its gradient is right.

use candle_core::{Result, Tensor};

use crate::network::spec::Conv2d;

/// [`crate::ops::conv2d`].
///
/// Candle's gradient of the image takes one number of left-over rows and columns for both sides, so a stride that leaves
/// more of one than of the other fails. The rows and columns no window reaches are cut off before, and both are 0.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let left_over = |side: usize| (side + 2 * conv.padding).checked_sub(conv.kernel_size).map_or(0, |room| room % conv.stride);
    let (rows, columns) = (left_over(height), left_over(width));
    let (x, padding) = if rows == 0 && columns == 0 {
        (x.clone(), conv.padding)
    } else {
        let padded = x.pad_with_zeros(2, conv.padding, conv.padding)?.pad_with_zeros(3, conv.padding, conv.padding)?;
        let (_, _, height, width) = padded.dims4()?;
        (padded.narrow(2, 0, height - rows)?.narrow(3, 0, width - columns)?.contiguous()?, 0)
    };
    let y = x.conv2d(weight, padding, conv.stride, 1, conv.groups)?;
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?),
        None => Ok(y),
    }
}
