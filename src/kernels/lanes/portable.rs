//! No instruction set in particular: loops over arrays that the compiler vectorises for what the build is for.

use half::f16;

use super::{Kernel, Lanes, WIDTH};

/// Needs nothing of the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portable;

/// Sixteen floats, aligned so that they can be whole registers.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Array([f32; WIDTH]);

impl Portable {
    /// Runs `kernel` as this build compiles it.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Array {
    let mut out = [0.0; WIDTH];
    for (lane, x) in out.iter_mut().enumerate() {
        *x = f(lane);
    }
    Array(out)
}

impl Lanes for Portable {
    type V = Array;
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Array {
        Array([x; WIDTH])
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Array {
        // SAFETY: the caller promises 16 readable floats; an array of floats is aligned like a float.
        Array(unsafe { *from.cast::<[f32; WIDTH]>() })
    }
    #[inline(always)]
    unsafe fn load_half(self, from: *const f16) -> Array {
        // SAFETY: the caller promises 16 readable numbers; an array of them is aligned like one.
        let half = unsafe { *from.cast::<[f16; WIDTH]>() };
        // The other conversion asks the processor each time whether it has an instruction for it.
        each(|i| half[i].to_f32_const())
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Array) {
        // SAFETY: the caller promises 16 writable floats; an array of floats is aligned like a float.
        unsafe { *to.cast::<[f32; WIDTH]>() = v.0 }
    }
    #[inline(always)]
    fn add(self, a: Array, b: Array) -> Array {
        each(|i| a.0[i] + b.0[i])
    }
    #[inline(always)]
    fn sub(self, a: Array, b: Array) -> Array {
        each(|i| a.0[i] - b.0[i])
    }
    #[inline(always)]
    fn mul(self, a: Array, b: Array) -> Array {
        each(|i| a.0[i] * b.0[i])
    }
    #[inline(always)]
    fn div(self, a: Array, b: Array) -> Array {
        each(|i| a.0[i] / b.0[i])
    }
    #[inline(always)]
    fn sqrt(self, v: Array) -> Array {
        each(|i| v.0[i].sqrt())
    }
    #[inline(always)]
    fn power_of_two(self, n: Array) -> Array {
        each(|i| f32::from_bits(((n.0[i] as i32 + 127) << 23) as u32))
    }
    #[inline(always)]
    fn mul_add(self, a: Array, b: Array, c: Array) -> Array {
        // Two roundings: without an FMA instruction one rounding is a slow library call.
        each(|i| a.0[i] * b.0[i] + c.0[i])
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Array, b: Array, c: Array) -> Array {
        each(|i| c.0[i] - a.0[i] * b.0[i])
    }
    #[inline(always)]
    fn max(self, a: Array, b: Array) -> Array {
        each(|i| if a.0[i] > b.0[i] { a.0[i] } else { b.0[i] })
    }
    #[inline(always)]
    fn where_greater(self, (x, y): (Array, Array), a: Array, b: Array) -> Array {
        each(|i| if x.0[i] > y.0[i] || x.0[i].is_nan() { a.0[i] } else { b.0[i] })
    }
    #[inline(always)]
    fn where_equal(self, (x, y): (Array, Array), a: Array, b: Array) -> Array {
        each(|i| if x.0[i] == y.0[i] { a.0[i] } else { b.0[i] })
    }
}
