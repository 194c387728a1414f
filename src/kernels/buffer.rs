//! Memory for numbers that begins where a cache line does.
//!
//! A vector of sixteen floats fills a line; if it began in the middle of one, as an allocator's memory does, every read and
//! write would touch two. That costs a tenth to a fifth of a kernel's time. As much again is lost with large buffers in small
//! pages, whose addresses a processor has to look up again and again; Linux is asked for large ones.

use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use half::f16;

/// A cache line of memory.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line(MaybeUninit<[u8; 64]>);

/// A large page of memory.
#[derive(Clone, Copy)]
#[repr(C, align(2_097_152))]
struct Page(MaybeUninit<[u8; 2_097_152]>);

/// Memory, all of it for use whatever it holds.
#[derive(Clone)]
enum Memory {
    Lines(Vec<Line>),
    Pages(Vec<Page>),
}

impl Memory {
    /// At least so many bytes. (Reserved so that a size that cannot be had is a panic: it would end the process else.)
    fn new(bytes: usize) -> Self {
        if bytes < size_of::<Page>() {
            let count = bytes.div_ceil(size_of::<Line>());
            let mut lines = Vec::with_capacity(count);
            // SAFETY: there is room for so many, and a line is valid whatever it holds.
            unsafe { lines.set_len(count) };
            Self::Lines(lines)
        } else {
            let count = bytes.div_ceil(size_of::<Page>());
            let mut pages = Vec::new();
            let reserved = pages.try_reserve_exact(count);
            assert!(reserved.is_ok(), "there is no memory for {bytes} bytes");
            ask_for_large_pages(pages.spare_capacity_mut());
            // SAFETY: there is room for so many, and a page is valid whatever it holds.
            unsafe { pages.set_len(count) };
            Self::Pages(pages)
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Lines(lines) => size_of_val(&lines[..]),
            Self::Pages(pages) => size_of_val(&pages[..]),
        }
    }

    fn as_ptr<T>(&self) -> *const T {
        match self {
            Self::Lines(lines) => lines.as_ptr().cast(),
            Self::Pages(pages) => pages.as_ptr().cast(),
        }
    }

    fn as_mut_ptr<T>(&mut self) -> *mut T {
        match self {
            Self::Lines(lines) => lines.as_mut_ptr().cast(),
            Self::Pages(pages) => pages.as_mut_ptr().cast(),
        }
    }
}

/// Asks for large pages, before there are any. Where that is refused they are small: nothing else.
#[cfg(target_os = "linux")]
fn ask_for_large_pages(memory: &mut [MaybeUninit<Page>]) {
    // SAFETY: the range is memory borrowed exclusively, of whole pages, and the advice changes no content.
    unsafe { libc::madvise(memory.as_mut_ptr().cast(), size_of_val(memory), libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: &mut [MaybeUninit<Page>]) {}

/// Bytes of the memory of a buffer of `floats` f32.
pub fn held(floats: usize) -> usize {
    let bytes = floats * size_of::<f32>();
    let unit = if bytes < size_of::<Page>() { size_of::<Line>() } else { size_of::<Page>() };
    bytes.next_multiple_of(unit)
}

/// A number that memory is made of.
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
    /// Its first `len` numbers are set.
    memory: Memory,
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
    ///
    /// # Panics
    /// Where there is no memory for it.
    pub fn resize(&mut self, len: usize) {
        let kept = self.len.min(len);
        let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| isize::try_from(bytes).is_ok());
        let Some(bytes) = bytes else { panic!("there is no memory for {len} numbers") };
        if self.memory.bytes() < bytes {
            let mut memory = Memory::new(bytes);
            // SAFETY: both hold as many numbers, and the old ones are set.
            unsafe { std::ptr::copy_nonoverlapping(self.as_ptr(), memory.as_mut_ptr(), kept) };
            self.memory = memory;
        }
        // SAFETY: the memory holds `len` numbers, and bytes of 0 are one.
        unsafe { std::ptr::write_bytes(self.memory.as_mut_ptr::<T>().add(kept), 0, len - kept) };
        self.len = len;
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
        Self { memory: Memory::Lines(Vec::new()), len: 0, numbers: PhantomData }
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the memory holds `len` numbers, which are set, and is aligned for them.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.len) }
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr(), self.len) }
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
    use super::super::testing::refusal;
    use super::*;

    #[test]
    fn a_length_that_memory_cannot_hold_is_a_panic() {
        let zeros = |len: usize| refusal(|| assert!(Buffer::<f32>::zeros(len).len() == len));
        // Bytes that wrap around to few, that are more than pointers can be apart, and that nobody has.
        for len in [(1 << 62) + 1, usize::MAX / 4, 1 << 60] {
            assert!(zeros(len).contains("there is no memory for"), "{len}: {}", zeros(len));
        }
        let mut buffer = Buffer::<f32>::zeros(3);
        assert!(refusal(|| buffer.grow((1 << 62) + 1)).contains("there is no memory for"));
        assert_eq!(buffer[..], [0.0; 3]);
    }

    #[test]
    fn it_begins_with_a_line_and_what_is_new_is_zero() {
        let mut buffer = Buffer::<f32>::zeros(3);
        for len in [3, 17, 5, 100, 0, 33, 1 << 20, 7, 3 << 20] {
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
