//! Pooling: the maximum to the bit, ties and NaN included, the means within rounding.

use proptest::prelude::*;

use super::{block, unblock};
use crate::kernels::Tier;
use crate::kernels::activation::Activation;
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::pool::{Max, MaxBackward, Mean, MeanBackward, NOBODY, Windows};
use crate::kernels::naive;
use crate::kernels::naive::adaptive_avg_pool2d::AdaptiveShape;
use crate::kernels::naive::window::Pool2dShape;
use crate::kernels::testing::{Sums, cases, filled, narrow, noise, numbers, squares, wide};

/// Feature maps and a square window over them, at most half of it padding.
fn windows() -> impl Strategy<Value = (Maps, Pool2dShape)> {
    let window = (1usize..5, 1usize..5, 0usize..3);
    (1usize..36, window, (0usize..8, 0usize..8)).prop_map(|(channels, (kernel, stride, padding), (h, w))| {
        let padding = padding.min(kernel / 2);
        let (height, width) = (kernel - padding + h, kernel - padding + w);
        (Maps { channels, height, width }, Pool2dShape { planes: channels, height, width, kernel, stride, padding })
    })
}

fn sliding(maps: Maps, shape: &Pool2dShape) -> Windows {
    Windows::sliding(maps, shape.kernel, shape.stride, shape.padding)
}

/// What is equal bit for bit, NaN and both zeros told apart.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Output, winners and the input's gradient.
fn max_by_kernels(tier: Tier, windows: &Windows, rectify: bool, (x, dy): (&[f32], &[f32])) -> (Vec<f32>, Vec<u32>, Vec<f32>) {
    let (input, output) = (windows.input, windows.output());
    let (x, dy) = (block(input, x), block(output, dy));
    let (mut y, mut alone, mut winners) = (vec![f32::NAN; dy.len()], vec![f32::NAN; dy.len()], vec![77.0; dy.len()]);
    tier.run(Max { windows, rectify, input: &x, output: &mut y, winners: Some(&mut winners) });
    tier.run(Max { windows, rectify, input: &x, output: &mut alone, winners: None });
    assert_eq!(bits(&y), bits(&alone), "with and without winners");
    let mut dx = vec![f32::NAN; x.len()];
    tier.run(MaxBackward { windows, winners: &winners, output: &dy, input: &mut dx });
    let mut plain = vec![0.0; dy.len() / output.len() * output.channels * output.plane()];
    for (from, to) in winners.chunks_exact(output.len()).zip(plain.chunks_exact_mut(output.channels * output.plane())) {
        output.unblock(from, to);
    }
    // From the place in the window to the place in the plane, as the formula counts.
    let place = |(at, &winner): (usize, &f32)| {
        let (row, column) = (at % output.plane() / output.width, at % output.width);
        let (rows, columns) = (&windows.rows[row], &windows.columns[column]);
        let (down, right) = (winner as usize / columns.len(), winner as usize % columns.len());
        if winner == NOBODY { u32::MAX } else { ((rows.start + down) * input.width + columns.start + right) as u32 }
    };
    let winners = plain.iter().enumerate().map(place).collect();
    (unblock(output, &y), winners, unblock(input, &dx))
}

fn assert_max_is_its_formula(maps: Maps, shape: &Pool2dShape, (x, dy): (&[f32], &[f32])) {
    let windows = sliding(maps, shape);
    let maxima = |x: &[f64]| {
        let mut winners = vec![77; shape.output_len()];
        (narrow(&filled(shape.output_len(), |y| naive::max_pool2d::forward(shape, x, y, &mut winners))), winners)
    };
    let gradient = |winners: &[u32]| filled(x.len(), |dx| naive::max_pool2d::backward(shape, winners, &wide(dy), dx));
    let (y, winners) = maxima(&wide(x));
    let dx = narrow(&gradient(&winners));
    // A rectified maximum is the maximum of rectified numbers; where that is 0 nobody has won.
    let rectified = filled(x.len(), |y| naive::activation::forward(Activation::Relu, &wide(x), y));
    let (rectified_y, mut rectified_winners) = maxima(&rectified);
    let to_rectified = gradient(&rectified_winners);
    let rectified_dx = narrow(&filled(x.len(), |dx| naive::activation::backward(Activation::Relu, &wide(x), &to_rectified, dx)));
    for (winner, y) in rectified_winners.iter_mut().zip(&rectified_y) {
        *winner = if *y == 0.0 { u32::MAX } else { *winner };
    }
    for tier in Tier::all() {
        let found = max_by_kernels(tier, &windows, false, (x, dy));
        assert_eq!((bits(&found.0), &found.1, &found.2), (bits(&y), &winners, &dx), "{tier} {shape:?}");
        let found = max_by_kernels(tier, &windows, true, (x, dy));
        assert_eq!(bits(&found.0), bits(&rectified_y), "rectified, {tier} {shape:?}");
        assert_eq!((&found.1, &found.2), (&rectified_winners, &rectified_dx), "rectified, {tier} {shape:?}");
    }
}

