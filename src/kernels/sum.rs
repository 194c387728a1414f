//! Sums that are quick and do not lose digits as they grow: vectors of `LANES` over a short run, then `f64`.

use super::real::Real;

/// Independent partial sums, so that additions can be done side by side.
const LANES: usize = 16;
/// Numbers summed in their own precision before the result goes into an `f64`.
const RUN: usize = 1024;

/// The sum of `f(x)` over `values`.
#[inline]
pub fn sum_of<T: Real>(values: &[T], f: impl Fn(T) -> T) -> f64 {
    values.chunks(RUN).map(|run| lanes(run.chunks_exact(LANES), |x: &[T], i| f(x[i])) + tail(run.len(), |i| f(run[i]))).sum()
}

/// The sum of `f(a, b)` over two slices of one length.
#[inline]
pub fn sum_of2<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> f64 {
    assert_eq!(a.len(), b.len(), "as many numbers on both sides");
    let runs = a.chunks(RUN).zip(b.chunks(RUN));
    runs.map(|(a, b)| {
        let pairs = a.chunks_exact(LANES).zip(b.chunks_exact(LANES));
        lanes(pairs, |(a, b): (&[T], &[T]), i| f(a[i], b[i])) + tail(a.len(), |i| f(a[i], b[i]))
    })
    .sum()
}

#[inline(always)]
fn lanes<T: Real, C: Copy>(chunks: impl Iterator<Item = C>, value: impl Fn(C, usize) -> T) -> f64 {
    let mut sums = [T::ZERO; LANES];
    for chunk in chunks {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += value(chunk, i);
        }
    }
    sums.iter().map(|sum| sum.to_f64()).sum()
}

#[inline(always)]
fn tail<T: Real>(length: usize, value: impl Fn(usize) -> T) -> f64 {
    (length / LANES * LANES..length).map(|i| value(i).to_f64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tenths_are_a_hundred_thousand() {
        for n in [1, 15, 16, 17, 1023, 1024, 1025, 1_000_000] {
            let values = vec![0.1f32; n];
            let expected = f64::from(0.1f32) * n as f64;
            assert!((sum_of(&values, |x| x) / expected - 1.0).abs() < 1e-6, "{n}");
            assert!((sum_of2(&values, &values, |a, b| a + b) / (2.0 * expected) - 1.0).abs() < 1e-6, "{n}");
        }
    }
}
