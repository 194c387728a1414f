//! A layer's arguments in the kernels' terms.

use crate::kernels::blocked::pool::Windows;
use crate::kernels::blocked::{Convolution, Maps};
use crate::network::spec::{AdaptiveAvgPool2d, Conv2d, Pool2d};

/// A convolution's sizes on `from`.
pub(super) fn convolution(from: Maps, conv: &Conv2d) -> Convolution {
    let sizes = Convolution::new(from, conv.out_channels, conv.kernel_size);
    sizes.window(conv.stride, conv.padding).dilated(conv.dilation).grouped(conv.groups)
}

/// The windows of a pooling layer on `from`.
pub(super) fn sliding(from: Maps, pool: &Pool2d) -> Windows {
    Windows::sliding(from, pool.kernel_size, pool.step(), pool.padding)
}

/// The windows of an adaptive pooling layer on `from`.
pub(super) fn adaptive(from: Maps, pool: AdaptiveAvgPool2d) -> Windows {
    Windows::adaptive(from, pool.output_size)
}
