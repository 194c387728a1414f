//! Where training starts from: seeded parameters. Equal seeds give equal numbers, and a parameter's numbers do not depend on
//! what comes before it in the list beyond its position.

use std::f64::consts::TAU;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::network::shape::{LayerShape, ParameterSpec, Role, Shape};
use crate::network::weights::{Parameter, Weights, specs};

/// How filters, matrices and biases start. Batch norm always starts as the identity: scale 1, shift 0, running mean 0, variance 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// `torch.nn`'s default: weights and biases uniform within ±1/√fan-in (`reset_parameters` of `Conv2d` and `Linear`).
    Pytorch,
    /// The same, and the last layer's weights spread so evenly that their deviation is `last_std`.
    PytorchHead {
        /// Deviation of the weights of the last layer.
        last_std: f32,
    },
    /// He et al., "Delving Deep into Rectifiers" (2015): weights normal with deviation √(2 / fan-in), biases 0.
    Kaiming {
        /// Deviation of the weights of the last layer, whose scores no rectifier follows; small, so that the first losses are
        /// those of a guess.
        last_std: f32,
    },
}

/// The parameters that `layers` own, as `init` starts them, drawn by `seed`.
pub fn weights(layers: &[LayerShape], init: Init, seed: u64) -> Weights {
    let last = layers.iter().rposition(owns_weight);
    let mut entries = Vec::new();
    for (position, layer) in layers.iter().enumerate() {
        let fan_in = layer.parameters.iter().find(|p| p.role == Role::Weight).map(|p| p.shape[1..].iter().product::<usize>());
        for spec in &layer.parameters {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(entries.len() as u64);
            let values = match (fan_in, init) {
                (None, _) => identity(spec),
                (Some(_), Init::PytorchHead { last_std }) if last == Some(position) && spec.role == Role::Weight => {
                    // Numbers spread evenly within ±b deviate by b / √3.
                    uniform(&mut rng, count(spec), f64::from(last_std) * 3f64.sqrt())
                }
                (Some(fan_in), Init::Pytorch | Init::PytorchHead { .. }) => {
                    uniform(&mut rng, count(spec), 1.0 / (fan_in as f64).sqrt())
                }
                (Some(_), Init::Kaiming { .. }) if spec.role == Role::Bias => vec![0.0; count(spec)],
                (Some(_), Init::Kaiming { last_std }) if last == Some(position) => normal(&mut rng, count(spec), last_std.into()),
                (Some(fan_in), Init::Kaiming { .. }) => normal(&mut rng, count(spec), (2.0 / fan_in as f64).sqrt()),
            };
            entries.push(Parameter { name: spec.name.clone(), shape: spec.shape.clone(), values });
        }
    }
    debug_assert_eq!(entries.len(), specs(layers).count());
    // Every entry was made from its own specification just above.
    Weights::fit("initialisation", layers, entries).unwrap_or_else(|e| unreachable!("{e}"))
}

/// Lets the first filters of every convolution without groups and with an odd side of at least 3 pass their inputs on as they are: filter
/// n the n-th (`torch.nn.init.dirac_` of the first in-channels filters, as airbench94 does). Those beyond the inputs stay.
pub fn dirac(layers: &[LayerShape], weights: &mut Weights) {
    for layer in layers {
        let Shape::Map { channels, .. } = layer.input else { continue };
        let Some(spec) = layer.parameters.iter().find(|spec| spec.role == Role::Weight) else { continue };
        let &[out, inputs, side, _] = &spec.shape[..] else { continue };
        if inputs != channels || side < 3 || side.is_multiple_of(2) {
            continue;
        }
        let Some(parameter) = weights.iter_mut().find(|parameter| parameter.name == spec.name) else { continue };
        let size = inputs * side * side;
        for (at, filter) in parameter.values.chunks_exact_mut(size).take(out.min(inputs)).enumerate() {
            filter.fill(0.0);
            filter[at * side * side + side * side / 2] = 1.0;
        }
    }
}

fn owns_weight(layer: &LayerShape) -> bool {
    layer.parameters.iter().any(|parameter| parameter.role == Role::Weight)
}

fn count(spec: &ParameterSpec) -> usize {
    spec.shape.iter().product()
}

/// Batch norm, before it has seen anything.
fn identity(spec: &ParameterSpec) -> Vec<f32> {
    let value = if matches!(spec.role, Role::Scale | Role::RunningVariance) { 1.0 } else { 0.0 };
    vec![value; count(spec)]
}

/// `count` numbers spread evenly over [−`bound`, `bound`).
fn uniform(rng: &mut ChaCha8Rng, count: usize, bound: f64) -> Vec<f32> {
    (0..count).map(|_| ((rng.random::<f64>() * 2.0 - 1.0) * bound) as f32).collect()
}

