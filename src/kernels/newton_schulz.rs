//! Newton-Schulz's iteration: brings all singular values of a matrix near 1 by products alone (Bernstein and Newhouse, "Old
//! Optimizer, New Norm", 2024, section 4; Jordan and others, "Muon", 2024).

use std::ops::Range;

use super::buffer::held;
use super::lanes::WIDTH;
use super::matrix::{Factors, multiply, norm, transpose};
use super::team::Cut;
use super::{Buffer, Team, Tier};

/// Rows that one task computes.
const ROWS: usize = 32;

/// A polynomial and how often it is applied.
#[derive(Debug, Clone, Copy)]
pub struct NewtonSchulz {
    /// Of X, A·X and A²·X, where A = X·Xᵀ.
    pub coefficients: [f32; 3],
    /// Added to the Frobenius norm that the matrix is divided by first.
    pub eps: f32,
    /// Iterations.
    pub steps: u32,
}

/// Room for several matrices that are brought on together, side by side: every step of the iteration is one region of the team over
/// pieces of all their rows, so that no thread waits while another one is at a matrix. Zeros fill their sides up to whole vectors, which
/// changes nothing. No bit of a matrix depends on the others, nor on the threads.
#[derive(Debug, Default)]
pub struct Squares {
    matrices: Vec<Matrix>,
    /// Where each matrix ends among all of them.
    ends: Vec<usize>,
    /// Pieces of the matrices' rows, of their columns, and of the products' rows.
    rows: Pieces,
    columns: Pieces,
    grams: Pieces,
    matrix: Buffer,
    next: Buffer,
    transposed: Buffer,
    gram: Buffer,
    scaled: Buffer,
    polynomial: Buffer,
}

/// A matrix as it is computed: the shorter side first.
#[derive(Debug, Clone, Copy)]
struct Matrix {
    /// Rows and columns of what is loaded.
    given: [usize; 2],
    short: usize,
    long: usize,
    /// Whether rows of what is loaded are columns here.
    turned: bool,
    /// Where it, and its square of the shorter side, begin among those of all.
    first: usize,
    square: usize,
}

/// Rows of several matrices, in pieces that one task computes.
#[derive(Debug, Default)]
struct Pieces {
    ends: Vec<usize>,
    /// Of each piece its matrix, and its first row there.
    of: Vec<(usize, usize)>,
}

impl Pieces {
    fn clear(&mut self) {
        self.ends.clear();
        self.of.clear();
    }

    /// Adds those of a matrix of this shape, which is numbered `matrix`.
    fn add(&mut self, matrix: usize, [rows, columns]: [usize; 2]) {
        let before = self.ends.last().copied().unwrap_or(0);
        for first in (0..rows).step_by(ROWS) {
            self.ends.push(before + rows.min(first + ROWS) * columns);
            self.of.push((matrix, first));
        }
    }

    fn cut<'a>(&'a self, numbers: &'a mut [f32]) -> Cut<'a, f32> {
        Cut::new(numbers, &self.ends)
    }
}

impl Matrix {
    fn new(given: [usize; 2], first: usize, square: usize) -> Self {
        let [tall, wide] = given.map(|side| side.next_multiple_of(WIDTH));
        Self { given, short: tall.min(wide), long: tall.max(wide), turned: tall > wide, first, square }
    }

    fn range(self) -> Range<usize> {
        self.first..self.first + self.short * self.long
    }

    fn square(self) -> Range<usize> {
        self.square..self.square + self.short * self.short
    }
}

