//! The compiled evaluation against candle's forward.

use std::sync::Arc;

use candle_core::Device;

use super::*;
use crate::kernels::{Team, Tier};
use crate::network::forward::{Forward, Mode, probabilities, tensors};
use crate::network::init::{self, Init};
use crate::network::shape::Role;
use crate::network::{Mask, infer, presets, random};

/// Numbers that no pattern of the network matches, the same for one seed.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    })
    .take(n)
    .collect()
}

struct Case {
    architecture: Architecture,
    layers: Vec<LayerShape>,
    weights: Weights,
    images: Vec<f32>,
    batch: usize,
}

impl Case {
    /// With running statistics and biases that are not those of a fresh network.
    fn new(architecture: Architecture, batch: usize, seed: u64) -> Self {
        let layers = infer(&architecture).unwrap();
        let mut weights = init::weights(&layers, Init::Pytorch, seed);
        let roles: Vec<Role> = layers.iter().flat_map(|layer| &layer.parameters).map(|spec| spec.role).collect();
        for (i, (parameter, role)) in weights.iter_mut().zip(roles).enumerate() {
            let noise = noise(parameter.values.len(), seed + i as u64);
            for (x, noise) in parameter.values.iter_mut().zip(noise) {
                match role {
                    Role::Weight => {}
                    Role::Bias | Role::RunningMean => *x = 0.3 * noise,
                    Role::Scale | Role::RunningVariance => *x = 1.0 + 0.5 * noise,
                }
            }
        }
        let input = architecture.input;
        let images = noise(batch * input.channels * input.height * input.width, seed);
        Self { architecture, layers, weights, images, batch }
    }

    fn plan(&self, tier: Tier, threads: usize) -> Plan {
        Plan::on(Machine { tier, team: Arc::new(Team::new(threads)) }, &self.architecture, &self.layers, &self.weights)
    }

    fn reference(&self, probe: &Probe) -> Evaluation {
        let parameters = tensors(&self.layers, &self.weights, &Device::Cpu).unwrap();
        let network = Forward::new(&self.architecture, &self.layers, parameters);
        let pass = network.run(&network.images(&self.images, &Device::Cpu).unwrap(), Mode::Evaluation, probe).unwrap();
        let plain = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
        let tap = |(&layer, t): (&usize, &_)| crate::network::Tap { layer, shape: self.layers[layer].output, values: plain(t) };
        let taps = probe.taps.iter().zip(&pass.taps).map(tap).collect();
        Evaluation { probabilities: plain(&probabilities(&pass.scores).unwrap()), taps, familiarity: vec![] }
    }

    fn all_taps(&self) -> Probe {
        Probe { taps: (0..self.layers.len()).collect(), ..Probe::default() }
    }

    /// Every second layer, and of every third one some channels off.
    fn masks(&self, seed: usize) -> Probe {
        let masks = (0..self.layers.len()).filter(|layer| (layer + seed).is_multiple_of(3));
        let channels = |layer: usize| self.layers[layer].output.channels();
        let masks = masks.map(|layer| Mask { layer, channels: vec![seed % channels(layer), channels(layer) - 1] });
        Probe { taps: (seed % 2..self.layers.len()).step_by(2).collect(), masks: masks.collect(), ..Probe::default() }
    }

    /// Of each image another channel of another layer.
    fn own_masks(&self, images: usize) -> Probe {
        let layer = |image: usize| (2 * image + 1) % self.layers.len();
        let mask = |image| Mask { layer: layer(image), channels: vec![image % self.layers[layer(image)].output.channels()] };
        Probe { each: (0..images).map(mask).collect(), ..self.all_taps() }
    }
}

fn close(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let rms = (expected.iter().map(|x| x * x).sum::<f32>() / expected.len() as f32).sqrt();
    let apart = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart <= 3e-5 * rms.max(1e-3) && got.iter().all(|x| x.is_finite()), "{what}: {apart} of {rms}");
}

fn agrees(case: &Case, plan: &mut Plan, probe: &Probe, what: &str) {
    let (got, expected) = (plan.evaluate(&case.images, probe).unwrap(), case.reference(probe));
    close(&format!("{what} {:?}", case.architecture), &got.probabilities, &expected.probabilities);
    assert_eq!(got.taps.len(), expected.taps.len());
    for (got, expected) in got.taps.iter().zip(&expected.taps) {
        assert_eq!((got.layer, got.shape), (expected.layer, expected.shape));
        close(&format!("{what} layer {} {:?}", got.layer, case.architecture), &got.values, &expected.values);
    }
}

#[test]
fn a_plan_is_forward_on_random_networks_with_taps_and_masks() {
    for seed in 0..70 {
        for batch in [1, 2, 5] {
            let case = Case::new(random::architecture(seed), batch, seed);
            for tier in Tier::all() {
                let mut plan = case.plan(tier, 1 + seed as usize % 3);
                let what = format!("seed {seed} batch {batch} {tier}");
                for probe in [Probe::default(), case.all_taps(), case.masks(seed as usize), case.own_masks(batch), Probe::default()]
                {
                    agrees(&case, &mut plan, &probe, &what);
                }
            }
        }
    }
}

