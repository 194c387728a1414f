//! What a team's tasks work on: values given out in parts that do not overlap.

use std::marker::PhantomData;

/// Something that is given out in parts that do not overlap.
///
/// # Safety
/// `part` of different indices gives what can be used at the same time.
pub unsafe trait Parts: Sync {
    /// One part.
    type Part;

    /// How many there are.
    fn count(&self) -> usize;

    /// The part at `index`.
    ///
    /// # Safety
    /// `index` is below [`Parts::count`], and no other value made from this index is alive.
    unsafe fn part(&self, index: usize) -> Self::Part;
}

/// A slice in chunks of one length, the last one shorter where it does not come out even.
pub struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    size: usize,
    count: usize,
    slice: PhantomData<&'a mut [T]>,
}

impl<'a, T> Chunks<'a, T> {
    /// `slice` in chunks of `size` > 0.
    pub fn new(slice: &'a mut [T], size: usize) -> Self {
        let count = slice.len().div_ceil(size);
        Self::of(slice, size, count)
    }

    /// The first `count` chunks of `size`, which may be 0: then all are empty.
    pub fn of(slice: &'a mut [T], size: usize, count: usize) -> Self {
        let last = count.saturating_sub(1).checked_mul(size);
        assert!(last.is_some_and(|last| last <= slice.len()), "chunks inside the slice");
        Self { start: slice.as_mut_ptr(), len: slice.len(), size, count, slice: PhantomData }
    }
}

// SAFETY: a shared `Chunks` only gives out exclusive references to disjoint elements, which is fine on any thread that may
// hold a `&mut T`.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

// SAFETY: chunk `i` is the elements from `i * size` up to the next chunk's first.
unsafe impl<'a, T: Send> Parts for Chunks<'a, T> {
    type Part = &'a mut [T];

    fn count(&self) -> usize {
        self.count
    }

    unsafe fn part(&self, index: usize) -> &'a mut [T] {
        let first = index * self.size;
        // SAFETY: the slice was borrowed exclusively for 'a, the range lies inside it, and no other chunk overlaps.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), self.size.min(self.len - first)) }
    }
}

/// A slice in parts of any lengths, side by side.
pub struct Cut<'a, T> {
    start: *mut T,
    ends: &'a [usize],
    slice: PhantomData<&'a mut [T]>,
}

impl<'a, T> Cut<'a, T> {
    /// `slice` in parts that end at `ends`, which rise; what is beyond the last is in none.
    pub fn new(slice: &'a mut [T], ends: &'a [usize]) -> Self {
        assert!(ends.is_sorted() && ends.last().is_none_or(|&end| end <= slice.len()), "parts inside the slice");
        Self { start: slice.as_mut_ptr(), ends, slice: PhantomData }
    }
}

// SAFETY: as of `Chunks`.
unsafe impl<T: Send> Sync for Cut<'_, T> {}

// SAFETY: part `i` is the elements from the end of the one before it up to its own end.
unsafe impl<'a, T: Send> Parts for Cut<'a, T> {
    type Part = &'a mut [T];

    fn count(&self) -> usize {
        self.ends.len()
    }

    unsafe fn part(&self, index: usize) -> &'a mut [T] {
        let first = if index == 0 { 0 } else { self.ends[index - 1] };
        // SAFETY: the slice was borrowed exclusively for 'a, ends rise and lie inside it, and no other part overlaps.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), self.ends[index] - first) }
    }
}

// SAFETY: part `i` of both halves is disjoint from every other part of them.
unsafe impl<A: Parts, B: Parts> Parts for (A, B) {
    type Part = (A::Part, B::Part);

    fn count(&self) -> usize {
        debug_assert_eq!(self.0.count(), self.1.count());
        self.0.count().min(self.1.count())
    }

    unsafe fn part(&self, index: usize) -> Self::Part {
        // SAFETY: as the caller promises; the count is the smaller one.
        unsafe { (self.0.part(index), self.1.part(index)) }
    }
}

// SAFETY: part `i` of all three is disjoint from every other part of them.
unsafe impl<A: Parts, B: Parts, C: Parts> Parts for (A, B, C) {
    type Part = (A::Part, B::Part, C::Part);

    fn count(&self) -> usize {
        self.0.count().min(self.1.count()).min(self.2.count())
    }

    unsafe fn part(&self, index: usize) -> Self::Part {
        // SAFETY: as the caller promises; the count is the smallest one.
        unsafe { (self.0.part(index), self.1.part(index), self.2.part(index)) }
    }
}
