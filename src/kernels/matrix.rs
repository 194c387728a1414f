//! Plain matrices, row-major, whose sides are whole vectors of sixteen: what an update rule multiplies. Who shares their rows among
//! threads is not known here.

use super::Tier;
use super::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use super::lanes::{Kernel, Lanes, WIDTH};
use super::lengths::product;

/// Products that are added up before the next rows of the right side: what a tile reads of them stays in the nearest cache.
const CHUNK: usize = 64;

/// Two matrices to be multiplied.
#[derive(Clone, Copy)]
pub struct Factors<'a> {
    /// rows × inner.
    pub left: &'a [f32],
    /// inner × columns.
    pub right: &'a [f32],
    /// What both have.
    pub inner: usize,
}

/// `to += left · right`. An entry is the same bits whichever rows are computed together with its own.
pub fn multiply(tier: Tier, factors: Factors<'_>, to: &mut [f32]) {
    tier.run(Product { factors, columns: factors.right.len() / factors.inner, to });
}

/// Writes rows of the transposed of `from` (whose rows have `columns` numbers) to `to`, the one numbered `first` to begin with.
pub fn transpose(columns: usize, from: &[f32], first: usize, to: &mut [f32]) {
    let rows = from.len() / columns;
    let whole = [rows, columns, first, to.len() / rows].iter().all(|side| side.is_multiple_of(WIDTH));
    assert!(whole && to.len().is_multiple_of(rows), "matrix: whole vectors");
    for (band, to) in to.chunks_exact_mut(WIDTH * rows).enumerate() {
        let first = first + band * WIDTH;
        // Squares of sixteen: a column of them is read while its lines are cached.
        for square in (0..rows).step_by(WIDTH) {
            for (column, to) in to.chunks_exact_mut(rows).enumerate() {
                for (row, to) in to[square..square + WIDTH].iter_mut().enumerate() {
                    *to = from[(square + row) * columns + first + column];
                }
            }
        }
    }
}

/// The root of the sum of squares.
pub fn norm(values: &[f32]) -> f64 {
    squares(values).sqrt()
}

/// The sum of squares, added up in one order: finite where all numbers are, since no square of one and no sum of theirs is too large.
pub fn squares(values: &[f32]) -> f64 {
    let mut sums = [0.0f64; WIDTH];
    let (whole, rest) = values.as_chunks::<WIDTH>();
    for sixteen in whole {
        sums.iter_mut().zip(sixteen).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
}

struct Product<'a> {
    factors: Factors<'a>,
    columns: usize,
    to: &'a mut [f32],
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { factors: Factors { left, right, inner }, columns, to } = self;
        let rows = to.len() / columns;
        assert!(
            columns.is_multiple_of(WIDTH)
                && to.len() == product([rows, columns])
                && left.len() == product([rows, inner])
                && right.len() == product([inner, columns]),
            "matrix: sizes"
        );
        for first in (0..inner).step_by(CHUNK) {
            let mut tiles = Entries { left, right, sizes: [inner, columns], steps: first..inner.min(first + CHUNK), to };
            // SAFETY: rows and columns are those of `to`, whose length was checked above with the others.
            unsafe { sweep(l, Extent { rows, columns: columns / WIDTH, again: false }, &mut tiles) };
        }
    }
}

struct Entries<'a> {
    left: &'a [f32],
    right: &'a [f32],
    /// Inner, columns.
    sizes: [usize; 2],
    steps: std::ops::Range<usize>,
    to: &'a mut [f32],
}

impl Tiles for Entries<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let [inner, columns] = self.sizes;
        let mut sums = [[l.zero(); C]; R];
        // SAFETY: the run method checked that both sides and the product have room for every row and column it sweeps.
        unsafe {
            let operands = Operands {
                a: self.left.as_ptr().add(row * inner + self.steps.start),
                row: |r: usize| r * inner,
                a_step: 1,
                b: self.right.as_ptr().add(self.steps.start * columns + column * WIDTH),
                b_step: columns,
                b_column: WIDTH,
            };
            operands.accumulate(l, &mut sums, self.steps.len());
            let at = self.to.as_mut_ptr().add(row * columns + column * WIDTH);
            store(l, &sums, Target { at, row: columns, column: WIDTH, add: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Sums, noise, wide};
    use super::*;

    #[test]
    fn products_are_their_sums_on_every_tier_however_many_rows_are_computed_together() {
        for (rows, inner, columns) in [(16, 16, 16), (48, 80, 32), (7, 130, 16), (33, 1, 48)] {
            let (left, right, before) = (noise(1, rows * inner), noise(2, inner * columns), noise(3, rows * columns));
            let entry = |left: &[f64], right: &[f64], at: usize| -> f64 {
                (0..inner).map(|k| left[at / columns * inner + k] * right[k * columns + at % columns]).sum()
            };
            let expected = (0..rows * columns).map(|at| f64::from(before[at]) + entry(&wide(&left), &wide(&right), at)).collect();
            let expected = Sums::new(expected, &[inner as f64 / 9.0]);
            for tier in Tier::all() {
                let found = [rows, 3].map(|together| {
                    let mut to = before.clone();
                    for (left, to) in left.chunks(together * inner).zip(to.chunks_mut(together * columns)) {
                        multiply(tier, Factors { left, right: &right, inner }, to);
                    }
                    to
                });
                expected.assert_are(&found[0], &format!("{tier} {rows} × {inner} × {columns}"));
                assert_eq!(found[0], found[1]);
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        let (rows, columns) = (48, 80);
        let from = noise(1, rows * columns);
        let mut to = vec![f32::NAN; rows * columns];
        let (start, end) = to.split_at_mut(32 * rows);
        transpose(columns, &from, 32, end);
        transpose(columns, &from, 0, start);
        assert!((0..rows * columns).all(|at| to[at] == from[at % rows * columns + at / rows]));
    }

    #[test]
    fn a_norm_is_of_all_numbers() {
        assert_eq!(norm(&[3.0, 0.0, 4.0]), 5.0);
        assert_eq!(norm(&[1.0; 400]), 20.0);
        assert!(squares(&[f32::MAX; 40]).is_finite());
        for (place, wrong) in [(0, f32::NAN), (17, f32::INFINITY), (39, f32::NEG_INFINITY)] {
            let mut values = [1.0; 40];
            values[place] = wrong;
            assert!(!squares(&values).is_finite(), "{wrong} at {place}");
        }
    }
}
