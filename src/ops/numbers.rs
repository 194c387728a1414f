//! The slices behind candle's tensors, and tensors made of slices.

use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor, WithDType, bail};

use crate::kernels::real::Real;

/// What both candle and the kernels compute with.
pub(super) trait Number: Real + WithDType {}
impl Number for f32 {}
impl Number for f64 {}

/// Evaluates an expression with `$T` the number type of a dtype; refuses those the kernels do not know.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => candle_core::bail!("layers compute in f32 or f64, not in {}", other.as_str()),
        }
    };
}
pub(super) use with_number;

/// The numbers of a tensor in plain order.
pub(super) fn slice<'a, T: Number>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a kernel was given a tensor with strides") };
    Ok(&T::cpu_storage_as_slice(storage)?[start..end])
}

/// What a custom op's forward pass returns: a new tensor's numbers, written by `fill`, and its shape.
pub(super) fn output<T: Number>(shape: impl Into<Shape>, fill: impl FnOnce(&mut [T])) -> (CpuStorage, Shape) {
    let shape = shape.into();
    let mut values = vec![T::ZERO; shape.elem_count()];
    fill(&mut values);
    (T::to_cpu_storage_owned(values), shape)
}

/// A new tensor whose numbers `fill` writes, given those of `inputs`, which are on the CPU and contiguous.
pub(super) fn tensor<T: Number, const N: usize>(
    inputs: [&Tensor; N],
    shape: &Shape,
    fill: impl FnOnce([&[T]; N], &mut [T]),
) -> Result<Tensor> {
    let mut values = vec![T::ZERO; shape.elem_count()];
    read(inputs, |inputs| fill(inputs, &mut values))?;
    Tensor::from_vec(values, shape, inputs[0].device())
}

/// Lends the numbers of `inputs`, which are on the CPU and contiguous.
pub(super) fn read<T: Number, R, const N: usize>(inputs: [&Tensor; N], use_them: impl FnOnce([&[T]; N]) -> R) -> Result<R> {
    let locked = inputs.map(Tensor::storage_and_layout);
    let mut slices: [&[T]; N] = [&[]; N];
    for ((storage, layout), values) in locked.iter().zip(&mut slices) {
        let Storage::Cpu(storage) = &**storage else { bail!("a kernel of the CPU was given a tensor of another device") };
        *values = slice(storage, layout)?;
    }
    Ok(use_them(slices))
}