/// Output and the input's gradient.
fn mean_by_kernels(tier: Tier, windows: &Windows, (x, dy): (&[f32], &[f32])) -> [Vec<f32>; 2] {
    let (input, output) = (windows.input, windows.output());
    let (x, dy) = (block(input, x), block(output, dy));
    let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
    tier.run(Mean { windows, input: &x, output: &mut y });
    tier.run(MeanBackward { windows, output: &dy, input: &mut dx });
    [unblock(output, &y), unblock(input, &dx)]
}

/// Of a pass: what the formula says of numbers and of their squares. (Of those it divides by the area only once.)
fn sums(len: usize, input: &[f32], formula: impl Fn(&[f64], &mut [f64])) -> Sums {
    let of = |input: &[f64]| filled(len, |output| formula(input, output));
    Sums::new(of(&wide(input)), &of(&squares(&wide(input))))
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn any_max_pooling_is_its_formula((maps, shape) in windows(), batch in 1usize..=3, seed in 0u64..1 << 20) {
        let shape = Pool2dShape { planes: batch * maps.channels, ..shape };
        // Eighths, many of them alike, and NaN.
        let mut x = numbers(seed, shape.input_len());
        for i in (seed as usize % 7..x.len()).step_by(29) {
            x[i] = [f32::NAN, f32::NEG_INFINITY, -0.0, 0.0][i % 4];
        }
        assert_max_is_its_formula(maps, &shape, (&x, &numbers(seed + 1, shape.output_len())));
    }

    #[test]
    fn any_average_pooling_is_its_formula((maps, shape) in windows(), batch in 1usize..=3, seed in 0u64..1 << 32) {
        use naive::avg_pool2d as formula;
        let shape = Pool2dShape { planes: batch * maps.channels, ..shape };
        let (x, dy) = (noise(seed, shape.input_len()), noise(seed + 1, shape.output_len()));
        let forward = sums(dy.len(), &x, |x, y| formula::forward(&shape, x, y));
        let backward = sums(x.len(), &dy, |dy, dx| formula::backward(&shape, dy, dx));
        let windows = sliding(maps, &shape);
        for tier in Tier::all() {
            let [y, dx] = mean_by_kernels(tier, &windows, (&x, &dy));
            forward.assert_are(&y, &format!("{tier} {shape:?}"));
            backward.assert_are(&dx, &format!("gradient, {tier} {shape:?}"));
        }
    }

    #[test]
    fn any_adaptive_pooling_is_its_formula(
        (channels, height, width) in (1usize..36, 1usize..12, 1usize..12), output in 1usize..8, batch in 1usize..=3, seed in 0u64..1 << 32,
    ) {
        use naive::adaptive_avg_pool2d as formula;
        let (maps, shape) = (Maps { channels, height, width }, AdaptiveShape { height, width, output });
        let planes = batch * channels;
        let (x, dy) = (noise(seed, planes * maps.plane()), noise(seed + 1, planes * output * output));
        let forward = sums(dy.len(), &x, |x, y| formula::forward(&shape, x, y));
        let backward = sums(x.len(), &dy, |dy, dx| formula::backward(&shape, dy, dx));
        let windows = Windows::adaptive(maps, output);
        for tier in Tier::all() {
            let [y, dx] = mean_by_kernels(tier, &windows, (&x, &dy));
            forward.assert_are(&y, &format!("{tier} {shape:?}"));
            backward.assert_are(&dx, &format!("gradient, {tier} {shape:?}"));
        }
    }
}

#[test]
fn planes_of_equal_numbers_and_of_nan_go_where_the_formula_sends_them() {
    let (maps, shape) = (
        Maps { channels: 17, height: 5, width: 4 },
        Pool2dShape { planes: 17, height: 5, width: 4, kernel: 3, stride: 2, padding: 1 },
    );
    for x in [1.0, 0.0, -0.0, -2.0, f32::NAN, f32::NEG_INFINITY, f32::INFINITY] {
        assert_max_is_its_formula(maps, &shape, (&vec![x; shape.input_len()], &numbers(1, shape.output_len())));
    }
}
