//! Rules of update other than SGD's for all: the compiled step against the reference, and against itself.

use super::*;
use crate::network::Rules;
use crate::network::shape::ParameterSpec;
use crate::optim::{AdamW, AdjustLr, Muon, Rule};

const MUON: Muon = Muon {
    learning_rate: 0.02,
    momentum: 0.9,
    nesterov: true,
    weight_decay: 0.1,
    ns_steps: 5,
    renormalize: true,
    adjust_lr: AdjustLr::Original,
};

/// Its `eps` is as large as gradients are, so that rounding errors of those that should be 0 do not become whole steps.
fn adamw(step: u64) -> Rule {
    Rule::AdamW(AdamW { learning_rate: 0.01, betas: [0.9, 0.99], eps: 0.05, weight_decay: 0.1, step })
}

/// Every rule there is, by turns; Muon where it can be.
fn mixed(specs: &[ParameterSpec], step: u64) -> Vec<Rule> {
    let rule = |(at, spec): (usize, &ParameterSpec)| match at % 4 {
        0 | 1 if spec.shape.len() > 1 => Rule::Muon(MUON),
        1 | 2 => adamw(step),
        3 if at % 8 == 3 => Rule::Frozen,
        _ => Rule::Sgd(SGD),
    };
    specs.iter().enumerate().map(rule).collect()
}

fn trained(case: &Case) -> Vec<ParameterSpec> {
    let layers = infer(&case.architecture).unwrap();
    specs(&layers).filter(|spec| spec.role.trained()).cloned().collect()
}

fn bits(step: &Step) -> Vec<(String, Vec<u32>)> {
    let squares = step.squares().unwrap();
    let squares = squares.iter().map(|p| (format!("squares of {}", p.name), p.values.iter().map(|x| x.to_bits()).collect()));
    state(step).into_iter().chain(squares).collect()
}

/// How far what moved is from what the reference moved, in units of the latter.
fn off(before: &Weights, [found, expected]: [&Weights; 2], at: &str) -> f32 {
    let moved = |after: &Weights| -> Vec<f32> {
        let (before, after) = (&before.get(at).unwrap().values, &after.get(at).unwrap().values);
        before.iter().zip(after).map(|(before, after)| after - before).collect()
    };
    let (found, expected) = (moved(found), moved(expected));
    distance(&found, &expected, 1e-9)
}

