//! What is done to each number alone.

use proptest::prelude::*;

use super::{block, unblock};
use crate::kernels::Tier;
use crate::kernels::activation::Activation;
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::activate::{Activate, ActivateBackward};
use crate::kernels::blocked::pointwise::{Accumulate, Drop, DropColumns, Gate, Rectify};
use crate::kernels::dropout::Mask;
use crate::kernels::naive::{activation as formula, dropout};
use crate::kernels::testing::{Sums, cases, filled, narrow, noise, numbers, wide};

/// Elements that have a pair of keys in common in a mask: shapes beyond it use several.
const KEYED: usize = 4096;

/// What is computed by [`Activate`]: one of each function, and a slope that turns signs.
fn all() -> impl Iterator<Item = Activation> {
    Activation::ALL.into_iter().chain([Activation::LeakyRelu(-1.5)])
}

fn rectified(x: &[f32]) -> Vec<f32> {
    narrow(&filled(x.len(), |y| formula::forward(Activation::Relu, &wide(x), y)))
}

fn dropped(mask: &Mask, x: &[f32]) -> Vec<f32> {
    narrow(&filled(x.len(), |y| dropout::apply(mask, &wide(x), y)))
}

/// Whether both are 0 in the same places and elsewhere apart by a rounding.
fn near(found: &[f32], expected: &[f32]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2e-7 * b.abs())
}

proptest! {
    #![proptest_config(cases(32))]
    #[test]
    fn any_activation_is_its_formula(len in 1usize..200, spread in 0.01f32..40.0, seed in 0u64..1 << 32) {
        let x: Vec<f32> = noise(seed, len).iter().map(|x| x * spread).collect();
        let dy = noise(seed + 1, len);
        for activation in all() {
            let y = filled(len, |y| formula::forward(activation, &wide(&x), y));
            let dx = filled(len, |dx| formula::backward(activation, &wide(&x), &wide(&dy), dx));
            let (y, dx) = (Sums::new(y, &[1.0 / 3.0]), Sums::new(dx, &[1.0 / 3.0]));
            for tier in Tier::all() {
                y.assert_are(&filled(len, |output| tier.run(Activate { activation, input: &x, output })), &format!("{activation:?} {tier}"));
                let gradient = |gradient: &mut [f32]| tier.run(ActivateBackward { activation, input: &x, output: &dy, gradient });
                dx.assert_are(&filled(len, gradient), &format!("gradient of {activation:?} {tier}"));
            }
        }
    }

    #[test]
    fn rectifying_and_its_gradient_are_their_formulas(len in 1usize..200, seed in 0u64..1 << 20) {
        let (mut x, dy) = (numbers(seed, len), numbers(seed + 1, len));
        x[len / 2] = -0.0;
        let y = rectified(&x);
        let dx = narrow(&filled(len, |dx| formula::backward(Activation::Relu, &wide(&x), &wide(&dy), dx)));
        for tier in Tier::all() {
            let mut values = x.clone();
            tier.run(Rectify { values: &mut values });
            prop_assert_eq!(&values, &y);
            let mut gradient = dy.clone();
            tier.run(Gate { values: &values, gradient: &mut gradient, scale: 1.0 });
            prop_assert_eq!(&gradient, &dx);
            tier.run(Accumulate { from: &dy, to: &mut gradient });
            prop_assert!(gradient.iter().zip(dx.iter().zip(&dy)).all(|(sum, (a, b))| *sum == a + b));
        }
    }

    #[test]
    fn dropping_maps_is_the_mask_in_plain_order(
        (channels, height, width) in (1usize..40, 1usize..20, 1usize..20), (before, images) in (0usize..40, 1usize..4),
        p in prop_oneof![Just(0.0), 0.0..1.0, Just(1.0 - 1e-12)], seed in any::<u64>(),
    ) {
        let maps = Maps { channels, height, width };
        let (image, mask) = (channels * maps.plane(), Mask::new(p, seed));
        // The batch up to the last of these images; the mask counts from its start.
        let x = numbers(3, (before + images) * image);
        let expected = |x: &[f32]| dropped(&mask, x)[before * image..].to_vec();
        let (kept, rectified_first) = (expected(&x), expected(&rectified(&x)));
        for tier in Tier::all() {
            for (rectify, expected) in [(false, &kept), (true, &rectified_first)] {
                let mut values = block(maps, &x[before * image..]);
                tier.run(Drop { maps, mask: &mask, first: before, rectify, values: &mut values });
                prop_assert!(near(&unblock(maps, &values), expected));
            }
        }
    }

    #[test]
    fn dropping_columns_is_the_mask_in_plain_order(
        features in 1usize..KEYED / 8, batch in 1usize..40, p in 0.0..1.0, seed in any::<u64>(),
    ) {
        let (mask, columns) = (Mask::new(p, seed), batch.next_multiple_of(16));
        let x = numbers(5, batch * features);
        for tier in Tier::all() {
            for (rectify, expected) in [(false, dropped(&mask, &x)), (true, dropped(&mask, &rectified(&x)))] {
                let mut values = vec![0.0; features * columns];
                for (at, &x) in x.iter().enumerate() {
                    values[at % features * columns + at / features] = x;
                }
                tier.run(DropColumns { mask: &mask, features, batch: columns, rectify, values: &mut values });
                for (at, &expected) in expected.iter().enumerate() {
                    prop_assert!(near(&[values[at % features * columns + at / features]], &[expected]));
                }
                let filler = |at: &usize| at % columns >= batch;
                prop_assert!((0..values.len()).filter(filler).all(|at| values[at] == 0.0));
            }
        }
    }
}

