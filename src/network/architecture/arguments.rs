//! Which arguments a layer may have, whatever it is given.

use super::spec::LayerKind;

/// No activation (padding counted), filter bank or list may be larger: a gigabyte of numbers, far above anything useful, and so
/// far below overflow that no length made of it can wrap.
pub(super) const MAX_ELEMENTS: usize = 1 << 28;
/// Side of a window at most, and step between two: positions are counted in f32, which is exact up to 2²⁴.
const MAX_SIDE: usize = 4096;

/// An argument and what is wrong with it.
pub(super) type Wrong = (&'static str, String);

/// Everything that is wrong with the arguments of `kind`.
pub(super) fn faults(kind: &LayerKind) -> Vec<Wrong> {
    match kind {
        LayerKind::Conv2d(conv) => all([
            at_least_1("out_channels", conv.out_channels),
            at_least_1("groups", conv.groups),
            side("kernel_size", conv.kernel_size),
            side("stride", conv.stride),
            side("dilation", conv.dilation),
            (conv.padding > MAX_ELEMENTS).then(|| ("padding", "`padding` is far too large".into())),
        ]),
        LayerKind::BatchNorm2d(norm) => all([
            (!(norm.eps.is_finite() && norm.eps > 0.0)).then(|| ("eps", "`eps` must be above 0".into())),
            (!(0.0..=1.0).contains(&norm.momentum)).then(|| ("momentum", "`momentum` must be between 0 and 1".into())),
        ]),
        LayerKind::MaxPool2d(pool) | LayerKind::AvgPool2d(pool) => all([
            side("kernel_size", pool.kernel_size),
            pool.stride.and_then(|stride| side("stride", stride)),
            (pool.padding > pool.kernel_size / 2).then(|| {
                let half = pool.kernel_size / 2;
                ("padding", format!("`padding` is {} and must be at most half of `kernel_size`, here {half}", pool.padding))
            }),
        ]),
        LayerKind::AdaptiveAvgPool2d(pool) => all([at_least_1("output_size", pool.output_size)]),
        LayerKind::Dropout(dropout) => {
            all([(!(0.0..1.0).contains(&dropout.p)).then(|| ("p", "`p` must be at least 0 and below 1".into()))])
        }
        LayerKind::Linear(linear) => all([at_least_1("out_features", linear.out_features)]),
        LayerKind::Activation(_) | LayerKind::Flatten | LayerKind::Add => Vec::new(),
    }
}

fn all<const N: usize>(found: [Option<Wrong>; N]) -> Vec<Wrong> {
    found.into_iter().flatten().collect()
}

fn at_least_1(key: &'static str, value: usize) -> Option<Wrong> {
    (value == 0).then(|| (key, format!("`{key}` must be at least 1")))
}

fn side(key: &'static str, value: usize) -> Option<Wrong> {
    let too_large = (value > MAX_SIDE).then(|| (key, format!("`{key}` must be at most {MAX_SIDE}, not {value}")));
    at_least_1(key, value).or(too_large)
}
