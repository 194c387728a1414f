//! Tiles in and out of images: whole ones in place, those at the border by way of a small copy.

use super::pooled::pooled;
use super::transform::{Matrix, Sink, Square, Write, square};
use super::{POINTS, Place};
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::part::Output;
use crate::kernels::lanes::{Lanes, WIDTH};

/// The largest tile, 6×6 vectors.
const LARGEST: usize = 36 * WIDTH;

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
        inside.then(|| self.plane + (self.top * width + self.left) * WIDTH)
    }

    /// The first float of a pixel of the window, where it is inside.
    fn pixel(&self, row: usize, column: usize) -> Option<usize> {
        let Maps { height, width, .. } = self.maps;
        let (row, column) = (self.top.wrapping_add(row), self.left.wrapping_add(column));
        (row < height && column < width).then(|| self.plane + (row * width + column) * WIDTH)
    }

    /// Transforms the window (zeros outside) to the points, `stride` floats apart.
    #[inline(always)]
    pub(super) fn read<L: Lanes, T: Matrix<N, 6>, const N: usize>(
        &self,
        l: L,
        matrix: T,
        image: &[f32],
        points: (&mut [f32], usize),
    ) {
        let (points, stride) = points;
        assert!(
            image.len() >= self.plane + self.maps.plane() * WIDTH && points.len() >= (POINTS - 1) * stride + WIDTH,
            "winograd: sizes"
        );
        let to = Square { at: points.as_mut_ptr(), row: 6 * stride, column: stride };
        let mut copy = [0.0; LARGEST];
        let from = if let Some(first) = self.whole(N) {
            Square { at: image[first..].as_ptr(), row: self.maps.width * WIDTH, column: WIDTH }
        } else {
            for (i, to) in copy[..N * N * WIDTH].chunks_exact_mut(WIDTH).enumerate() {
                if let Some(first) = self.pixel(i / N, i % N) {
                    to.copy_from_slice(&image[first..][..WIDTH]);
                }
            }
            Square { at: copy.as_ptr(), row: N * WIDTH, column: WIDTH }
        };
        // SAFETY: `from` is a window inside the image or the copy; the last of the 36 points is inside, as asserted.
        unsafe { square(l, matrix, from, to, &Write) }
    }

    /// Transforms the points, `stride` floats apart, and gives them to `sink` in the window, as far as it is inside; the image
    /// begins at `start` of `output`.
    #[inline(always)]
    pub(super) fn write<L: Lanes, T: Matrix<6, M>, const M: usize>(
        &self,
        l: L,
        matrix: T,
        points: (&[f32], usize),
        (output, start, sink): (&Output<'_>, usize, &impl Sink<L>),
    ) {
        let (points, stride) = points;
        assert!(points.len() >= (POINTS - 1) * stride + WIDTH, "winograd: sizes");
        let image = output.place(start, self.plane + self.maps.plane() * WIDTH);
        let from = Square { at: points.as_ptr(), row: 6 * stride, column: stride };
        if let Some(first) = self.whole(M) {
            // SAFETY: the window is inside the image.
            let to = Square { at: unsafe { image.add(first) }, row: self.maps.width * WIDTH, column: WIDTH };
            // SAFETY: the last point is inside, as asserted; the window is inside the image.
            unsafe { square(l, matrix, from, to, sink) }
        } else {
            let mut copy = [0.0; LARGEST];
            let to = Square { at: copy.as_mut_ptr(), row: M * WIDTH, column: WIDTH };
            // SAFETY: the last point is inside, as asserted; the copy holds M × M vectors.
            unsafe { square(l, matrix, from, to, &Write) }
            for (i, v) in copy[..M * M * WIDTH].chunks_exact(WIDTH).enumerate() {
                if let Some(first) = self.pixel(i / M, i % M) {
                    // SAFETY: both are sixteen floats, the pixel inside the image.
                    unsafe { sink.put(l, image.add(first), l.load(v.as_ptr())) };
                }
            }
        }
    }

    /// Transforms the points, `stride` floats apart, and writes the pooled window, as far as it is inside; the window's place
    /// and the maps are the pooled ones.
    #[inline(always)]
    pub(super) fn write_pooled<L: Lanes>(
        &self,
        l: L,
        points: (&[f32], usize),
        (bias, rectify): (L::V, bool),
        (output, start): (&Output<'_>, usize),
    ) {
        let (points, stride) = points;
        assert!(points.len() >= (POINTS - 1) * stride + WIDTH, "winograd: sizes");
        let image = output.place(start, self.plane + self.maps.plane() * WIDTH);
        // SAFETY: the last point is inside, as asserted.
        let pooled = unsafe { pooled(l, Square { at: points.as_ptr(), row: 6 * stride, column: stride }) };
        let whole = self.whole(2);
        for (row, line) in pooled.iter().enumerate() {
            for (column, &v) in line.iter().enumerate() {
                let inside = whole.map(|first| first + (row * self.maps.width + column) * WIDTH);
                if let Some(first) = inside.or_else(|| self.pixel(row, column)) {
                    let v = l.add(v, bias);
                    // SAFETY: the pixel is inside the image.
                    unsafe { l.store(image.add(first), if rectify { l.max(l.zero(), v) } else { v }) };
                }
            }
        }
    }
}
