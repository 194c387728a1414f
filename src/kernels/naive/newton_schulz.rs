//! Newton-Schulz's iteration, as Keller Jordan's description of Muon writes it.

/// The iterate after `steps` of the matrix (`rows` × `columns`, row-major) over its Frobenius norm and 1e-7.
pub fn orthogonalize(rows: usize, matrix: &[f64], [a, b, c]: [f64; 3], steps: u32) -> Vec<f64> {
    let columns = matrix.len() / rows;
    let norm = matrix.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-7;
    let mut x: Vec<f64> = matrix.iter().map(|x| x / norm).collect();
    for _ in 0..steps {
        let gram = product(&x, &transposed(&x, columns), rows);
        let square = product(&gram, &gram, rows);
        let polynomial: Vec<f64> = gram.iter().zip(square).map(|(x, x2)| b * x + c * x2).collect();
        let by = product(&polynomial, &x, rows);
        x.iter_mut().zip(by).for_each(|(x, by)| *x = a * *x + by);
    }
    x
}

fn transposed(x: &[f64], columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|column| x.iter().skip(column).step_by(columns).copied()).collect()
}

fn product(left: &[f64], right: &[f64], rows: usize) -> Vec<f64> {
    let inner = left.len() / rows;
    let columns = right.len() / inner;
    let entry = |at: usize| (0..inner).map(|k| left[at / columns * inner + k] * right[k * columns + at % columns]).sum();
    (0..rows * columns).map(entry).collect()
}
