//! The two implementations of one interface, as a table: what runs a case need not know which it has.

#![allow(clippy::type_complexity, reason = "the types are the interface, and stand here once")]

use candle_core::{Result, Tensor, Var};
use convscope::network::spec::{AdaptiveAvgPool2d, Conv2d, Pool2d};
use convscope::ops::{self, twin};
use convscope::optim::Sgd;

type Unary = fn(&Tensor) -> Result<Tensor>;
type Pooling = fn(&Tensor, &Pool2d) -> Result<Tensor>;

/// One implementation of every layer.
pub(super) struct Layers {
    pub(super) name: &'static str,
    pub(super) conv2d: fn(&Tensor, &Tensor, Option<&Tensor>, &Conv2d) -> Result<Tensor>,
    pub(super) batch_norm2d: fn(&Tensor, &Tensor, &Tensor, f64) -> Result<(Tensor, Tensor, Tensor)>,
    pub(super) batch_norm2d_eval: fn(&Tensor, [&Tensor; 4], f64) -> Result<Tensor>,
    pub(super) relu: Unary,
    pub(super) gelu: Unary,
    pub(super) silu: Unary,
    pub(super) max_pool2d: Pooling,
    pub(super) avg_pool2d: Pooling,
    pub(super) adaptive_avg_pool2d: fn(&Tensor, &AdaptiveAvgPool2d) -> Result<Tensor>,
    pub(super) linear: fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor>,
    pub(super) dropout: fn(&Tensor, f64, u64) -> Result<Tensor>,
    pub(super) cross_entropy: fn(&Tensor, &[u32], f64) -> Result<(Tensor, usize)>,
    pub(super) sgd_update: fn(&Var, &Tensor, &Var, &Sgd) -> Result<()>,
}

macro_rules! layers {
    ($name:literal, $module:ident) => {
        Layers {
            name: $name,
            conv2d: $module::conv2d,
            batch_norm2d: $module::batch_norm2d,
            batch_norm2d_eval: $module::batch_norm2d_eval,
            relu: $module::relu,
            gelu: $module::gelu,
            silu: $module::silu,
            max_pool2d: $module::max_pool2d,
            avg_pool2d: $module::avg_pool2d,
            adaptive_avg_pool2d: $module::adaptive_avg_pool2d,
            linear: $module::linear,
            dropout: $module::dropout,
            cross_entropy: $module::cross_entropy,
            sgd_update: $module::sgd_update,
        }
    };
}

pub(super) const KERNELS: Layers = layers!("kernels", ops);
pub(super) const TWINS: Layers = layers!("twins", twin);

pub(super) const SGD: Sgd = Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 };
