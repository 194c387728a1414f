//! What the kernels' tests share.

use super::real::Real;

/// Numbers that look random and are the same each time; eighths between -4 and 4, so that ties and zeros are among them.
pub(super) fn numbers<T: Real>(seed: u64, len: usize) -> Vec<T> {
    let number = |i: u64| ((i + 1 + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as f64 / 8.0 - 4.0;
    (0..len as u64).map(|i| T::from_f64(number(i))).collect()
}

/// What `fill` writes into a slice of `len` numbers that hold something else before.
pub(super) fn filled<T: Real>(len: usize, fill: impl FnOnce(&mut [T])) -> Vec<T> {
    let mut values = vec![T::from_f64(77.0); len];
    fill(&mut values);
    values
}

/// Holds `found` to `expected` up to `tolerance` times the largest number expected (1 at least).
pub(super) fn assert_close<T: Real>(found: &[T], expected: &[T], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1.0f64, |size, x| size.max(x.to_f64().abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found.to_f64() - expected.to_f64()).abs() <= tolerance * size, "[{at}] is {found}, not {expected}");
    }
}

/// Holds what `compute` returns to the same bits for 1, 2 and 3 threads.
pub(super) fn assert_same_for_any_threads<R: PartialEq + Send>(compute: impl Fn() -> R + Sync) {
    let with = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(&compute);
    let one = with(1);
    assert!(one == with(2) && one == with(3), "the result depends on the number of threads");
}
