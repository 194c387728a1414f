//! Memory for numbers that begins where a cache line does.
//!
//! A vector of sixteen floats fills a line; if it began in the middle of one, as an allocator's memory does, every read and
//! write would touch two. That costs a tenth to a fifth of a kernel's time.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use half::f16;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A number that lines are made of.
///
/// # Safety
/// Bytes of 0 are a valid value, it has no bytes of padding, and its alignment is at most 64.
pub unsafe trait Number: Copy {}

// SAFETY: +0, four bytes.
unsafe impl Number for f32 {}
// SAFETY: +0, two bytes.
unsafe impl Number for f16 {}

/// A slice of numbers that begins with a line.
#[derive(Clone)]
pub struct Buffer<T = f32> {
    lines: Vec<Line>,
    len: usize,
    numbers: PhantomData<T>,
}

impl<T: Number> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.resize(len);
        buffer
    }

    /// Makes it `len` long; what is new is 0.
    pub fn resize(&mut self, len: usize) {
        let kept = self.len.min(len);
        self.lines.resize((len * size_of::<T>()).div_ceil(size_of::<Line>()), Line([0; 64]));
        self.len = len;
        // The last line may have held more before.
        // SAFETY: bytes of 0 are a number.
        self[kept..].fill(unsafe { std::mem::zeroed() });
    }

    /// Makes it at least `len` long.
    pub fn grow(&mut self, len: usize) {
        if self.len < len {
            self.resize(len);
        }
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), len: 0, numbers: PhantomData }
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold `len` numbers, all bytes are set, and a line is aligned for a number.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; whatever numbers are written, the lines are bytes.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl<T: Number> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        Self::from(&numbers.into_iter().collect::<Vec<T>>()[..])
    }
}

impl<T: Number> From<&[T]> for Buffer<T> {
    fn from(numbers: &[T]) -> Self {
        let mut buffer = Self::zeros(numbers.len());
        buffer.copy_from_slice(numbers);
        buffer
    }
}

impl<T: Number> AsMut<[T]> for Buffer<T> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

impl<T: Number + fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self[..]).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_line_and_what_is_new_is_zero() {
        let mut buffer = Buffer::<f32>::zeros(3);
        for len in [3, 17, 5, 100, 0, 33] {
            buffer.resize(len);
            assert_eq!(buffer.len(), len);
            assert!(len == 0 || buffer.as_ptr().addr().is_multiple_of(64));
            assert!(buffer.iter().skip(5).all(|&x| x == 0.0), "{len}");
            buffer.fill(7.0);
            buffer.resize(len.min(5));
        }
        let halves: Buffer<f16> = (0..50).map(|x| f16::from_f32(x as f32)).collect();
        assert!(halves.as_ptr().addr().is_multiple_of(64));
        assert!(halves.iter().zip(0..50).all(|(x, at)| x.to_f32() == at as f32));
    }
}
