//! What the kernels' tests share.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::test_runner::Config;

use super::dropout::splitmix64;

/// Numbers that look random and are the same each time; eighths between -4 and 4, so that ties and zeros are among them.
pub(super) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let number = |i: u64| ((i + 1 + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as f32 / 8.0 - 4.0;
    (0..len as u64).map(number).collect()
}

/// What `fill` writes into a slice of `len` numbers that hold something else before.
pub(super) fn filled<T: From<f32> + Clone>(len: usize, fill: impl FnOnce(&mut [T])) -> Vec<T> {
    let mut values = vec![T::from(77.0); len];
    fill(&mut values);
    values
}

/// The same numbers as `f32`.
pub(super) fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// What `f` panics with. (That it panics is not enough: builds for tests check arithmetic, and those that are shipped do not.)
pub(super) fn refusal(f: impl FnOnce()) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(f)) else { return "nothing".into() };
    panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into())).unwrap_or_default()
}

/// Numbers between -1 and 1 with all their digits, the same for one seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let number = |i: u64| (splitmix64(seed ^ splitmix64(i)) >> 40) as f32 / 8_388_608.0 - 1.0;
    (0..len as u64).map(number).collect()
}

/// The same numbers as `f64`.
pub(super) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// Their squares.
pub(super) fn squares(values: &[f64]) -> Vec<f64> {
    values.iter().map(|x| x * x).collect()
}

/// The root of the mean of their squares.
pub(super) fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

/// Sums in `f64`, and what an error of them is measured by.
#[derive(Debug)]
pub(super) struct Sums {
    values: Vec<f64>,
    unit: f64,
}

impl Sums {
    /// `squares` are the same sums of squared terms. An error is measured by the values' root mean square, or by that which
    /// terms of random signs would have: a few sums can come out near 0 by chance, and their errors do not.
    pub(super) fn new(values: Vec<f64>, squares: &[f64]) -> Self {
        let typical = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        Self { unit: rms(&values).max(typical), values }
    }

    /// Holds what a kernel found to these: off by at most 3e-5 units.
    pub(super) fn assert_are(&self, found: &[f32], what: &str) {
        assert_eq!(found.len(), self.values.len(), "{what}: how many");
        for (at, (&found, &expected)) in found.iter().zip(&self.values).enumerate() {
            // Written so that NaN fails.
            let near = (f64::from(found) - expected).abs() <= 3e-5 * self.unit;
            assert!(near, "{what} [{at}] is {found}, not {expected}, where {} is usual", self.unit);
        }
    }
}

/// `count` random cases, fewer where the environment asks for fewer (`PROPTEST_CASES`).
pub(crate) fn cases(count: u32) -> Config {
    let asked = Config::default();
    Config { cases: count.min(asked.cases), ..asked }
}