#[test]
fn activations_at_their_edges_are_their_formulas() {
    let edges = [0.0, -0.0, 1e-30, -1e-30, 1e-4, -1e-4, 0.24, 0.26, -0.26, 9.0, -9.0, 20.0, -20.0, 90.0, -90.0, 1e6, -1e6];
    let dy = [1.0; 17];
    for activation in all() {
        let y = narrow(&filled(17, |y| formula::forward(activation, &wide(&edges), y)));
        let dx = narrow(&filled(17, |dx| formula::backward(activation, &wide(&edges), &wide(&dy), dx)));
        for tier in Tier::all() {
            let found = filled(17, |output| tier.run(Activate { activation, input: &edges, output }));
            let slopes = filled(17, |gradient| tier.run(ActivateBackward { activation, input: &edges, output: &dy, gradient }));
            for ((x, found), expected) in edges.iter().zip(found.into_iter().zip(slopes)).zip(y.iter().zip(&dx)) {
                let near = |found: f32, expected: f32| (found - expected).abs() <= 1e-30 + 1e-5 * expected.abs();
                assert!(
                    near(found.0, *expected.0) && near(found.1, *expected.1),
                    "{tier} {activation:?} at {x}: {found:?} {expected:?}"
                );
            }
        }
    }
}

#[test]
fn nan_is_not_hidden() {
    for tier in Tier::all() {
        let mut values = [f32::NAN; 40];
        tier.run(Rectify { values: &mut values });
        assert!(values.iter().all(|x| x.is_nan()), "{tier}");
        let mut gradient = [f32::NAN; 40];
        tier.run(Gate { values: &values, gradient: &mut gradient, scale: 2.0 });
        assert!(gradient.iter().all(|x| x.is_nan()), "{tier}");
        for activation in all() {
            let y = filled(40, |output| tier.run(Activate { activation, input: &values, output }));
            assert!(y.iter().all(|y| y.is_nan()), "{tier} {activation:?}");
            let (input, output) = (&[1.0; 40], &values);
            let dx = filled(40, |gradient| tier.run(ActivateBackward { activation, input, output, gradient }));
            assert!(dx.iter().all(|dx| dx.is_nan()), "gradient, {tier} {activation:?}");
        }
    }
}
