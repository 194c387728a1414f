//! Sixteen floats at a time, whatever the processor's registers are.
//!
//! A kernel is written once over [`Lanes`]; the modules below are thin and say how sixteen floats are held and added on one
//! instruction set. They know no convolution, and a kernel knows no instruction set. A value of a lane type is proof that
//! the processor has what its methods use: only detection makes one.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod math;
pub(crate) mod portable;

use half::f16;

/// Floats in one [`Lanes::V`], and channels in one block of the blocked layout.
pub const WIDTH: usize = 16;

/// Arithmetic on vectors of [`WIDTH`] floats. Everything is inlined into a function compiled for the instruction set.
pub trait Lanes: Copy + Send + Sync + 'static {
    /// The vector.
    type V: Copy;

    /// Whether a vector is one of 32 registers, so that tiles of 8 × 2 accumulators fit.
    const WIDE: bool;

    /// All lanes the same.
    fn splat(self, x: f32) -> Self::V;

    /// Reads sixteen floats.
    ///
    /// # Safety
    /// `from` is valid for reads of 16 floats; no alignment is needed.
    unsafe fn load(self, from: *const f32) -> Self::V;

    /// Reads sixteen numbers of half precision.
    ///
    /// # Safety
    /// `from` is valid for reads of 16 of them; no alignment is needed.
    unsafe fn load_half(self, from: *const f16) -> Self::V;

    /// Writes sixteen floats.
    ///
    /// # Safety
    /// `to` is valid for writes of 16 floats; no alignment is needed.
    unsafe fn store(self, to: *mut f32, v: Self::V);

    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;

    /// The square root, rounded as every tier rounds it.
    fn sqrt(self, v: Self::V) -> Self::V;

    /// 2ⁿ of whole numbers from −126 to 127.
    fn power_of_two(self, n: Self::V) -> Self::V;

    /// `a * b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// `c - a * b`.
    fn neg_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// The larger of the two in each lane; `b` where they are equal or one is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a` in lanes where the first of `compared` is greater than the second or NaN, `b` in the others.
    fn where_greater(self, compared: (Self::V, Self::V), a: Self::V, b: Self::V) -> Self::V;

    /// `a` in lanes where both of `compared` are equal, `b` in the others.
    fn where_equal(self, compared: (Self::V, Self::V), a: Self::V, b: Self::V) -> Self::V;

    /// Asks for the cache line at `at`, which need not be readable.
    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        let _ = at;
    }

    /// All lanes 0.
    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }

    /// Reads an array.
    #[inline(always)]
    fn read(self, from: &[f32; WIDTH]) -> Self::V {
        // SAFETY: an array of 16 floats is valid for reads of 16 floats.
        unsafe { self.load(from.as_ptr()) }
    }

    /// Writes an array.
    #[inline(always)]
    fn write(self, to: &mut [f32; WIDTH], v: Self::V) {
        // SAFETY: an exclusive array of 16 floats is valid for writes of 16 floats.
        unsafe { self.store(to.as_mut_ptr(), v) }
    }
}

/// A computation that runs on any lanes: what [`super::Tier::run`] compiles once an instruction set.
pub trait Kernel {
    /// What it gives back.
    type Output;

    /// Computes. Implementations are `#[inline(always)]`, or the instruction set would not reach them.
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}
