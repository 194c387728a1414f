//! Dropout: which elements are zeroed is a hash of a seed and the element's position.
//!
//! A stream of random numbers would have to be drawn in order; a hash gives every element's bit on its own, so the mask is
//! the same for any number of threads, need not be kept for the backward pass, and is computed in vector registers. The
//! hash is MurmurHash3's 32-bit finalizer (`fmix32`, Austin Appleby, public domain, smhasher/src/MurmurHash3.cpp) applied
//! twice with a key before each round; a new pair of keys for every block of elements comes from SplitMix64 (Steele, Lea,
//! Flood, OOPSLA 2014, doi 10.1145/2660193.2660195). Shuffling, augmentation and initialisation draw from ChaCha; at one
//! draw an element (tens of thousands an image) that would cost more than the convolution it follows.

/// Elements that share a pair of keys.
const BLOCK: usize = 4096;

/// Which elements are kept, and what they are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mask {
    seed: u64,
    /// Elements whose hash is below are zeroed: `p · 2³²`, rounded, so the share is exact to 2⁻³³.
    threshold: u64,
    scale: f64,
}

impl Mask {
    /// A mask that zeroes each element with probability `p`, 0 ≤ p < 1.
    pub fn new(p: f64, seed: u64) -> Self {
        Self { seed, threshold: (p * 4_294_967_296.0).round() as u64, scale: 1.0 / (1.0 - p) }
    }

    /// `1 / (1 - p)`: what keeps the expected sum as it was.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Whether the element at `index` (its position in the tensor, in order of storage) is kept.
    pub fn keeps(&self, index: u64) -> bool {
        let block = BLOCK as u64;
        u64::from(hash((index % block) as u32, self.keys(index / block))) >= self.threshold
    }

    /// The keys of a block.
    fn keys(&self, block: u64) -> [u32; 2] {
        let key = splitmix64(self.seed.wrapping_add(splitmix64(block)));
        [key as u32, (key >> 32) as u32]
    }

    /// Applies this mask in place to sixteen runs of elements side by side, as vectors have them: element t of run `lane` is
    /// `values[t * stride + lane]`, and a run's first is element `start[lane]` of the tensor. What is kept is rectified first
    /// where `rectify` says so.
    #[allow(clippy::needless_bitwise_bool, reason = "a branch would keep the loop out of vector registers")]
    #[inline(always)]
    pub(crate) fn apply_lanes(&self, start: [u64; 16], rectify: bool, (values, stride): (&mut [f32], usize)) {
        let (scale, block) = (self.scale as f32, BLOCK as u64);
        let lowest = if rectify { 0.0 } else { f32::NEG_INFINITY };
        // A threshold of 2³² keeps nothing, and is the only one that does not fit.
        let (threshold, scale) = u32::try_from(self.threshold).map_or((0, 0.0), |threshold| (threshold, scale));
        let elements = (values.len() + stride - 16) / stride;
        let mut done = 0;
        while done < elements {
            // As far as no run leaves its block of keys.
            let (mut length, mut index, mut keys) = (elements - done, [0u32; 16], [[0u32; 16]; 2]);
            for lane in 0..16 {
                let at = start[lane] + done as u64;
                index[lane] = (at % block) as u32;
                length = length.min((block - at % block) as usize);
                [keys[0][lane], keys[1][lane]] = self.keys(at / block);
            }
            for element in done..done + length {
                let Some(vector) = values[element * stride..].first_chunk_mut::<16>() else { return };
                for lane in 0..16 {
                    let kept = hash(index[lane], [keys[0][lane], keys[1][lane]]) >= threshold;
                    let off = !kept | (vector[lane] <= lowest);
                    vector[lane] = if off { 0.0 } else { vector[lane] * scale };
                    index[lane] = index[lane].wrapping_add(1);
                }
            }
            done += length;
        }
    }
}

#[inline(always)]
fn hash(index: u32, keys: [u32; 2]) -> u32 {
    fmix32(fmix32(index ^ keys[0]).wrapping_add(keys[1]))
}

#[inline(always)]
fn fmix32(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

pub(super) fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u64 = 1 << 20;

    /// Of `N` elements, the share for which `is` holds.
    fn share(is: impl Fn(u64) -> bool) -> f64 {
        (0..N).filter(|&index| is(index)).count() as f64 / N as f64
    }

    /// Five standard deviations of the share of `N` independent events of probability `p`.
    fn near(share: f64, p: f64) -> bool {
        (share - p).abs() < 5.0 * (p * (1.0 - p) / N as f64).sqrt()
    }

    #[test]
    fn the_share_dropped_is_p_for_every_seed() {
        for p in [0.001, 0.1, 0.3, 0.5, 0.99] {
            for seed in [0, 1, 2, u64::MAX, 1 << 32] {
                let mask = Mask::new(p, seed);
                assert!(near(share(|index| !mask.keeps(index)), p), "p = {p}, seed {seed}");
            }
        }
    }

    #[test]
    fn elements_are_independent_of_their_neighbours_and_of_other_seeds() {
        // Steps along a row, a plane of 32 × 32, a block; seeds that follow one another, as those of steps and layers do.
        for (step, seeds) in [(1, 0), (2, 0), (32, 0), (1024, 0), (4096, 0), (32_768, 0), (0, 1), (1, 1), (0, 2), (0, 1 << 32)] {
            let (a, b) = (Mask::new(0.5, 7), Mask::new(0.5, 7 + seeds));
            assert!(near(share(|index| a.keeps(index) == b.keeps(index + step)), 0.5), "step {step}, seeds {seeds} apart");
        }
    }

    #[test]
    fn runs_of_eight_elements_take_every_pattern_alike() {
        let mask = Mask::new(0.5, 3);
        let mut counts = [0u32; 256];
        for start in (0..N).step_by(8) {
            counts[(0..8).fold(0, |pattern, at| pattern << 1 | usize::from(mask.keeps(start + at)))] += 1;
        }
        let expected = N as f64 / 8.0 / 256.0;
        let chi_squared: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        // 255 degrees of freedom: mean 255, deviation 22.6.
        assert!((chi_squared - 255.0).abs() < 5.0 * 22.6, "{chi_squared}");
    }
}
