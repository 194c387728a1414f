//! Functions of vectors that no instruction computes. In f32; relative errors grow with the exponent, to 2·10⁻⁶ at four deviations.

use super::Lanes;

/// Adding and subtracting this rounds a float below 2²² to a whole number.
const ROUNDER: f32 = 12_582_912.0;
/// e to a smaller power is too small for a normal float.
const LEAST: f32 = -87.0;

/// A polynomial by Horner's rule, the highest power's coefficient first.
#[inline(always)]
fn polynomial<L: Lanes, const N: usize>(l: L, x: L::V, coefficients: [f32; N]) -> L::V {
    let mut y = l.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        y = l.mul_add(y, x, l.splat(coefficient));
    }
    y
}

/// `|x|`.
#[inline(always)]
fn magnitude<L: Lanes>(l: L, x: L::V) -> L::V {
    l.max(l.sub(l.zero(), x), x)
}

/// eˣ for `x` ≤ 0; below −87 it is e⁻⁸⁷.
///
/// 2ⁿ times e to a rest of at most ½·ln 2, of which Taylor's series to the seventh power is exact.
#[inline(always)]
fn exp<L: Lanes>(l: L, x: L::V) -> L::V {
    use std::f32::consts::LOG2_E;
    // ln 2 as a number of few digits, whose multiples are exact, and what is missing.
    const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = l.max(l.splat(LEAST), x);
    let n = l.sub(l.mul_add(x, l.splat(LOG2_E), l.splat(ROUNDER)), l.splat(ROUNDER));
    let rest = l.neg_mul_add(n, l.splat(LN2[1]), l.neg_mul_add(n, l.splat(LN2[0]), x));
    let series = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    l.mul(polynomial(l, rest, series), l.power_of_two(n))
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn sigmoid<L: Lanes>(l: L, x: L::V) -> L::V {
    let (one, small) = (l.splat(1.0), exp(l, l.sub(l.zero(), magnitude(l, x))));
    l.div(l.where_greater((l.zero(), x), small, one), l.add(one, small))
}

/// tanh x, and its slope 1 − tanh² x.
///
/// By (1 − e) / (1 + e), e = e^(−2·|x|); near 0, where 1 − e would lose its digits, by Taylor's series.
#[inline(always)]
pub(crate) fn tanh<L: Lanes>(l: L, x: L::V) -> (L::V, L::V) {
    const NEAR: f32 = 0.3;
    let (one, size, square) = (l.splat(1.0), magnitude(l, x), l.mul(x, x));
    let small = exp(l, l.mul(l.splat(-2.0), size));
    let share = l.div(one, l.add(one, small));
    let far = l.mul(l.sub(one, small), share);
    let far = l.where_greater((l.zero(), x), l.sub(l.zero(), far), far);
    let near = l.mul(x, polynomial(l, square, [62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0]));
    let slope = l.mul(l.mul(l.splat(4.0), small), l.mul(share, share));
    (l.where_greater((size, l.splat(NEAR)), far, near), slope)
}

/// Φ(x), the share of the normal distribution below `x`, and φ(x), its density.
///
/// By the tail ½·erfc(|x|/√2) = ½·t·Q(t)·e^(−x²/2), t = 1 / (1 + 0.4·|x|/√2), which is exact to a few places however small it
/// is; the form is that of M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 7.1.26, the polynomial `tail.py`'s.
#[inline(always)]
pub(crate) fn normal<L: Lanes>(l: L, x: L::V) -> (L::V, L::V) {
    use std::f32::consts::FRAC_1_SQRT_2;
    const TAIL: [f32; 9] = [
        0.050_187_29,
        -0.182_615_34,
        0.168_643_86,
        -0.005_255_41,
        0.141_277_34,
        0.168_578_18,
        0.207_838_58,
        0.225_669_77,
        0.225_675_86,
    ];
    // 1 / √(2π)
    const PEAK: f32 = 0.398_942_3;
    let (one, half) = (l.splat(1.0), l.splat(0.5));
    let bell = exp(l, l.mul(l.mul(l.splat(-0.5), x), x));
    let t = l.div(one, l.mul_add(magnitude(l, x), l.splat(0.4 * FRAC_1_SQRT_2), one));
    let tail = l.mul(l.mul(half, t), l.mul(polynomial(l, t, TAIL), bell));
    (l.where_greater((x, l.zero()), l.sub(one, tail), tail), l.mul(l.splat(PEAK), bell))
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, WIDTH};
    use super::*;
    use crate::kernels::Tier;

    struct Functions<'a>(&'a [f32; WIDTH]);

    impl Kernel for Functions<'_> {
        type Output = [[f32; WIDTH]; 6];

        #[inline(always)]
        fn run<L: Lanes>(self, l: L) -> Self::Output {
            let x = l.read(self.0);
            let negative = l.sub(l.zero(), magnitude(l, x));
            let (share, density) = normal(l, x);
            let (tangent, slope) = tanh(l, x);
            [exp(l, negative), sigmoid(l, x), share, density, tangent, slope].map(|v| {
                let mut out = [0.0; WIDTH];
                l.write(&mut out, v);
                out
            })
        }
    }

    #[test]
    fn all_are_their_formulas_in_f64() {
        for tier in Tier::all() {
            for first in (0..40_000).step_by(WIDTH) {
                let x: [f32; WIDTH] = std::array::from_fn(|lane| ((first + lane) as f32 - 20_000.0) / 1600.0);
                let [exps, sigmoids, normals, densities, tangents, slopes] = tier.run(Functions(&x));
                for (lane, &x) in x.iter().enumerate() {
                    let x = f64::from(x);
                    let close = |got: f32, expected: f64, name| {
                        let apart = (f64::from(got) - expected).abs() / expected.max(1e-30);
                        assert!(apart < 2e-5, "{tier}: {name}({x}) is {got}, not {expected}");
                        // Near 0, where numbers are common, to the last places.
                        assert!(x.abs() > 4.0 || apart < 2e-6, "{tier}: {name}({x}) is {got}, not {expected}");
                    };
                    close(exps[lane], (-x.abs()).exp(), "exp");
                    close(sigmoids[lane], 1.0 / (1.0 + (-x).exp()), "sigmoid");
                    close(normals[lane], 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2), "normal");
                    close(densities[lane], (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt(), "density");
                    close(tangents[lane].copysign(1.0), x.abs().tanh(), "tanh");
                    assert!(tangents[lane] == 0.0 || tangents[lane].is_sign_negative() == (x < 0.0), "{tier}: tanh({x})");
                    close(slopes[lane], 1.0 / x.cosh().powi(2), "slope of tanh");
                }
            }
        }
    }

    #[test]
    fn far_out_they_are_their_limits_and_nan_stays() {
        for tier in Tier::all() {
            let mut x = [0.0; WIDTH];
            x[..5].copy_from_slice(&[f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, f32::NAN]);
            let [_, sigmoids, normals, densities, tangents, slopes] = tier.run(Functions(&x));
            for values in [sigmoids, normals] {
                let limits = [1.0, 0.0, 1.0, 0.0];
                assert!(values.iter().zip(limits).all(|(x, limit)| (x - limit).abs() < 1e-30), "{tier} {values:?}");
                assert!(values[4].is_nan());
            }
            for values in [densities, slopes] {
                assert!(values[..4].iter().all(|&x| x < 1e-30) && values[4].is_nan(), "{tier} {values:?}");
            }
            assert!(tangents[..4] == [1.0, -1.0, 1.0, -1.0] && tangents[4].is_nan(), "{tier} {tangents:?}");
        }
    }
}
