//! A normal distribution of vectors: its mean, and what brings its covariance to the unit matrix.

use serde::{Deserialize, Serialize};

/// Added to each variance, as a share of it and as it is: numbers that depend on one another, or never change, are no reason not to
/// have a distribution.
const RIDGE: (f64, f64) = (1e-3, 1e-9);

/// A normal distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    /// Its mean.
    pub mean: Vec<f32>,
    /// The inverse of its covariance's Cholesky factor: the lower triangle, row by row.
    pub factor: Vec<f32>,
}

impl Gaussian {
    /// The square of Mahalanobis's distance of `vector`, which has as many numbers as the mean.
    pub fn distance(&self, vector: &[f64]) -> f64 {
        let off: Vec<f64> = vector.iter().zip(&self.mean).map(|(value, &mean)| value - f64::from(mean)).collect();
        let mut rest = &self.factor[..];
        let rows = (1..=off.len()).map(|length| {
            let (row, below) = rest.split_at(length);
            rest = below;
            dot(row, &off[..length]).powi(2)
        });
        rows.sum()
    }

    /// Whether it is one of vectors of so many numbers; else what is wrong.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, numbers: usize) -> Result<(), String> {
        let wanted = [numbers, numbers * (numbers + 1) / 2];
        if [self.mean.len(), self.factor.len()] != wanted {
            return Err(format!("must have {} and {} numbers for images of this size", wanted[0], wanted[1]));
        }
        let finite = self.mean.iter().chain(&self.factor).all(|number| number.is_finite());
        if finite { Ok(()) } else { Err("has numbers that are not finite".into()) }
    }
}

/// Four sums side by side, so that none waits for its last addition.
fn dot(row: &[f32], off: &[f64]) -> f64 {
    let ((row, row_rest), (off, off_rest)) = (row.as_chunks::<4>(), off.as_chunks::<4>());
    let mut lanes = [0.0; 4];
    for (factors, values) in row.iter().zip(off) {
        lanes.iter_mut().zip(factors.iter().zip(values)).for_each(|(sum, (&factor, value))| *sum += f64::from(factor) * value);
    }
    let rest = row_rest.iter().zip(off_rest).map(|(&factor, value)| f64::from(factor) * value);
    lanes.into_iter().chain(rest).sum()
}

/// Sums that a [`Gaussian`] is made of, vector by vector: no more memory for many than for one.
#[derive(Debug, Clone)]
pub struct Moments {
    count: f64,
    /// The first vector: sums are of what lies off it, so that little is lost in them.
    origin: Vec<f64>,
    sums: Vec<f64>,
    /// Lower triangle, row by row.
    products: Vec<f64>,
}

impl Moments {
    /// Of vectors of so many numbers.
    pub fn new(numbers: usize) -> Self {
        let products = vec![0.0; numbers * (numbers + 1) / 2];
        Self { count: 0.0, origin: Vec::new(), sums: vec![0.0; numbers], products }
    }

    /// One more.
    pub fn add(&mut self, vector: &[f64]) {
        if self.origin.is_empty() {
            self.origin = vector.to_vec();
        }
        let off: Vec<f64> = vector.iter().zip(&self.origin).map(|(value, origin)| value - origin).collect();
        self.count += 1.0;
        let mut at = 0;
        for (row, value) in off.iter().enumerate() {
            self.sums[row] += value;
            for (product, other) in self.products[at..].iter_mut().zip(&off[..=row]) {
                *product += value * other;
            }
            at += row + 1;
        }
    }

    /// Their distribution; of none, one around 0.
    #[allow(clippy::needless_range_loop, reason = "rows and columns, as the formula has them")]
    pub fn gaussian(&self) -> Gaussian {
        let (size, count) = (self.sums.len(), self.count.max(1.0));
        let means: Vec<f64> = self.sums.iter().map(|sum| sum / count).collect();
        let mut covariance = vec![vec![0.0; size]; size];
        let mut products = self.products.iter();
        for row in 0..size {
            for column in 0..=row {
                covariance[row][column] = products.next().map_or(0.0, |sum| sum / count) - means[row] * means[column];
            }
            covariance[row][row] = covariance[row][row].max(0.0) * (1.0 + RIDGE.0) + RIDGE.1;
        }
        let inverse = inverted(&cholesky(&covariance));
        let origin = |at: usize| self.origin.get(at).copied().unwrap_or(0.0);
        Gaussian {
            mean: means.iter().enumerate().map(|(at, mean)| (origin(at) + mean) as f32).collect(),
            factor: inverse.iter().enumerate().flat_map(|(row, values)| &values[..=row]).map(|&value| value as f32).collect(),
        }
    }
}

/// The lower triangular matrix whose product with its transpose is `matrix`, of which the lower triangle is read.
#[allow(clippy::needless_range_loop, reason = "rows and columns, as the formula has them")]
fn cholesky(matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut factor = vec![vec![0.0; matrix.len()]; matrix.len()];
    for row in 0..matrix.len() {
        for column in 0..=row {
            let dot: f64 = (0..column).map(|k| factor[row][k] * factor[column][k]).sum();
            let rest = matrix[row][column] - dot;
            // Rounding must not make a variance that is all but explained by others negative.
            factor[row][column] = if row == column { rest.max(RIDGE.1).sqrt() } else { rest / factor[column][column] };
        }
    }
    factor
}

/// The inverse of a lower triangular matrix.
#[allow(clippy::needless_range_loop, reason = "rows and columns, as the formula has them")]
fn inverted(factor: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut inverse = vec![vec![0.0; factor.len()]; factor.len()];
    for column in 0..factor.len() {
        for row in column..factor.len() {
            let dot: f64 = (column..row).map(|k| factor[row][k] * inverse[k][column]).sum();
            inverse[row][column] = (if row == column { 1.0 } else { 0.0 } - dot) / factor[row][row];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_mahalanobis_s() {
        let mut moments = Moments::new(2);
        // Mean (3, 1), variances 4 and 1, covariance 0: what is off by two deviations and by one is at 4 + 1.
        for (a, b) in [(1.0, 0.0), (1.0, 2.0), (5.0, 0.0), (5.0, 2.0)] {
            moments.add(&[a, b]);
        }
        let gaussian = moments.gaussian();
        gaussian.check(2).unwrap();
        assert_eq!(gaussian.mean, [3.0, 1.0]);
        assert!((gaussian.distance(&[7.0, 2.0]) - 5.0).abs() < 0.01, "{gaussian:?}");
        let mut tied = Moments::new(2);
        // One follows the other: against that, little is far.
        (0..100).for_each(|i| tied.add(&[f64::from(i), f64::from(i) + f64::from(i % 2)]));
        let tied = tied.gaussian();
        assert!(tied.distance(&[50.0, 60.0]) > 10.0 * tied.distance(&[80.0, 80.0]), "{tied:?}");
    }

    #[test]
    fn what_never_changes_and_what_is_there_twice_have_a_distribution() {
        let mut moments = Moments::new(3);
        (0..50).for_each(|i| moments.add(&[0.25, f64::from(i), f64::from(i)]));
        let gaussian = moments.gaussian();
        gaussian.check(3).unwrap();
        assert!(gaussian.distance(&[0.25, 20.0, 20.0]).is_finite() && gaussian.distance(&[0.5, 20.0, 20.0]) > 1e3);
        Moments::new(2).gaussian().check(2).unwrap();
        assert!(gaussian.check(2).unwrap_err().contains("must have 2 and 3"));
        let broken = Gaussian { mean: vec![f32::NAN; 3], ..gaussian };
        assert!(broken.check(3).unwrap_err().contains("not finite"));
    }
}
