//! Parts of one convolution's output, for several threads: rows and blocks of channels that each computes alone.

use std::marker::PhantomData;
use std::ops::Range;

use super::{Maps, blocks};
use crate::kernels::team::Parts;

/// What happens to a convolution's result before it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finish {
    /// Below 0 it becomes 0; NaN stays.
    pub rectify: bool,
    /// Only the maximum of each 2×2 square is written; a last odd row or column is left out.
    pub pool: bool,
}

impl Finish {
    /// Shape of what is written where a convolution gives `maps`.
    pub fn written(self, maps: Maps) -> Maps {
        if self.pool { Maps { height: maps.height / 2, width: maps.width / 2, ..maps } } else { maps }
    }
}

/// Rows and blocks of channels of every image's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Rows (before pooling).
    pub rows: Range<usize>,
    /// Blocks of sixteen channels.
    pub blocks: Range<usize>,
}

impl Part {
    /// Everything.
    pub fn whole(maps: Maps) -> Self {
        Self { rows: 0..maps.height, blocks: 0..blocks(maps.channels) }
    }
}

/// A convolution's output cut into parts: bands of whole steps of rows where there are enough of them, else ranges of whole
/// chunks of blocks.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    maps: Maps,
    /// Whether into bands of rows.
    bands: bool,
    /// Rows or blocks of a part.
    size: usize,
}

impl Split {
    /// About `wanted` parts, in units of `step` rows or `chunk` blocks.
    pub fn new(maps: Maps, wanted: usize, (step, chunk): (usize, usize)) -> Self {
        let (rows, chunks) = (maps.height.div_ceil(step), blocks(maps.channels).div_ceil(chunk));
        let bands = rows >= wanted.min(chunks);
        let size = if bands { rows.div_ceil(wanted) * step } else { chunks.div_ceil(wanted) * chunk };
        Self { maps, bands, size }
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        let whole = Part::whole(self.maps);
        if self.bands { whole.rows.len().div_ceil(self.size) } else { whole.blocks.len().div_ceil(self.size) }
    }

    /// One of them.
    pub fn part(&self, at: usize) -> Part {
        let whole = Part::whole(self.maps);
        let cut = |all: &Range<usize>| at * self.size..all.end.min((at + 1) * self.size);
        if self.bands { Part { rows: cut(&whole.rows), ..whole } } else { Part { blocks: cut(&whole.blocks), ..whole } }
    }
}

/// Images that are written, of which other threads may write other parts.
pub struct Output<'a> {
    at: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

impl<'a> Output<'a> {
    /// All of `slice`, for one.
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self { at: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// Floats.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place of `count` floats from `first` on, which are inside. Only those of the own part may be touched.
    #[inline(always)]
    pub(crate) fn place(&self, first: usize, count: usize) -> *mut f32 {
        assert!(first <= self.len && count <= self.len - first, "inside the output");
        // SAFETY: the place lies inside the slice this was made of.
        unsafe { self.at.add(first) }
    }

    /// The same images, for somebody who writes another part.
    ///
    /// # Safety
    /// No float is touched through two of them without the end of the one's use before the other's.
    pub(crate) unsafe fn again(&self) -> Self {
        Self { slice: PhantomData, ..*self }
    }
}

// SAFETY: it is an exclusive slice, or by the promise of `again` exclusive floats of one, which may go to other threads.
unsafe impl Send for Output<'_> {}
// SAFETY: a shared reference gives out places (whose use is unsafe) and lengths.
unsafe impl Sync for Output<'_> {}

/// One output given out in the parts of a list that do not overlap.
pub(crate) struct Shared<'a> {
    output: Output<'a>,
    count: usize,
}

impl<'a> Shared<'a> {
    /// `count` users of `output`, each of which writes floats that no other does.
    ///
    /// # Safety
    /// They do.
    pub(crate) unsafe fn new(output: &'a mut [f32], count: usize) -> Self {
        Self { output: Output::new(output), count }
    }
}

// SAFETY: whoever made it promised that its users touch different floats.
unsafe impl<'a> Parts for Shared<'a> {
    type Part = Output<'a>;

    fn count(&self) -> usize {
        self.count
    }

    unsafe fn part(&self, _: usize) -> Output<'a> {
        // SAFETY: as promised to `new`, and the caller takes each index once.
        unsafe { self.output.again() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        for (channels, height) in [(32, 32), (16, 7), (256, 7), (100, 3), (1, 1), (80, 33)] {
            let maps = Maps { channels, height, width: 5 };
            for (wanted, units) in [(1, (4, 4)), (2, (4, 4)), (4, (1, 2)), (7, (1, 2))] {
                let mut seen = vec![0; height * blocks(channels)];
                let split = Split::new(maps, wanted, units);
                for part in (0..split.count()).map(|at| split.part(at)) {
                    assert!(part.rows.start % units.0 == 0 && part.blocks.start % units.1 == 0);
                    for row in part.rows {
                        part.blocks.clone().for_each(|block| seen[row * blocks(channels) + block] += 1);
                    }
                }
                assert!(seen.iter().all(|&n| n == 1), "{maps:?} {wanted}");
            }
        }
    }
}
