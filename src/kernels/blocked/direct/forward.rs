//! The sums themselves.

use super::{Direct, Pair};
use crate::kernels::blocked::blocks;
use crate::kernels::blocked::part::{Output, Part};
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::product;

/// Convolves a part of some images.
pub struct Forward<'a> {
    /// Sizes and direction.
    pub direct: &'a Direct,
    /// Images in the blocked layout.
    pub input: &'a [f32],
    /// Filters by [`super::Pack`].
    pub filters: &'a [f32],
    /// One number a channel, filled up to a block with zeros; none is zeros.
    pub bias: Option<&'a [f32]>,
    /// As many images in the blocked layout.
    pub output: Output<'a>,
    /// Blocks from a multiple of two on.
    pub part: &'a Part,
    /// Whether what is below 0 becomes 0.
    pub rectify: bool,
    /// [`Direct::workspace`] floats.
    pub workspace: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { direct: d, input, filters, bias, output, part, rectify, workspace } = self;
        let images = input.len() / d.read.len();
        assert!(input.len() == images * d.read.len() && output.len() == product([images, d.written.len()]), "direct: other images");
        assert!(
            filters.len() == d.filters && bias.is_none_or(|b| b.len() == blocks(d.written.channels) * WIDTH),
            "direct: filters, bias"
        );
        assert!(part.rows.end <= d.written.height, "direct: rows");
        let frame = &mut workspace[..d.workspace()];
        let width = d.written.width;
        for (image, pixels) in input.chunks_exact(d.read.len()).enumerate() {
            d.embed(pixels, frame, &part.rows);
            for pair in d.pairs.iter().filter(|pair| part.blocks.contains(&pair.block)) {
                let bias = bias.map(|b| &b[pair.block * WIDTH..][..pair.columns * WIDTH]);
                for row in part.rows.clone() {
                    let output = output.place(image * d.written.len(), d.written.len());
                    let mut tiles = Line { d, pair, bias, filters, frame, output, row, rectify };
                    // SAFETY: `Line` computes any pixels of a row for the pair's blocks.
                    unsafe { sweep(l, Extent { rows: width, columns: pair.columns, again: true }, &mut tiles) };
                }
            }
        }
    }
}

/// One row of output pixels of one pair of blocks.
struct Line<'a> {
    d: &'a Direct,
    pair: &'a Pair,
    bias: Option<&'a [f32]>,
    filters: &'a [f32],
    frame: &'a [f32],
    /// The image.
    output: *mut f32,
    row: usize,
    rectify: bool,
}

impl Tiles for Line<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let Direct { step, pixel, frame: (_, columns), written, .. } = *self.d;
        debug_assert!(C == self.pair.columns && column == 0);
        let mut sums: [[L::V; C]; R] = [std::array::from_fn(|c| match self.bias.and_then(|b| b[c * WIDTH..].first_chunk()) {
            Some(bias) => l.read(bias),
            None => l.zero(),
        }); R];
        let mut filters = self.filters[self.pair.filters..].as_ptr();
        let window = self.frame[(self.row * step * columns + row * step) * pixel..].as_ptr();
        for &(offset, count) in &self.pair.pieces {
            let piece = Piece { pixels: window.wrapping_add(offset), filters, count };
            // SAFETY: a piece's offset and length stay inside the frame for every window that starts at an output pixel, and
            // filters hold `count` steps of C vectors for each piece in turn.
            unsafe {
                // Distances that the compiler knows need no arithmetic: those of full blocks and of RGB.
                match (step, pixel) {
                    (1, WIDTH) => accumulate(l, piece, |r| r * WIDTH, &mut sums),
                    (1, 3) => accumulate(l, piece, |r| r * 3, &mut sums),
                    _ => accumulate(l, piece, |r| r * step * pixel, &mut sums),
                }
                filters = filters.add(count * C * WIDTH);
            }
        }
        if self.rectify {
            for row in &mut sums {
                for sum in row {
                    *sum = l.max(l.zero(), *sum);
                }
            }
        }
        let plane = written.plane() * WIDTH;
        let first = self.pair.block * plane + (self.row * written.width + row) * WIDTH;
        // SAFETY: R pixels from `row` on lie in this row of the output, and C blocks from the pair's first.
        unsafe { store(l, &sums, Target { at: self.output.add(first), row: WIDTH, column: plane, add: false }) };
    }
}

/// Floats that lie one after another in the frame, for a window, and what they are multiplied with.
#[derive(Clone, Copy)]
struct Piece {
    pixels: *const f32,
    /// C vectors for each float.
    filters: *const f32,
    count: usize,
}

/// Adds a piece's products; `row` is how far a window's floats are from the first one's.
///
/// # Safety
/// As [`Operands::accumulate`] with steps of one float and C vectors.
#[inline(always)]
unsafe fn accumulate<L: Lanes, const R: usize, const C: usize>(
    l: L,
    piece: Piece,
    row: impl Fn(usize) -> usize,
    sums: &mut [[L::V; C]; R],
) {
    let Piece { pixels: a, filters, count } = piece;
    // SAFETY: as the caller promises.
    unsafe { Operands { a, row, a_step: 1, b: filters, b_step: C * WIDTH, b_column: WIDTH }.accumulate(l, sums, count) }
}