impl Squares {
    /// Takes matrices of these shapes (rows, columns) from here on; [`Squares::load`] says what is in them.
    pub fn take(&mut self, shapes: impl Iterator<Item = [usize; 2]>) {
        self.matrices.clear();
        self.ends.clear();
        [&mut self.rows, &mut self.columns, &mut self.grams].into_iter().for_each(Pieces::clear);
        let (mut first, mut square) = (0, 0);
        for (at, given) in shapes.enumerate() {
            let matrix = Matrix::new(given, first, square);
            let Matrix { short, long, .. } = matrix;
            (first, square) = (matrix.range().end, matrix.square().end);
            self.matrices.push(matrix);
            self.ends.push(first);
            self.rows.add(at, [short, long]);
            self.columns.add(at, [long, short]);
            self.grams.add(at, [short, short]);
        }
        for buffer in [&mut self.matrix, &mut self.next, &mut self.transposed] {
            buffer.grow(first);
        }
        for buffer in [&mut self.gram, &mut self.scaled, &mut self.polynomial] {
            buffer.grow(square);
        }
    }

    /// Bytes of the room for matrices of these shapes.
    pub fn bytes(shapes: impl Iterator<Item = [usize; 2]>) -> usize {
        let (first, square) = shapes.fold((0, 0), |(first, square), given| {
            let matrix = Matrix::new(given, first, square);
            (matrix.range().end, matrix.square().end)
        });
        3 * (held(first) + held(square))
    }

    /// Numbers of a matrix of this shape here.
    pub fn numbers(given: [usize; 2]) -> usize {
        Matrix::new(given, 0, 0).range().end
    }

    /// Reads all entries, given the number of the matrix, row and column.
    pub fn load(&mut self, team: &Team, entry: impl Fn(usize, usize, usize) -> f32 + Sync) {
        let Self { matrices, rows, matrix, .. } = self;
        team.each(rows.cut(matrix), |task, to| {
            let (at, first) = rows.of[task];
            let Matrix { given: [tall, wide], long, turned, .. } = matrices[at];
            for (row, to) in (first..).zip(to.chunks_exact_mut(long)) {
                for (column, to) in to.iter_mut().enumerate() {
                    let (row, column) = if turned { (column, row) } else { (row, column) };
                    // Fillers are zeros.
                    *to = if row < tall && column < wide { entry(at, row, column) } else { 0.0 };
                }
            }
        });
    }

    /// An entry, given the number of the matrix, row and column of what was loaded.
    pub fn entry(&self, at: usize, row: usize, column: usize) -> f32 {
        let Matrix { long, turned, first, .. } = self.matrices[at];
        let (row, column) = if turned { (column, row) } else { (row, column) };
        self.matrix[first + row * long + column]
    }

