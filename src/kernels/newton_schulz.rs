//! Newton-Schulz's iteration: brings all singular values of a matrix near 1 by products alone (Bernstein and Newhouse, "Old
//! Optimizer, New Norm", 2024, section 4; Jordan and others, "Muon", 2024).

use super::lanes::WIDTH;
use super::matrix::{Factors, multiply, norm, transpose};
use super::{Buffer, Team, Tier};

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

/// Room for one matrix at a time; zeros fill its sides up to whole vectors, which changes nothing.
#[derive(Debug, Default)]
pub struct Square {
    /// Sides as they are computed: the shorter one first.
    sides: [usize; 2],
    /// Whether rows of what was loaded are columns here.
    turned: bool,
    matrix: Buffer,
    next: Buffer,
    transposed: Buffer,
    gram: Buffer,
    scaled: Buffer,
    polynomial: Buffer,
}

impl Square {
    /// Takes the matrix of this shape with these entries, given row and column.
    pub fn load(&mut self, [rows, columns]: [usize; 2], entry: impl Fn(usize, usize) -> f32) {
        let [tall, wide] = [rows, columns].map(|side| side.next_multiple_of(WIDTH));
        self.turned = tall > wide;
        self.sides = [tall.min(wide), tall.max(wide)];
        // Fillers must be zeros.
        self.matrix.resize(0);
        self.matrix.resize(tall * wide);
        for row in 0..rows {
            for column in 0..columns {
                let place = self.place(row, column);
                self.matrix[place] = entry(row, column);
            }
        }
    }

    /// An entry, given row and column of what was loaded.
    pub fn entry(&self, row: usize, column: usize) -> f32 {
        self.matrix[self.place(row, column)]
    }

    fn place(&self, row: usize, column: usize) -> usize {
        let (row, column) = if self.turned { (column, row) } else { (row, column) };
        row * self.sides[1] + column
    }

    /// Iterates.
    pub fn run(&mut self, tier: Tier, team: &Team, rule: &NewtonSchulz) {
        let [short, long] = self.sides;
        let [a, b, c] = rule.coefficients;
        let Self { matrix, next, transposed, gram, scaled, polynomial, .. } = self;
        for (buffer, len) in [(&mut *next, long), (&mut *transposed, long), (&mut *gram, short), (&mut *scaled, short)] {
            buffer.resize(short * len);
        }
        polynomial.resize(short * short);
        let scale = 1.0 / (norm(matrix) + f64::from(rule.eps));
        matrix.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
        for _ in 0..rule.steps {
            transpose(team, long, matrix, transposed);
            multiply(tier, team, Factors { left: matrix, right: transposed, inner: long }, gram, |_, rows| rows.fill(0.0));
            scaled.iter_mut().zip(&gram[..]).for_each(|(to, x)| *to = c * x);
            let from = |values: &[f32], by: f32, first: usize, to: &mut [f32]| {
                to.iter_mut().zip(&values[first..]).for_each(|(to, x)| *to = by * x);
            };
            let square = Factors { left: scaled, right: gram, inner: short };
            multiply(tier, team, square, polynomial, |first, rows| from(gram, b, first * short, rows));
            let moved = Factors { left: polynomial, right: matrix, inner: short };
            multiply(tier, team, moved, next, |first, rows| from(matrix, a, first * long, rows));
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
        let mut square = Square::default();
        // What another matrix left is not seen.
        square.load([20, 40], |_, _| 7.0);
        square.load([rows, columns], |row, column| values[row * columns + column]);
        square.run(tier, &Team::new(threads), &RULE);
        (0..rows * columns).map(|at| square.entry(at / columns, at % columns)).collect()
    }

    #[test]
    fn odd_shapes_are_their_formula_on_every_tier_whatever_the_threads() {
        let coefficients = RULE.coefficients.map(f64::from);
        for [rows, columns] in [[1, 1], [16, 27], [17, 288], [64, 24], [40, 9], [3, 1], [33, 33]] {
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