#[test]
fn a_plan_is_forward_on_networks_that_fuse_everything() {
    let convolution = |name: &str, channels: usize| {
        format!("{{ name = '{name}', kind = 'conv2d', out_channels = {channels}, kernel_size = 3, padding = 1, bias = false }}")
    };
    let text = format!(
        "name = 'deep'\ninput = {{ channels = 3, height = 15, width = 15 }}\nlayers = [\n{},\n{},\n{},\n{},\n{}]",
        convolution("c1", 24),
        "{ name = 'n1', kind = 'batch_norm2d' }, { name = 'd1', kind = 'dropout', p = 0.3 }, { name = 'a1', kind = 'relu' }",
        convolution("c2", 96),
        "{ name = 'n2', kind = 'batch_norm2d' }, { name = 'p2', kind = 'max_pool2d', kernel_size = 2 }, { name = 'a2', kind = 'relu' },
         { name = 'c3', kind = 'conv2d', out_channels = 96, kernel_size = 3, padding = 1 }, { name = 'r3', kind = 'add', from = 'a2' },
         { name = 'n3', kind = 'batch_norm2d' }, { name = 'g3', kind = 'gelu' }",
        "{ name = 'p3', kind = 'adaptive_avg_pool2d', output_size = 2 }, { name = 'f', kind = 'flatten' },
         { name = 'l1', kind = 'linear', out_features = 100 }, { name = 'a4', kind = 'relu' }, { name = 'd4', kind = 'dropout', p = 0.5 },
         { name = 'l2', kind = 'linear', out_features = 10 }",
    );
    let deep = Architecture::from_toml(&text).unwrap();
    for architecture in [deep, presets::named("tutorial").unwrap()] {
        for batch in [1, 5] {
            let case = Case::new(architecture.clone(), batch, 5);
            for tier in Tier::all() {
                let mut plan = case.plan(tier, 2);
                for probe in [Probe::default(), case.all_taps(), case.masks(1)] {
                    agrees(&case, &mut plan, &probe, &format!("{tier} {batch}"));
                }
            }
        }
    }
}

#[test]
fn neither_threads_nor_company_nor_other_taps_change_a_bit() {
    let random = (0..30).map(random::architecture);
    for (seed, architecture) in random.chain([presets::named("tutorial").unwrap()]).enumerate() {
        let case = Case::new(architecture, 5, seed as u64);
        for tier in Tier::all() {
            let all = case.all_taps();
            let mut one = case.plan(tier, 1);
            let (plain, tapped) =
                (one.evaluate(&case.images, &Probe::default()).unwrap(), one.evaluate(&case.images, &all).unwrap());
            for threads in [2, 3] {
                let mut plan = case.plan(tier, threads);
                assert_eq!(plan.evaluate(&case.images, &Probe::default()).unwrap(), plain, "seed {seed} {tier} {threads}");
                assert_eq!(plan.evaluate(&case.images, &all).unwrap(), tapped, "seed {seed} {tier} {threads}");
                let alone = case.images.chunks_exact(case.images.len() / case.batch);
                let alone = alone.flat_map(|image| plan.evaluate(image, &Probe::default()).unwrap().probabilities);
                assert_eq!(alone.collect::<Vec<_>>(), plain.probabilities, "seed {seed} {tier} {threads}");
                for layer in 0..case.layers.len() {
                    let single = plan.evaluate(&case.images, &Probe { taps: vec![layer], ..Probe::default() }).unwrap();
                    assert_eq!(single.taps[0], tapped.taps[layer], "seed {seed} {tier} layer {layer}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_batch_of_images_is_refused_and_no_images_are_answered() {
    let case = Case::new(presets::named("tutorial").unwrap(), 1, 0);
    let mut plan = case.plan(Tier::detect(), 1);
    let message = plan.evaluate(&case.images[1..], &Probe::default()).unwrap_err().to_string();
    assert!(message.contains("images of 3072 numbers, and was given 3071"), "{message}");
    assert_eq!(
        plan.evaluate(&[], &Probe::default()).unwrap(),
        Evaluation { probabilities: vec![], taps: vec![], familiarity: vec![] }
    );
}

#[test]
fn a_mask_of_ones_own_is_to_the_bit_what_it_is_alone() {
    for seed in 0..12 {
        let case = Case::new(random::architecture(seed), 1, seed);
        let Some(tier) = Tier::all().last() else { return };
        let mut plan = case.plan(tier, 1 + seed as usize % 3);
        for (layer, shape) in case.layers.iter().enumerate() {
            let masks: Vec<Mask> =
                (0..shape.output.channels().min(9)).map(|channel| Mask { layer, channels: vec![channel] }).collect();
            let probe = Probe { each: masks.clone(), ..Probe::default() };
            let together = plan.evaluate(&case.images.repeat(masks.len()), &probe).unwrap().probabilities;
            for (mask, together) in masks.into_iter().zip(together.chunks_exact(together.len() / probe.each.len())) {
                let alone = plan.evaluate(&case.images, &Probe { masks: vec![mask], ..Probe::default() }).unwrap();
                assert_eq!(alone.probabilities, together, "seed {seed} layer {layer}");
            }
        }
    }
}
