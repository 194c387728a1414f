//! Tiles in and out of images, in place, over the border too: what is outside reads as zeros and is not written.

use std::ops::Range;

use super::pooled::pooled;
use super::transform::{Lying, Matrix, Sink, Square, Whole, Write, square};
use super::{POINT, POINTS, Place};
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::part::Output;
use crate::kernels::lanes::{Lanes, WIDTH};

/// The points of a tile.
pub(super) const TILE: Whole = Whole { row: 6 * POINT, column: POINT };
/// Floats from a tile's first point to the end of its last.
const SPAN: usize = (POINTS - 1) * POINT + WIDTH;

/// A square of pixels that may reach over an image's border.
#[derive(Clone, Copy)]
pub(super) struct Window {
    maps: Maps,
    /// First float of the block's plane in the image.
    plane: usize,
    /// First row and column; a negative one wraps to a huge number, so that one comparison finds both borders.
    top: usize,
    left: usize,
}

/// Where tiles leave to, and what happens to them there.
pub(super) struct Leaving<'a, 'b, S> {
    pub(super) output: &'a Output<'b>,
    /// Where the image begins in it.
    pub(super) start: usize,
    pub(super) sink: &'a S,
}

/// The part of a window that is inside the image.
struct Inside {
    rows: Range<usize>,
    columns: Range<usize>,
    /// Floats from the plane's first to the window's, which may be before it and then wraps.
    first: usize,
    width: usize,
}

impl Square for Inside {
    #[inline(always)]
    fn place(&self, row: usize, column: usize) -> Option<usize> {
        let inside = self.rows.contains(&row) && self.columns.contains(&column);
        inside.then(|| self.first.wrapping_add((row * self.width + column) * WIDTH))
    }
}

impl Window {
    /// The window of a block of channels whose corner lies `shift` rows and columns before a tile's.
    pub(super) fn new(maps: Maps, block: usize, place: Place, shift: usize) -> Self {
        let plane = block * maps.plane() * WIDTH;
        Self { maps, plane, top: place.row.wrapping_sub(shift), left: place.column.wrapping_sub(shift) }
    }

    /// The first float, where the whole side × side window is inside.
    #[inline(always)]
    fn whole(&self, side: usize) -> Option<usize> {
        let Maps { height, width, .. } = self.maps;
        let inside = self.top < height && self.left < width && self.top + side <= height && self.left + side <= width;
        inside.then(|| (self.top * width + self.left) * WIDTH)
    }

    /// What of a side × side window is inside.
    #[inline(always)]
    fn inside(&self, side: usize) -> Inside {
        let Maps { height, width, .. } = self.maps;
        // From the first that is not before the border to the last that is not behind it.
        let cut = |first: usize, len: usize| {
            let before = if first < len { 0 } else { first.wrapping_neg().min(side) };
            before..side.min(len.wrapping_sub(first)).max(before)
        };
        let first = self.top.wrapping_mul(width).wrapping_add(self.left).wrapping_mul(WIDTH);
        Inside { rows: cut(self.top, height), columns: cut(self.left, width), first, width }
    }

    /// Transforms the window (zeros outside) to a tile's points.
    #[inline(always)]
    pub(super) fn read<L: Lanes, T: Matrix<N, 6>, const N: usize>(&self, l: L, matrix: T, image: &[f32], points: &mut [f32]) {
        let plane = &image[self.plane..][..self.maps.plane() * WIDTH];
        let tile = Lying { base: points[..SPAN].as_mut_ptr(), places: &TILE };
        if let Some(first) = self.whole(N) {
            let from = Whole { row: self.maps.width * WIDTH, column: WIDTH };
            // SAFETY: the window is inside the plane, the points are as many as they span.
            unsafe { square(l, matrix, Lying { base: plane[first..].as_ptr(), places: &from }, tile, &Write) }
        } else {
            // SAFETY: places are given only inside the plane.
            unsafe { square(l, matrix, Lying { base: plane.as_ptr(), places: &self.inside(N) }, tile, &Write) }
        }
    }

    /// Transforms a tile's points and lets them leave in the window, as far as it is inside.
    #[inline(always)]
    pub(super) fn write<L: Lanes, T: Matrix<6, M>, const M: usize>(
        &self,
        l: L,
        matrix: T,
        points: &[f32],
        leaving: &Leaving<'_, '_, impl Sink<L>>,
    ) {
        let Leaving { output, start, sink } = *leaving;
        let plane = output.place(start + self.plane, self.maps.plane() * WIDTH);
        let tile = Lying { base: points[..SPAN].as_ptr(), places: &TILE };
        if let Some(first) = self.whole(M) {
            let to = Whole { row: self.maps.width * WIDTH, column: WIDTH };
            // SAFETY: the points are as many as they span; the window is inside the plane.
            unsafe { square(l, matrix, tile, Lying { base: plane.add(first), places: &to }, sink) }
        } else {
            // SAFETY: places are given only inside the plane.
            unsafe { square(l, matrix, tile, Lying { base: plane, places: &self.inside(M) }, sink) }
        }
    }

    /// Transforms a tile's points and lets the pooled window leave, as far as it is inside; the window's place and the maps are the
    /// pooled ones.
    #[inline(always)]
    pub(super) fn write_pooled<L: Lanes>(&self, l: L, points: &[f32], leaving: &Leaving<'_, '_, impl Sink<L>>) {
        let Leaving { output, start, sink } = *leaving;
        let plane = output.place(start + self.plane, self.maps.plane() * WIDTH);
        // SAFETY: the points are as many as they span.
        let pooled = unsafe { pooled(l, Lying { base: points[..SPAN].as_ptr(), places: &TILE }) };
        let inside = self.inside(2);
        for (row, line) in pooled.into_iter().enumerate() {
            for (column, v) in line.into_iter().enumerate() {
                if let Some(place) = inside.place(row, column) {
                    // SAFETY: places are given only inside the plane.
                    unsafe { sink.put(l, plane.add(place), v) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_what_two_comparisons_a_pixel_say() {
        let maps = Maps { channels: 16, height: 5, width: 7 };
        for (row, column, shift, side) in (0..8).flat_map(|row| (0..8).map(move |column| (row, column, 2, 6))).chain([(4, 4, 0, 4)])
        {
            let window = Window::new(maps, 0, Place { image: 0, row, column }, shift);
            let inside = window.inside(side);
            for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
                let (py, px) = ((row + y) as isize - shift as isize, (column + x) as isize - shift as isize);
                let there = (0..5).contains(&py) && (0..7).contains(&px);
                assert_eq!(inside.place(y, x), there.then_some(((py * 7 + px) * 16) as usize), "{row} {column} {y} {x}");
            }
        }
    }
}
