//! The blocked kernels against their formulas in f64, on random shapes, on every tier.

mod conv;
mod norm;
mod pointwise;
mod pool;

use super::{Maps, blocks};
use crate::kernels::lanes::WIDTH;

/// Images in the blocked layout.
fn block(maps: Maps, plain: &[f32]) -> Vec<f32> {
    let image = maps.channels * maps.plane();
    let mut blocked = vec![f32::NAN; plain.len() / image * maps.len()];
    for (plain, blocked) in plain.chunks_exact(image).zip(blocked.chunks_exact_mut(maps.len())) {
        maps.block(plain, blocked);
    }
    blocked
}

/// Images in plain order; lanes beyond the last channel must hold zeros.
fn unblock(maps: Maps, blocked: &[f32]) -> Vec<f32> {
    let image = maps.channels * maps.plane();
    let mut plain = vec![f32::NAN; blocked.len() / maps.len() * image];
    for (blocked, plain) in blocked.chunks_exact(maps.len()).zip(plain.chunks_exact_mut(image)) {
        maps.unblock(blocked, plain);
        let last = &blocked[(blocks(maps.channels) - 1) * maps.plane() * WIDTH..];
        let fillers = last.chunks_exact(WIDTH).flat_map(|pixel| &pixel[(maps.channels - 1) % WIDTH + 1..]);
        assert!(fillers.into_iter().all(|&x| x == 0.0), "lanes beyond the last channel are zeros: {maps:?}");
    }
    plain
}

/// One number a channel, filled up to a block.
fn fill(numbers: &[f32]) -> Vec<f32> {
    let mut filled = numbers.to_vec();
    filled.resize(blocks(numbers.len()) * WIDTH, 0.0);
    filled
}

#[test]
fn blocking_and_back_is_the_identity_and_fills_with_zeros() {
    for channels in [1, 3, 16, 17, 40] {
        let maps = Maps { channels, height: 3, width: 5 };
        let plain: Vec<f32> = (1..=2 * channels * 15).map(|x| x as f32).collect();
        assert_eq!(unblock(maps, &block(maps, &plain)), plain);
    }
}