    /// Iterates.
    pub fn run(&mut self, tier: Tier, team: &Team, rule: &NewtonSchulz) {
        let [a, b, c] = rule.coefficients;
        let Self { matrices, ends, rows, columns, grams, matrix, next, transposed, gram, scaled, polynomial } = self;
        let of = |pieces: &Pieces, task: usize| (matrices[pieces.of[task].0], pieces.of[task].1);
        team.each(Cut::new(matrix, ends), |_, matrix| {
            let scale = 1.0 / (norm(matrix) + f64::from(rule.eps));
            for x in matrix {
                *x = (f64::from(*x) * scale) as f32;
            }
        });
        for _ in 0..rule.steps {
            team.each(columns.cut(transposed), |task, to| {
                let (own, first) = of(columns, task);
                transpose(own.long, &matrix[own.range()], first, to);
            });
            team.each((grams.cut(gram), grams.cut(scaled)), |task, (gram, scaled)| {
                let (own, first) = of(grams, task);
                let left = &matrix[own.first + first * own.long..][..gram.len() / own.short * own.long];
                gram.fill(0.0);
                multiply(tier, Factors { left, right: &transposed[own.range()], inner: own.long }, gram);
                scaled.iter_mut().zip(gram).for_each(|(to, x)| *to = c * *x);
            });
            team.each(grams.cut(polynomial), |task, to| {
                let (own, first) = of(grams, task);
                let place = own.square + first * own.short;
                to.iter_mut().zip(&gram[place..]).for_each(|(to, x)| *to = b * x);
                let left = &scaled[place..][..to.len()];
                multiply(tier, Factors { left, right: &gram[own.square()], inner: own.short }, to);
            });
            team.each(rows.cut(next), |task, to| {
                let (own, first) = of(rows, task);
                to.iter_mut().zip(&matrix[own.first + first * own.long..]).for_each(|(to, x)| *to = a * x);
                let left = &polynomial[own.square + first * own.short..][..to.len() / own.long * own.short];
                multiply(tier, Factors { left, right: &matrix[own.range()], inner: own.short }, to);
            });
            std::mem::swap(matrix, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::newton_schulz as formula;
    use super::super::testing::{noise, rms, wide};
    use super::*;

    const RULE: NewtonSchulz = NewtonSchulz { coefficients: [3.4445, -4.7750, 2.0315], eps: 1e-7, steps: 5 };

    fn found(tier: Tier, threads: usize, [rows, columns]: [usize; 2], values: &[f32]) -> Vec<f32> {
        let (mut squares, team) = (Squares::default(), Team::new(threads));
        // What other matrices left is not seen.
        squares.take([[200, 40]].into_iter());
        squares.load(&team, |_, _, _| 7.0);
        squares.take([[rows, columns]].into_iter());
        squares.load(&team, |_, row, column| values[row * columns + column]);
        squares.run(tier, &team, &RULE);
        (0..rows * columns).map(|at| squares.entry(0, at / columns, at % columns)).collect()
    }

    const SHAPES: [[usize; 2]; 7] = [[1, 1], [16, 27], [17, 288], [64, 24], [40, 9], [3, 1], [33, 33]];

    #[test]
    fn odd_shapes_are_their_formula_on_every_tier_whatever_the_threads() {
        let coefficients = RULE.coefficients.map(f64::from);
        for [rows, columns] in SHAPES {
            let values = noise(5, rows * columns);
            let expected = formula::orthogonalize(rows, &wide(&values), coefficients, RULE.steps);
            for tier in Tier::all() {
                let one = found(tier, 1, [rows, columns], &values);
                let off = one.iter().zip(&expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
                assert!(off < 1e-4 * rms(&expected), "{tier} {rows} × {columns}: off by {off} of {}", rms(&expected));
                assert_eq!(one, found(tier, 3, [rows, columns], &values), "{tier} {rows} × {columns}");
            }
        }
    }

    #[test]
    fn matrices_that_are_brought_on_together_are_each_what_they_are_alone() {
        let values: Vec<Vec<f32>> = (1..).zip(SHAPES).map(|(seed, [rows, columns])| noise(seed, rows * columns)).collect();
        for (tier, threads) in Tier::all().flat_map(|tier| [1, 2, 5].map(|threads| (tier, threads))) {
            let (mut squares, team) = (Squares::default(), Team::new(threads));
            squares.take(SHAPES.into_iter());
            squares.load(&team, |at, row, column| values[at][row * SHAPES[at][1] + column]);
            squares.run(tier, &team, &RULE);
            for (at, ([rows, columns], values)) in SHAPES.into_iter().zip(&values).enumerate() {
                let together: Vec<f32> = (0..rows * columns).map(|of| squares.entry(at, of / columns, of % columns)).collect();
                assert_eq!(together, found(tier, 1, [rows, columns], values), "{tier}, {threads} threads: {rows} × {columns}");
            }
        }
    }

    #[test]
    fn rows_end_up_orthogonal_and_about_one_long() {
        let (rows, columns) = (24, 100);
        let out = found(Tier::detect(), 2, [rows, columns], &noise(1, rows * columns));
        for (a, b) in (0..rows).flat_map(|a| (0..rows).map(move |b| (a, b))) {
            let dot: f32 = (0..columns).map(|at| out[a * columns + at] * out[b * columns + at]).sum();
            assert!(if a == b { (0.4..1.6).contains(&dot) } else { dot.abs() < 0.4 }, "{a} {b}: {dot}");
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        assert!(found(Tier::detect(), 1, [4, 6], &[0.0; 24]).iter().all(|&x| x == 0.0));
    }
}