/// Their length as one vector.
fn norm_of(gradients: &[Parameter]) -> f64 {
    gradients.iter().flat_map(|gradient| &gradient.values).map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn every_rule_moves_random_networks_as_by_the_reference() {
    for seed in 0..40 {
        let case = Case::new(random::architecture(seed), 2 + seed as usize % 5, seed);
        let specs = trained(&case);
        for by_muon in [false, true] {
            let rules: Vec<Rule> =
                specs.iter().map(|spec| if by_muon && spec.shape.len() > 1 { Rule::Muon(MUON) } else { adamw(1) }).collect();
            let settings = by(Rules::Each(&rules), 11);
            let mut reference = Autograd::new(&case.architecture, &case.weights, &Device::Cpu).unwrap();
            let (gradients, _) = reference.gradients(case.batch(), &settings).unwrap();
            let largest = gradients.iter().map(|gradient| rms(&gradient.values)).fold(0.0, f32::max);
            let norm = norm_of(&gradients);
            let told = reference.step(case.batch(), &settings).unwrap().gradient_norm;
            assert!((told / norm - 1.0).abs() < 1e-4, "{} by the reference: {told} for {norm}", case.architecture.name);
            for tier in Tier::all() {
                let mut step = case.step(tier, 2);
                let told = step.step(case.batch(), &settings).unwrap().gradient_norm;
                assert!((told / norm - 1.0).abs() < 1e-3, "{} {tier}: {told} for {norm}", case.architecture.name);
                let after = [&step.weights().unwrap(), &reference.weights().unwrap()];
                for (gradient, rule) in gradients.iter().zip(&rules) {
                    // What has no gradient but rounding errors is made whole steps of by Muon.
                    if matches!(rule, Rule::Muon(_)) && rms(&gradient.values) < 1e-2 * largest {
                        continue;
                    }
                    let off = off(&case.weights, after, &gradient.name);
                    assert!(off < 2e-2, "{} {tier} {} by {rule:?}: off by {off}", case.architecture.name, gradient.name);
                }
                for (found, expected) in step.squares().unwrap().iter().zip(&reference.squares().unwrap()) {
                    assert_eq!((&found.name, &found.shape), (&expected.name, &expected.shape));
                    assert!(distance(&found.values, &expected.values, 1e-3 * largest * largest) < 1e-2, "{}", found.name);
                }
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits_by_any_rule() {
    for case in networks() {
        let specs = trained(&case);
        let tier = Tier::detect();
        let run = |threads: usize| {
            let mut step = case.step(tier, threads);
            for seed in 0..2 {
                let rules = mixed(&specs, seed + 1);
                step.step(case.batch(), &by(Rules::Each(&rules), seed)).unwrap();
            }
            bits(&step)
        };
        let one = run(1);
        for threads in [2, 3] {
            let other = run(threads);
            let differ = one.iter().zip(&other).find(|(one, other)| one != other).map(|(one, _)| &one.0);
            assert_eq!(differ, None, "{}, {threads} threads", case.architecture.name);
        }
    }
}

#[test]
fn what_is_read_and_put_back_goes_on_to_the_same_bits() {
    for case in networks() {
        let specs = trained(&case);
        let tier = Tier::detect();
        let (first, second) = (mixed(&specs, 1), mixed(&specs, 2));
        let mut whole = case.step(tier, 2);
        whole.step(case.batch(), &by(Rules::Each(&first), 0)).unwrap();
        let mut parts = case.step(tier, 1);
        parts.set_weights(&whole.weights().unwrap()).unwrap();
        parts.restore_momentum(whole.momentum().unwrap()).unwrap();
        parts.restore_squares(whole.squares().unwrap()).unwrap();
        assert_eq!(bits(&parts), bits(&whole), "{}", case.architecture.name);
        for step in [&mut whole, &mut parts] {
            step.step(case.batch(), &by(Rules::Each(&second), 1)).unwrap();
        }
        assert_eq!(bits(&parts), bits(&whole), "{}", case.architecture.name);
        let mut strange = whole.squares().unwrap();
        if let Some(first) = strange.first_mut() {
            first.name = "nobody's".into();
            assert!(parts.restore_squares(strange).is_err());
        }
    }
}

#[test]
fn what_is_frozen_stays_and_lets_gradients_through() {
    let case = Case::new(presets::named("tutorial").unwrap(), 3, 5);
    let specs = trained(&case);
    // The fully connected layers and the first convolution stay.
    let rule = |spec: &ParameterSpec| match spec.name.as_str() {
        "conv2.weight" => Rule::Sgd(SGD),
        "conv2.bias" => Rule::Sgd(SGD).without_decay(),
        _ => Rule::Frozen,
    };
    let rules: Vec<Rule> = specs.iter().map(rule).collect();
    let mut frozen = case.step(Tier::detect(), 2);
    let report = frozen.step(case.batch(), &by(Rules::Each(&rules), 1)).unwrap();
    // SGD's first momentum is the gradient, and decay.
    let mut all = case.step(Tier::detect(), 2);
    let plain = by(Rules::All(Rule::Sgd(Sgd { weight_decay: 0.0, ..SGD })), 1);
    let of_all = all.step(case.batch(), &plain).unwrap().gradient_norm;
    let (every, moved): (Vec<_>, Vec<_>) = (all.momentum().unwrap(), all.momentum().unwrap());
    assert!((of_all / norm_of(&every) - 1.0).abs() < 1e-5);
    let moved: Vec<Parameter> = moved.into_iter().filter(|buffer| buffer.name.starts_with("conv2")).collect();
    assert!((report.gradient_norm / norm_of(&moved) - 1.0).abs() < 1e-5, "of what moves, {report:?}");
    let zeros = |buffer: &Parameter| buffer.values.iter().all(|&x| x == 0.0);
    for (buffer, trained) in frozen.momentum().unwrap().iter().zip(all.momentum().unwrap()) {
        if buffer.name == "conv2.bias" {
            assert_eq!(buffer.values, trained.values, "the gradient that it has when all are trained");
        }
        assert_eq!(zeros(buffer), !buffer.name.starts_with("conv2"), "{}", buffer.name);
    }
    for (now, before) in frozen.weights().unwrap().iter().zip(case.weights.iter()) {
        assert_eq!(now.values == before.values, !now.name.starts_with("conv2"), "{}", now.name);
    }
}

#[test]
fn gradients_of_a_sum_are_the_batchs_size_times_those_of_the_mean() {
    let case = Case::new(random::architecture(3), 4, 3);
    let momentum = |reduction: Reduction| {
        let rules = Rules::All(Rule::Sgd(Sgd { weight_decay: 0.0, ..SGD }));
        let settings = StepSettings { reduction, ..by(rules, 1) };
        let mut step = case.step(Tier::detect(), 1);
        let report = step.step(case.batch(), &settings).unwrap();
        (report, step.momentum().unwrap())
    };
    let ((of_mean, mean), (of_sum, sum)) = (momentum(Reduction::Mean), momentum(Reduction::Sum));
    assert_eq!((of_mean.loss, 4.0 * of_mean.gradient_norm), (of_sum.loss, of_sum.gradient_norm));
    for (mean, sum) in mean.iter().zip(&sum) {
        // A power of two: the same digits.
        assert!(mean.values.iter().zip(&sum.values).all(|(mean, sum)| 4.0 * mean == *sum), "{}", mean.name);
    }
}
