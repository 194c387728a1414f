//! The register tile that every product here is made of: R rows × C vectors of sums, held in registers while their common
//! dimension passes by.
//!
//! One step multiplies R broadcast numbers of `a` with C vectors of `b`. How the numbers lie in memory differs: in a direct
//! convolution the rows are pixels, in a filter gradient input channels, in Winograd's domain tiles, in a fully connected
//! layer features; so addresses are given by strides, and the row's by a function that the compiler folds into constants
//! where it can.

use crate::kernels::lanes::Lanes;

/// Where a tile's operands lie; strides count floats.
#[derive(Clone, Copy)]
pub(crate) struct Operands<F> {
    /// Row 0's first number.
    pub a: *const f32,
    /// Offset of a row's numbers from row 0's.
    pub row: F,
    /// From one step's numbers to the next one's.
    pub a_step: usize,
    /// The first step's first vector.
    pub b: *const f32,
    /// From one step's vectors to the next one's.
    pub b_step: usize,
    /// From one vector to the next within a step.
    pub b_column: usize,
}

impl<F: Fn(usize) -> usize> Operands<F> {
    /// Adds `steps` products to the sums.
    ///
    /// # Safety
    /// For every step s, row r and column c, `a + row(r) + s * a_step` is valid for reads of one float and
    /// `b + s * b_step + c * b_column` of sixteen.
    #[inline(always)]
    pub(crate) unsafe fn accumulate<L: Lanes, const R: usize, const C: usize>(
        &self,
        l: L,
        sums: &mut [[L::V; C]; R],
        steps: usize,
    ) {
        let (mut a, mut b) = (self.a, self.b);
        for _ in 0..steps {
            // SAFETY: reads as the caller promises; after the last step the pointers are not read again.
            unsafe {
                let vectors: [L::V; C] = std::array::from_fn(|c| l.load(b.add(c * self.b_column)));
                for (r, row) in sums.iter_mut().enumerate() {
                    let number = l.splat(*a.add((self.row)(r)));
                    for (sum, vector) in row.iter_mut().zip(vectors) {
                        *sum = l.mul_add(number, vector, *sum);
                    }
                }
                a = a.wrapping_add(self.a_step);
                b = b.wrapping_add(self.b_step);
            }
        }
    }
}

/// Something made of tiles.
pub(crate) trait Tiles {
    /// Computes the tile of R rows and C vectors at `row` and `column`.
    ///
    /// # Safety
    /// Row + R and column + C are within what [`sweep`] was given, which its caller matched to the operands.
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize);
}

/// Rows and vectors to be covered.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Rows in all.
    pub rows: usize,
    /// Vectors of sixteen in all.
    pub columns: usize,
    /// Whether the last tile may cover rows again that are done: right where a tile is overwritten, wrong where it is added to.
    pub again: bool,
}

/// Covers `extent` with the tiles that fit the registers, column by column so that a column's vectors stay cached.
///
/// # Safety
/// `tiles` can compute every tile inside `extent`.
#[inline(always)]
pub(crate) unsafe fn sweep<L: Lanes>(l: L, extent: Extent, tiles: &mut impl Tiles) {
    let mut column = 0;
    // SAFETY: the columns stay inside the extent.
    unsafe {
        while column + 2 <= extent.columns {
            sweep_rows::<L, 2>(l, extent, column, tiles);
            column += 2;
        }
        if column < extent.columns {
            sweep_rows::<L, 1>(l, extent, column, tiles);
        }
    }
}

#[inline(always)]
unsafe fn sweep_rows<L: Lanes, const C: usize>(l: L, extent: Extent, column: usize, tiles: &mut impl Tiles) {
    let Extent { rows, again, .. } = extent;
    let mut row = 0;
    // SAFETY: every tile's rows lie inside the extent.
    unsafe {
        if L::WIDE {
            while row + 8 <= rows {
                tiles.tile::<L, 8, C>(l, row, column);
                row += 8;
            }
            if again && row < rows && rows >= 8 {
                return tiles.tile::<L, 8, C>(l, rows - 8, column);
            }
            if row + 4 <= rows {
                tiles.tile::<L, 4, C>(l, row, column);
                row += 4;
            }
            if again && row < rows && rows >= 4 {
                return tiles.tile::<L, 4, C>(l, rows - 4, column);
            }
        }
        while row + 2 <= rows {
            tiles.tile::<L, 2, C>(l, row, column);
            row += 2;
        }
        if row < rows {
            tiles.tile::<L, 1, C>(l, row, column);
        }
    }
}

/// Writes sums to `c + (row * c_row + column * c_column)`, or adds them to what is there.
///
/// # Safety
/// Those places are valid for reads and writes of sixteen floats.
#[inline(always)]
pub(crate) unsafe fn store<L: Lanes, const R: usize, const C: usize>(l: L, sums: &[[L::V; C]; R], to: Target) {
    for (r, row) in sums.iter().enumerate() {
        for (c, &sum) in row.iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe {
                let at = to.at.add(r * to.row + c * to.column);
                l.store(at, if to.add { l.add(l.load(at), sum) } else { sum });
            }
        }
    }
}

/// Where a tile goes; strides count floats.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The first row's first vector.
    pub at: *mut f32,
    /// From row to row.
    pub row: usize,
    /// From vector to vector.
    pub column: usize,
    /// Whether to add to what is there.
    pub add: bool,
}
