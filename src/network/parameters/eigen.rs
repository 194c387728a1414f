//! Eigenvalues and eigenvectors of small symmetric matrices, by Jacobi's rotations (1846; Golub and Van Loan, "Matrix Computations",
//! section 8.5): slow for large matrices, and as exact as can be for those of a few dozen rows.

/// Sweeps over all pairs; each squares what is left beside the diagonal, so that a handful is enough.
const SWEEPS: usize = 60;

/// The eigenvalues of a symmetric matrix (row-major), largest first, and a unit eigenvector of each, row by row, whose largest number
/// is positive.
pub(super) fn eigen(matrix: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let n = matrix.len().isqrt();
    assert_eq!(matrix.len(), n * n, "a square matrix");
    let mut a = matrix.to_vec();
    let mut vectors: Vec<f64> = (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect();
    for _ in 0..SWEEPS {
        let beside: f64 = (0..n * n).filter(|at| at / n != at % n).map(|at| a[at] * a[at]).sum();
        let all: f64 = a.iter().map(|x| x * x).sum();
        if beside <= 1e-30 * all {
            break;
        }
        for (p, q) in (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q))) {
            rotate(&mut a, &mut vectors, (p, q));
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    let values = order.iter().map(|&i| a[i * n + i]).collect();
    let mut sorted = Vec::with_capacity(n * n);
    for &i in &order {
        let row = &vectors[i * n..][..n];
        let largest = row.iter().fold(0.0f64, |most, &x| if x.abs() > most.abs() { x } else { most });
        sorted.extend(row.iter().map(|x| x * largest.signum()));
    }
    (values, sorted)
}

/// Makes the entry at (p, q) 0 by a rotation of rows and columns p and q.
fn rotate(a: &mut [f64], vectors: &mut [f64], (p, q): (usize, usize)) {
    let n = a.len().isqrt();
    let beside = a[p * n + q];
    if beside == 0.0 {
        return;
    }
    let slope = (a[q * n + q] - a[p * n + p]) / (2.0 * beside);
    let tangent = slope.signum() / (slope.abs() + (slope * slope + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    let turn = |values: &mut [f64], first: usize, second: usize| {
        let (x, y) = (values[first], values[second]);
        (values[first], values[second]) = (cosine * x - sine * y, sine * x + cosine * y);
    };
    (0..n).for_each(|k| turn(a, k * n + p, k * n + q));
    (0..n).for_each(|k| turn(a, p * n + k, q * n + k));
    (0..n).for_each(|k| turn(vectors, p * n + k, q * n + k));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_by_heart() {
        let (values, vectors) = eigen(&[2.0, 1.0, 1.0, 2.0]);
        let half = 0.5f64.sqrt();
        assert!(values.iter().zip([3.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-14), "{values:?}");
        assert!((vectors[0] - half).abs() < 1e-14 && (vectors[1] - half).abs() < 1e-14, "{vectors:?}");
        assert_eq!(eigen(&[5.0]), (vec![5.0], vec![1.0]));
        assert_eq!(eigen(&[0.0; 4]).0, [0.0, 0.0]);
    }

    #[test]
    fn vectors_are_orthogonal_and_make_the_matrix_again() {
        for n in [3usize, 12, 27] {
            // A covariance: of numbers that depend on one another.
            let number = |i: usize, j: usize| ((i * 37 + j * 101 + i * j) % 89) as f64 / 89.0;
            let matrix: Vec<f64> = (0..n * n).map(|at| (0..2 * n).map(|k| number(at / n, k) * number(at % n, k)).sum()).collect();
            let (values, vectors) = eigen(&matrix);
            let size = values[0];
            assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
            for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let dot: f64 = (0..n).map(|k| vectors[i * n + k] * vectors[j * n + k]).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12, "{n}: {i} {j} {dot}");
                let again: f64 = (0..n).map(|k| values[k] * vectors[k * n + i] * vectors[k * n + j]).sum();
                assert!((again - matrix[i * n + j]).abs() < 1e-12 * size, "{n}: {i} {j} {again}");
            }
        }
    }
}
