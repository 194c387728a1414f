//! Convolution: output and all gradients.

use proptest::prelude::*;

use super::{block, fill, unblock};
use crate::kernels::blocked::conv::{Applied, Conv, Gradients, Images};
use crate::kernels::blocked::part::Finish;
use crate::kernels::blocked::pointwise::SumChannels;
use crate::kernels::blocked::{Convolution, Maps};
use crate::kernels::naive::window::Pool2dShape;
use crate::kernels::naive::{self, conv2d as formula};
use crate::kernels::team::Team;
use crate::kernels::testing::{Sums, cases, filled, narrow, noise, refusal, squares, wide};
use crate::kernels::{Crew, Tier};

/// Of a convolution: images, filters, biases, gradient of the output.
struct Inputs {
    batch: usize,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

impl Inputs {
    fn new(sizes: &Convolution, batch: usize, seed: u64) -> Self {
        let images = |maps: Maps| batch * maps.channels * maps.plane();
        Self {
            batch,
            x: noise(seed, images(sizes.input)),
            w: noise(seed + 1, sizes.weights()),
            b: noise(seed + 2, sizes.output.channels),
            dy: noise(seed + 3, images(sizes.output)),
        }
    }

    /// Output and gradients (of the images, the filters, the biases) by the formula; and of the squares of all numbers.
    fn by_formula(&self, sizes: &Convolution) -> [Sums; 4] {
        let all = |x: &[f64], w: &[f64], b: &[f64], dy: &[f64]| {
            [
                filled(dy.len(), |y| formula::forward(sizes, x, w, Some(b), y)),
                filled(x.len(), |dx| formula::backward_data(sizes, w, dy, dx)),
                filled(w.len(), |dw| formula::backward_weight(sizes, x, dy, dw)),
                filled(b.len(), |db| formula::backward_bias(sizes, dy, db)),
            ]
        };
        let [x, w, b, dy] = [&self.x, &self.w, &self.b, &self.dy].map(|values| wide(values));
        let squared = all(&squares(&x), &squares(&w), &squares(&b), &squares(&dy));
        let mut squared = squared.iter();
        all(&x, &w, &b, &dy).map(|values| Sums::new(values, squared.next().unwrap()))
    }

