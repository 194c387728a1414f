//! A layer's arguments in the kernels' terms.

use crate::kernels::adaptive_avg_pool2d::{self, AdaptiveShape};
use crate::kernels::avg_pool2d;
use crate::kernels::blocked::pool::Windows;
use crate::kernels::blocked::{Convolution, Maps};
use crate::kernels::window::Pool2dShape;
use crate::network::spec::{AdaptiveAvgPool2d, Conv2d, Pool2d};

/// A convolution's sizes on `from`.
pub(super) fn convolution(from: Maps, conv: &Conv2d) -> Convolution {
    Convolution::new(from, conv.out_channels, conv.kernel_size).window(conv.stride, conv.padding).grouped(conv.groups)
}

/// The windows of a pooling layer on `from`.
pub(super) fn sliding(from: Maps, pool: &Pool2d) -> Windows {
    let Maps { height, width, .. } = from;
    let (kernel, stride, padding) = (pool.kernel_size, pool.step(), pool.padding);
    Windows::new(from, avg_pool2d::rectangles(&Pool2dShape { planes: 1, height, width, kernel, stride, padding }))
}

/// The windows of an adaptive pooling layer on `from`.
pub(super) fn adaptive(from: Maps, pool: &AdaptiveAvgPool2d) -> Windows {
    let Maps { height, width, .. } = from;
    Windows::new(from, adaptive_avg_pool2d::rectangles(&AdaptiveShape { height, width, output: pool.output_size }))
}
