//! Matrix products: a safe door to the `gemm` crate.
//!
//! Each element of the product is summed in an order that follows from the sizes and the processor's caches, not from the
//! number of threads, so the bits are the same for any number of them.

use super::real::Real;

/// A matrix over a slice.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `rows` × `columns` numbers, row after row.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::with_stride(data, rows, columns, columns)
    }

    /// Rows that start `row_stride` numbers apart.
    pub fn with_stride(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(extent(rows, columns, row_stride) <= data.len(), "{rows} × {columns} numbers do not fit in {}", data.len());
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same numbers, rows taken for columns.
    #[must_use]
    pub fn transposed(self) -> Self {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        Self { data, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }
}

/// A matrix to write to.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// `rows` × `columns` numbers, row after row.
    pub fn new(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        Self::with_stride(data, rows, columns, columns)
    }

    /// Rows that start `row_stride` numbers apart, and do not overlap.
    pub fn with_stride(data: &'a mut [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(rows <= 1 || row_stride >= columns, "rows of {columns} numbers overlap when {row_stride} apart");
        assert!(extent(rows, columns, row_stride) <= data.len(), "{rows} × {columns} numbers do not fit in {}", data.len());
        Self { data, rows, columns, row_stride }
    }
}

/// What becomes of the numbers that were in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// They are overwritten.
    Replace,
    /// The product is added to them.
    Add,
}

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread.
    One,
    /// All of rayon's, where the product is large enough.
    All,
}

/// Computes `out = a · b` or `out += a · b`.
pub fn multiply<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, out: MatrixMut<'_, T>, write: Write, threads: Threads) {
    assert_eq!(a.columns, b.rows, "a product of {} columns and {} rows", a.columns, b.rows);
    let MatrixMut { data, rows, columns, row_stride } = out;
    assert_eq!((a.rows, b.columns), (rows, columns), "the product has another shape than its output");
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    let stride = |stride: usize| isize::try_from(stride).unwrap_or(isize::MAX);
    // SAFETY: the constructors of the three matrices checked that the last element, and so each one, lies in its slice,
    // and that no two elements of the output share a place; the output is borrowed mutably, so it overlaps neither input.
    // Strides are below the length of a slice and so fit `isize` (a matrix of one row may have any: it is not stepped
    // along). `T` is f32 or f64, `Real` being sealed, and both are known to the crate. The shapes agree by the assertions.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            a.columns,
            data.as_mut_ptr(),
            1,
            stride(row_stride),
            write == Write::Add,
            a.data.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// How many numbers a matrix spans; the largest `usize` where that overflows, which fits in no slice.
fn extent(rows: usize, columns: usize, row_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1).checked_mul(row_stride).and_then(|n| n.checked_add(columns)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 % 19) as f32 - 9.0) / 4.0).collect()
    }

    #[test]
    fn strides_transposes_and_adding_are_what_they_say() {
        // A 2 × 3 window of a matrix with rows of 5, times the transpose of a 4 × 3.
        let (a, b) = (numbers(10), numbers(12));
        let mut out = vec![1.0; 2 * 6];
        let window = Matrix::with_stride(&a[1..], 2, 3, 5);
        multiply(window, Matrix::new(&b, 4, 3).transposed(), MatrixMut::with_stride(&mut out, 2, 4, 6), Write::Add, Threads::One);
        for i in 0..2 {
            for j in 0..6 {
                let product: f32 = if j < 4 { (0..3).map(|k| a[1 + i * 5 + k] * b[j * 3 + k]).sum() } else { 0.0 };
                assert!((out[i * 6 + j] - 1.0 - product).abs() < 1e-5, "{i} {j}: {out:?}");
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let (a, b) = (numbers(130 * 700), numbers(700 * 300));
        let product = |threads: usize| {
            let mut out = vec![0.0; 130 * 300];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let all = MatrixMut::new(&mut out, 130, 300);
            pool.install(|| multiply(Matrix::new(&a, 130, 700), Matrix::new(&b, 700, 300), all, Write::Replace, Threads::All));
            out
        };
        let one = product(1);
        assert!(product(2) == one && product(3) == one);
        let mut alone = vec![0.0; 130 * 300];
        let out = MatrixMut::new(&mut alone, 130, 300);
        multiply(Matrix::new(&a, 130, 700), Matrix::new(&b, 700, 300), out, Write::Replace, Threads::One);
        assert!(alone == one);
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        Matrix::new(&[0.0f32; 5], 2, 3);
    }
}
