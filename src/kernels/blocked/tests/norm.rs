//! Batch norm: both sweeps forward, both backward.

use proptest::prelude::*;

use super::{block, fill, unblock};
use crate::kernels::Tier;
use crate::kernels::blocked::norm::{Apply, ApplyBackward, Measure, MeasureBackward, combine};
use crate::kernels::blocked::{Maps, blocks};
use crate::kernels::lanes::WIDTH;
use crate::kernels::naive::batch_norm2d::{self as formula, Norm, NormGradients, NormShape, Statistics};
use crate::kernels::testing::{Sums, cases, filled, noise, wide};

const EPS: f64 = 1e-5;

/// A batch whose channels have means up to a hundred deviations from 0, as images that nobody centred do.
struct Batch {
    maps: Maps,
    x: Vec<f32>,
    dy: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Batch {
    fn new(maps: Maps, images: usize, seed: u64) -> Self {
        let len = images * maps.channels * maps.plane();
        let (offsets, mut x) = (noise(seed, maps.channels), noise(seed + 1, len));
        for (at, x) in x.iter_mut().enumerate() {
            *x = *x * 0.5 + 50.0 * offsets[at / maps.plane() % maps.channels];
        }
        let [scale, shift] = [seed + 2, seed + 3].map(|seed| noise(seed, maps.channels));
        Self { maps, x, dy: noise(seed + 4, len), scale, shift }
    }

    fn shape(&self) -> NormShape {
        let Maps { channels, .. } = self.maps;
        NormShape { batch: self.x.len() / (channels * self.maps.plane()), channels, plane: self.maps.plane() }
    }

    fn assert_is_its_formula(&self, tier: Tier) {
        let (maps, shape) = (self.maps, self.shape());
        let (x, dy, scale, shift) = (wide(&self.x), wide(&self.dy), wide(&self.scale), wide(&self.shift));
        let statistics = Statistics::of(&shape, &x);
        let norm = Norm { shape, statistics: &statistics, of_batch: true, scale: &scale, eps: EPS };
        let y = filled(x.len(), |y| formula::forward(&norm, &shift, &x, y));
        let [mut dx, mut to_scale, mut to_shift] = [x.len(), maps.channels, maps.channels].map(|len| vec![0.0; len]);
        let mut gradients = NormGradients { input: &mut dx, scale: &mut to_scale, shift: &mut to_shift };
        formula::backward(&norm, &x, &dy, &mut gradients);

        let padded = blocks(maps.channels) * WIDTH;
        let (x, dy) = (block(maps, &self.x), block(maps, &self.dy));
        // The first image is measured apart from the others.
        let mut moments = [(); 2].map(|()| vec![f32::NAN; 3 * padded]);
        let (first, others) = x.split_at(maps.len());
        for (input, moments) in [first, others].into_iter().zip(&mut moments).filter(|(input, _)| !input.is_empty()) {
            tier.run(Measure { maps, input, moments });
        }
        let parts = [first, others].map(|part| part.len() / maps.len() * maps.plane());
        let parts = moments.iter().map(|moments| &moments[..]).zip(parts).filter(|(_, count)| *count > 0);
        let mut found = vec![0.0; 2 * padded];
        combine(parts, &mut found);
        let (means, variances) = found.split_at(padded);
        for channel in 0..maps.channels {
            let (mean, variance) = (statistics.mean[channel], statistics.variance[channel]);
            let deviation = (variance + EPS).sqrt();
            assert!((means[channel] - mean).abs() <= 3e-6 * deviation, "{tier} mean {} {mean} ± {deviation}", means[channel]);
            assert!((variances[channel] - variance).abs() <= 1e-5 * (variance + EPS), "{tier} {} {variance}", variances[channel]);
        }

        // What a step makes of them: see `network::step`.
        let rounded: Vec<f32> = means.iter().map(|&mean| mean as f32).collect();
        let of = |f: &dyn Fn(usize) -> f64| fill(&(0..maps.channels).map(|channel| f(channel) as f32).collect::<Vec<_>>());
        let factor = |channel: usize| f64::from(self.scale[channel]) / (variances[channel] + EPS).sqrt();
        let left = |channel: usize| means[channel] - f64::from(rounded[channel]);
        let shifts = of(&|channel| f64::from(self.shift[channel]) - factor(channel) * left(channel));
        let mut output = vec![f32::NAN; x.len()];
        tier.run(Apply { maps, input: &x, output: &mut output, means: &rounded, scale: &of(&factor), shift: &shifts });
        Sums::new(y.clone(), &[1.0 / 12.0]).assert_are(&unblock(maps, &output), &format!("{tier} {shape:?}"));

        let mut sums = vec![f32::NAN; 2 * padded];
        tier.run(MeasureBackward { maps, input: &x, gradient: &dy, means: &rounded, sums: &mut sums });
        let (totals, products) = sums.split_at(padded);
        let typical = [shape.count() as f64 / 3.0];
        Sums::new(to_shift, &typical).assert_are(&totals[..maps.channels], &format!("{tier} shift of {shape:?}"));
        let product = |channel: usize| f64::from(products[channel]) - left(channel) * f64::from(totals[channel]);
        let slopes = of(&|channel| product(channel) / (variances[channel] + EPS).sqrt());
        Sums::new(to_scale, &typical).assert_are(&slopes[..maps.channels], &format!("{tier} scale of {shape:?}"));

        let count = shape.count() as f64;
        let b = |channel: usize| -factor(channel) * product(channel) / (count * (variances[channel] + EPS));
        let c = |channel: usize| -factor(channel) * f64::from(totals[channel]) / count - b(channel) * left(channel);
        let factors = [of(&factor), of(&b), of(&c)].concat();
        let mut input_gradient = vec![f32::NAN; x.len()];
        let back =
            ApplyBackward { maps, input: &x, gradient: &dy, means: &rounded, factors: &factors, output: &mut input_gradient };
        tier.run(back);
        // A plane of one number an image has no gradient but what rounding leaves of terms of this size.
        let terms: Vec<f64> = (0..maps.channels).map(|channel| factor(channel).powi(2) / 3.0).collect();
        Sums::new(dx, &terms).assert_are(&unblock(maps, &input_gradient), &format!("{tier} gradient of {shape:?}"));
    }
}

proptest! {
    #![proptest_config(cases(48))]
    #[test]
    fn any_batch_norm_is_its_formula(
        (channels, height, width) in (1usize..40, 1usize..9, 1usize..9), images in 1usize..5, seed in 0u64..1 << 32,
    ) {
        // Of two numbers or fewer the variance may be next to nothing, and with it every digit of the result.
        prop_assume!(images * height * width > 2);
        let batch = Batch::new(Maps { channels, height, width }, images, seed);
        Tier::all().for_each(|tier| batch.assert_is_its_formula(tier));
    }
}
