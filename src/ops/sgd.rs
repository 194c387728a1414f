//! The update of SGD, in place.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result, Tensor, Var, WithDType, bail};

use super::numbers::{Number, slice};
use super::twin;
use crate::kernels::sgd::update;
use crate::optim::Sgd;

/// One update of `weights` in place. `momentum` is the optimizer's buffer, of the same shape, zeros before the first update.
/// As `torch.optim.SGD`; weight decay is applied where `sgd` says so, whatever the parameter is.
pub fn sgd_update(weights: &Var, gradient: &Tensor, momentum: &Var, sgd: &Sgd) -> Result<()> {
    let shape = weights.shape();
    if gradient.shape() != shape || momentum.shape() != shape {
        bail!("an update of {shape:?} by a gradient of {:?} and momenta of {:?}", gradient.shape(), momentum.shape());
    }
    if same_storage(weights, momentum) || same_storage(weights, gradient) || same_storage(momentum, gradient) {
        bail!("weights, gradient and momenta of an update must be three tensors");
    }
    if !weights.device().is_cpu() {
        return twin::sgd_update(weights, gradient, momentum, sgd);
    }
    weights.inplace_op2(&gradient.contiguous()?, &Update { momentum, sgd })
}

fn same_storage(a: &Tensor, b: &Tensor) -> bool {
    let address = |tensor: &Tensor| std::ptr::from_ref(&*tensor.storage_and_layout().0).addr();
    address(a) == address(b)
}

/// Changes weights and momenta in one pass. Candle's ops change one tensor each, so this one, with the weights in hand,
/// applies [`Inner`] to the momenta.
struct Update<'a> {
    momentum: &'a Var,
    sgd: &'a Sgd,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "sgd_update"
    }

    fn cpu_fwd(&self, weights: &mut CpuStorage, l1: &Layout, gradient: &CpuStorage, l2: &Layout) -> Result<()> {
        match weights {
            CpuStorage::F32(values) => self.apply(numbers(values, l1)?, slice(gradient, l2)?),
            CpuStorage::F64(values) => self.apply(numbers(values, l1)?, slice(gradient, l2)?),
            _ => bail!("an update takes f32 or f64"),
        }
    }
}

impl Update<'_> {
    fn apply<T: Stored>(&self, weights: &mut [T], gradient: &[T]) -> Result<()> {
        self.momentum.inplace_op1(&Inner { weights: RefCell::new(weights), gradient, sgd: self.sgd })
    }
}

struct Inner<'a, T> {
    weights: RefCell<&'a mut [T]>,
    gradient: &'a [T],
    sgd: &'a Sgd,
}

impl<T: Stored> InplaceOp1 for Inner<'_, T> {
    fn name(&self) -> &'static str {
        "sgd_update"
    }

    fn cpu_fwd(&self, momentum: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some(momentum) = T::of(momentum) else { bail!("weights and momenta of an update have one number type") };
        update(self.sgd, &mut self.weights.borrow_mut(), self.gradient, numbers(momentum, layout)?);
        Ok(())
    }
}

/// The numbers of a tensor, to be changed.
fn numbers<'a, T: WithDType>(values: &'a mut [T], layout: &Layout) -> Result<&'a mut [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("an update takes weights and momenta without strides") };
    Ok(&mut values[start..end])
}

/// The storage of a number type, to be changed: candle's trait lends it only to be read.
trait Stored: Number {
    fn of(storage: &mut CpuStorage) -> Option<&mut Vec<Self>>;
}

impl Stored for f32 {
    fn of(storage: &mut CpuStorage) -> Option<&mut Vec<Self>> {
        if let CpuStorage::F32(values) = storage { Some(values) } else { None }
    }
}

impl Stored for f64 {
    fn of(storage: &mut CpuStorage) -> Option<&mut Vec<Self>> {
        if let CpuStorage::F64(values) = storage { Some(values) } else { None }
    }
}