    /// The same by `conv`: the first image alone and then the others, whose filters' gradients are added.
    fn by_kernels(&self, conv: &Conv, tier: Tier) -> [Vec<f32>; 4] {
        let Convolution { input, output, .. } = *conv.sizes();
        let (mut packed, mut adjoint) = (vec![f32::NAN; conv.packed_len()], vec![f32::NAN; conv.adjoint_len()]);
        conv.pack(tier, &self.w, &mut packed);
        conv.pack_adjoint(tier, &self.w, &mut adjoint);
        let (x, dy, bias) = (block(input, &self.x), block(output, &self.dy), fill(&self.b));
        let mut workspace = vec![f32::NAN; conv.workspace_len()];
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        let (mut to_filters, mut db) = (vec![f32::NAN; conv.gradient_len()], fill(&vec![0.0; self.b.len()]));
        for images in [0..1, 1..self.batch] {
            let (from, to) =
                (images.start * input.len()..images.end * input.len(), images.start * output.len()..images.end * output.len());
            let applied = Applied { filters: &packed, bias: &bias, finish: Finish::default() };
            conv.forward(tier, Images { input: &x[from.clone()], output: &mut y[to.clone()] }, applied, &mut workspace);
            tier.run(SumChannels { maps: output, values: &dy[to.clone()], sums: &mut db });
            let gradients = Gradients {
                input: &x[from.clone()],
                output: &dy[to],
                to_input: Some((&adjoint, &mut dx[from])),
                to_filters: &mut to_filters,
                add: images.start > 0,
                workspace: &mut workspace,
            };
            conv.backward(tier, gradients);
        }
        let mut alone = vec![f32::NAN; conv.gradient_len()];
        let (to_filters_alone, workspace) = (&mut alone[..], &mut workspace[..]);
        let gradients = Gradients { input: &x, output: &dy, to_input: None, to_filters: to_filters_alone, add: false, workspace };
        conv.backward(tier, gradients);
        let [mut dw, mut dw_alone] = [(); 2].map(|()| vec![0.0; self.w.len()]);
        conv.unpack(tier, &to_filters, &mut dw);
        conv.unpack(tier, &alone, &mut dw_alone);
        Sums::new(wide(&dw), &squares(&wide(&dw))).assert_are(&dw_alone, "filters' gradient without the images'");
        assert!(db[self.b.len()..].iter().all(|&x| x == 0.0), "biases beyond the last channel are zeros");
        db.truncate(self.b.len());
        [unblock(output, &y), unblock(input, &dx), dw, db]
    }
}

fn assert_is_its_formula(sizes: Convolution, batch: usize, seed: u64) {
    let inputs = Inputs::new(&sizes, batch, seed);
    let expected = inputs.by_formula(&sizes);
    let algorithms = [("direct", Some(Conv::direct(sizes))), ("Winograd", Conv::winograd(sizes))];
    for (name, conv) in algorithms.iter().filter_map(|(name, conv)| Some((name, conv.as_ref()?))) {
        for tier in Tier::all() {
            let found = inputs.by_kernels(conv, tier);
            for (what, (found, expected)) in ["output", "dx", "dw", "db"].iter().zip(found.iter().zip(&expected)) {
                expected.assert_are(found, &format!("{what} by {name}, {tier}, {batch} × {sizes:?}"));
            }
        }
    }
}

/// Holds what is fused into a convolution, and what several threads compute of it, to the bits of the plain result.
fn assert_fused_is_apart(sizes: Convolution, batch: usize, seed: u64) {
    let inputs = Inputs::new(&sizes, batch, seed);
    let (x, bias, output) = (block(sizes.input, &inputs.x), fill(&inputs.b), sizes.output);
    for conv in [Some(Conv::direct(sizes)), Conv::winograd(sizes)].into_iter().flatten() {
        for tier in Tier::all() {
            let mut filters = vec![f32::NAN; conv.packed_len()];
            conv.pack(tier, &inputs.w, &mut filters);
            let run = |finish: Finish, threads: usize| {
                let mut y = vec![f32::NAN; batch * finish.written(output).len()];
                let mut workspaces = vec![vec![f32::NAN; conv.workspace_len()]; threads];
                let applied = Applied { filters: &filters, bias: &bias, finish };
                let images = Images { input: &x, output: &mut y };
                match threads {
                    1 => conv.forward(tier, images, applied, &mut workspaces[0]),
                    _ => conv.forward_together(Crew { tier, team: &Team::new(threads) }, images, applied, &mut workspaces),
                }
                unblock(finish.written(output), &y)
            };
            let plain = run(Finish::default(), 1);
            for (rectify, pool) in [(false, false), (true, false), (false, true), (true, true)] {
                if pool && !(conv.pools() && output.height >= 2 && output.width >= 2) {
                    continue;
                }
                let mut expected = plain.clone();
                if rectify {
                    for x in &mut expected {
                        *x = x.max(0.0);
                    }
                }
                if pool {
                    let Maps { height, width, .. } = output;
                    let planes = batch * output.channels;
                    let shape = Pool2dShape { planes, height, width, kernel: 2, stride: 2, padding: 0 };
                    let (all, mut winners) = (wide(&expected), vec![0; shape.output_len()]);
                    let maxima = filled(shape.output_len(), |y| naive::max_pool2d::forward(&shape, &all, y, &mut winners));
                    expected = narrow(&maxima);
                }
                for threads in [1, 2, 3] {
                    let found = run(Finish { rectify, pool }, threads);
                    assert_eq!(found, expected, "{tier}, rectify {rectify}, pool {pool}, {threads} threads, {sizes:?}");
                }
            }
        }
    }
}

/// Any convolution, from filters as large as the padded plane on.
fn any() -> impl Strategy<Value = Convolution> {
    let channels = (1usize..4, 1usize..20, 1usize..20);
    let window = (1usize..=5, 1usize..=3, 0usize..=2, prop_oneof![2 => Just(1usize), 1 => 2usize..=3]);
    (channels, window, (0usize..8, 0usize..8)).prop_map(|((groups, read, written), (kernel, stride, padding, dilation), (h, w))| {
        let least = ((kernel - 1) * dilation + 1).saturating_sub(2 * padding).max(1);
        let input = Maps { channels: groups * read, height: least + h, width: least + w };
        Convolution::new(input, groups * written, kernel).window(stride, padding).dilated(dilation).grouped(groups)
    })
}

/// What Winograd applies to.
fn three_by_three() -> impl Strategy<Value = Convolution> {
    let channels = || prop_oneof![3 => 1usize..36, 1 => 60usize..72];
    (channels(), channels(), 0usize..=2, (0usize..9, 0usize..9)).prop_map(|(read, written, padding, (h, w))| {
        let least = 3usize.saturating_sub(2 * padding).max(1);
        let input = Maps { channels: read, height: least + h, width: least + w };
        Convolution::new(input, written, 3).window(1, padding)
    })
}

proptest! {
    #![proptest_config(cases(48))]
    #[test]
    fn any_convolution_is_its_formula(sizes in any(), batch in 1usize..=3, seed in 0u64..1 << 32) {
        assert_is_its_formula(sizes, batch, seed);
    }

    #[test]
    fn any_3x3_convolution_is_its_formula(sizes in three_by_three(), batch in 1usize..=3, seed in 0u64..1 << 32) {
        assert_is_its_formula(sizes, batch, seed);
    }
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn fused_and_shared_convolutions_are_the_plain_one(
        sizes in prop_oneof![any(), three_by_three()], batch in 1usize..=2, seed in 0u64..1 << 32,
    ) {
        assert_fused_is_apart(sizes, batch, seed);
    }
}

#[test]
fn shapes_of_real_networks_are_their_formula() {
    // Input channels and side; output channels; kernel, stride, padding, dilation; groups.
    for ((read, side), written, (kernel, stride, padding, dilation), groups) in [
        ((3, 32), 32, (3, 1, 1, 1), 1),
        ((32, 12), 32, (3, 1, 1, 1), 1),
        ((3, 31), 24, (2, 1, 0, 1), 1),
        ((64, 7), 136, (3, 1, 1, 1), 1),
        ((24, 9), 24, (3, 2, 1, 1), 24),
        ((48, 6), 32, (1, 2, 0, 1), 1),
        ((32, 9), 32, (3, 1, 2, 2), 1),
        ((24, 9), 24, (3, 1, 4, 4), 24),
    ] {
        let input = Maps { channels: read, height: side, width: side };
        let sizes = Convolution::new(input, written, kernel).window(stride, padding).dilated(dilation).grouped(groups);
        assert_is_its_formula(sizes, 1, 1);
    }
}

#[test]
#[should_panic(expected = "groups of as many channels")]
fn channels_that_groups_do_not_divide_are_refused() {
    Conv::new(Convolution::new(Maps { channels: 5, height: 4, width: 4 }, 4, 3).grouped(2));
}

#[test]
fn planes_of_several_blocks_of_tiles_are_their_formula() {
    // 9 × 10 tiles an image, so that blocks of 64 end within images; then one row of many tiles, and an image without padding.
    for (read, written, (height, width), padding, batch) in
        [(17, 16, (36, 37), 1, 2), (16, 18, (5, 270), 1, 1), (3, 16, (67, 41), 0, 1)]
    {
        let sizes = Convolution::new(Maps { channels: read, height, width }, written, 3).window(1, padding);
        assert_is_its_formula(sizes, batch, 5);
        assert_fused_is_apart(sizes, batch, 6);
    }
    let wide = Convolution::new(Maps { channels: 18, height: 41, width: 66 }, 20, 3).window(2, 1).grouped(2);
    assert_is_its_formula(wide, 1, 7);
}

#[test]
fn sizes_that_memory_cannot_hold_are_refused() {
    const TOO_LARGE: &str = "sizes that no memory could hold";
    const OTHER: &str = "convolution: the output of these windows";
    let small = Maps { channels: 1, height: 8, width: 8 };
    let refused = |what: &str, reason: &str, sizes: &dyn Fn() -> Convolution| {
        for found in [refusal(|| drop(Conv::new(sizes()))), refusal(|| drop(Conv::winograd(sizes())))] {
            assert_eq!(found, reason, "{what}");
        }
    };
    refused("padding", TOO_LARGE, &|| Convolution::new(small, 1, 1).window(1, usize::MAX / 2));
    refused("stride and padding", TOO_LARGE, &|| Convolution::new(small, 1, 1).window((1 << 29) - 1, 1 << 28));
    refused("kernel", TOO_LARGE, &|| Convolution::new(small, 1, 1 << 32).window(1, 1 << 32));
    refused("dilation", TOO_LARGE, &|| Convolution::new(small, 1, 3).dilated(1 << 63));
    refused("channels", TOO_LARGE, &|| Convolution::new(Maps { channels: usize::MAX, ..small }, 1, 1));
    refused("filters", TOO_LARGE, &|| Convolution::new(small, 1 << 58, 1));
    refused("a window larger than the plane", OTHER, &|| Convolution::new(small, 1, 9));
    let output = Maps { height: 9, ..small };
    refused("an output of other windows", OTHER, &|| Convolution { output, ..Convolution::new(small, 1, 3).window(1, 1) });
    let maps = Maps { channels: 1 << 20, height: 1 << 30, width: 1 << 30 };
    assert_eq!(refusal(|| assert!(!maps.is_empty())), TOO_LARGE);
}