/// `count` numbers of mean 0 and deviation `std`, two at a time (Box and Muller, 1958).
fn normal(rng: &mut ChaCha8Rng, count: usize, std: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 − [0, 1) is never 0, where the logarithm has no value.
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * std;
        let (sin, cos) = (rng.random::<f64>() * TAU).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Architecture, infer, presets};

    fn tutorial() -> Vec<LayerShape> {
        infer(&presets::named("tutorial").unwrap()).unwrap()
    }

    /// Mean, deviation and greatest magnitude.
    fn moments(values: &[f32]) -> (f64, f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt(), values.iter().fold(0.0, |most, &v| f64::from(v.abs()).max(most)))
    }

    #[test]
    fn pytorchs_default_is_uniform_within_one_over_root_fan_in() {
        let weights = weights(&tutorial(), Init::Pytorch, 7);
        for (name, fan_in) in
            [("conv1.weight", 27), ("conv2.weight", 288), ("fc3.weight", 8192), ("fc4.weight", 512), ("fc3.bias", 8192)]
        {
            let bound = 1.0 / f64::from(fan_in).sqrt();
            let values = &weights.get(name).unwrap().values;
            let (mean, std, most) = moments(values);
            // Four standard errors of a mean and of a deviation of uniform numbers.
            let error = 4.0 * bound / (values.len() as f64).sqrt();
            assert!(most <= bound && most > 0.95 * bound, "{name}: {most} of {bound}");
            assert!(mean.abs() < error && (std - bound / 3f64.sqrt()).abs() < error, "{name}: mean {mean}, deviation {std}");
        }
    }

    #[test]
    fn kaiming_is_normal_with_zero_biases_and_a_small_last_layer() {
        let weights = weights(&tutorial(), Init::Kaiming { last_std: 0.02 }, 7);
        for (name, std) in [("conv2.weight", (2f64 / 288.0).sqrt()), ("fc3.weight", (2f64 / 8192.0).sqrt()), ("fc4.weight", 0.02)] {
            let values = &weights.get(name).unwrap().values;
            let n = values.len() as f64;
            let (mean, measured, _) = moments(values);
            assert!(
                mean.abs() < 4.0 * std / n.sqrt() && (measured / std - 1.0).abs() < 4.0 / (2.0 * n).sqrt(),
                "{name}: {measured}"
            );
            // 68.27 % of normal numbers lie within one deviation.
            let within = values.iter().filter(|v| f64::from(v.abs()) < std).count() as f64 / n;
            assert!((within - 0.6827).abs() < 4.0 * (0.2166 / n).sqrt(), "{name}: {within}");
        }
        assert!(weights.iter().filter(|p| p.name.ends_with("bias")).all(|p| p.values.iter().all(|&v| v == 0.0)));
    }

    #[test]
    fn a_head_may_have_its_own_deviation() {
        let (plain, own) = (weights(&tutorial(), Init::Pytorch, 7), weights(&tutorial(), Init::PytorchHead { last_std: 0.5 }, 7));
        for (plain, own) in plain.iter().zip(own.iter()) {
            assert_eq!(plain.values == own.values, plain.name != "fc4.weight", "{}", plain.name);
        }
        let (mean, std, _) = moments(&own.get("fc4.weight").unwrap().values);
        assert!(mean.abs() < 0.03 && (std - 0.5).abs() < 0.02, "{mean} {std}");
    }

    #[test]
    fn dirac_filters_pass_their_inputs_on() {
        let layers = tutorial();
        let plain = weights(&layers, Init::Pytorch, 7);
        let mut changed = plain.clone();
        dirac(&layers, &mut changed);
        for (plain, changed) in plain.iter().zip(changed.iter()) {
            assert_eq!(
                plain.values == changed.values,
                !plain.name.contains("conv") || plain.name.contains("bias"),
                "{}",
                plain.name
            );
        }
        let (first, old) = (&changed.get("conv1.weight").unwrap().values, &plain.get("conv1.weight").unwrap().values);
        for (at, &x) in first[..3 * 27].iter().enumerate() {
            assert_eq!(x, if at % 27 == at / 27 * 9 + 4 { 1.0 } else { 0.0 }, "{at}");
        }
        assert_eq!(first[3 * 27..], old[3 * 27..], "filters beyond the inputs stay");
    }

    #[test]
    fn seeds_repeat_and_differ() {
        let [a, again, other] = [1, 1, 2].map(|seed| weights(&tutorial(), Init::Pytorch, seed));
        assert_eq!(a, again);
        for (a, other) in a.iter().zip(other.iter()) {
            assert_ne!(a.values, other.values, "{}", a.name);
        }
        assert_ne!(a.get("conv1.bias").unwrap().values, a.get("conv2.bias").unwrap().values);
    }

    #[test]
    fn batch_norm_starts_as_the_identity() {
        let text = "name = 'n'\ninput = { channels = 3, height = 4, width = 4 }\n\
                    [[layers]]\nname = 'norm'\nkind = 'batch_norm2d'\n[[layers]]\nname = 'flat'\nkind = 'flatten'\n\
                    [[layers]]\nname = 'fc'\nkind = 'linear'\nout_features = 2";
        let layers = infer(&Architecture::from_toml(text).unwrap()).unwrap();
        let weights = weights(&layers, Init::Pytorch, 0);
        for (name, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            assert_eq!(weights.get(&format!("norm.{name}")).unwrap().values, [value; 3], "{name}");
        }
    }
}
