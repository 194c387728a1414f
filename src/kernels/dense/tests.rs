//! The three products against their formulas in f64, on random sizes, on every tier.

use proptest::prelude::*;

use super::*;
use crate::kernels::Tier;
use crate::kernels::naive::linear::{self as formula, LinearShape};
use crate::kernels::naive::sgd;
use crate::kernels::sgd::Sgd;
use crate::kernels::testing::{Sums, cases, filled, noise, refusal, squares, wide};

/// A layer and a batch: input, weights, bias, gradient of the output, momentum.
struct Case {
    shape: LinearShape,
    dense: Dense,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
    momentum: Vec<f32>,
}

impl Case {
    fn new(shape: LinearShape, seed: u64) -> Self {
        let LinearShape { batch, inputs, outputs } = shape;
        Self {
            shape,
            dense: Dense { blocks: inputs.div_ceil(WIDTH), outputs },
            x: noise(seed, batch * inputs),
            w: noise(seed + 1, outputs * inputs),
            b: noise(seed + 2, outputs),
            dy: noise(seed + 3, batch * outputs),
            momentum: noise(seed + 4, outputs * inputs),
        }
    }

    /// Weights (or momenta) in the layer's order, fillers zeros.
    fn pack(&self, plain: &[f32]) -> Vec<f32> {
        let mut packed = vec![0.0; self.dense.weights()];
        for (at, &w) in plain.iter().enumerate() {
            packed[self.dense.place(at / self.shape.inputs, at % self.shape.inputs)] = w;
        }
        packed
    }

    /// Back; fillers must still be zeros.
    fn unpack(&self, packed: &[f32]) -> Vec<f32> {
        let inputs = self.shape.inputs;
        let place = |at: usize| self.dense.place(at / inputs, at % inputs);
        let plain: Vec<f32> = (0..self.shape.outputs * inputs).map(|at| packed[place(at)]).collect();
        assert_eq!(self.pack(&plain), packed, "fillers");
        plain
    }

    fn expected(&self, f: impl Fn([&[f64]; 4]) -> Vec<f64>) -> Sums {
        let numbers = [&self.x, &self.w, &self.b, &self.dy].map(|values| wide(values));
        let squared = numbers.each_ref().map(|values| squares(values));
        Sums::new(f(numbers.each_ref().map(|values| &values[..])), &f(squared.each_ref().map(|values| &values[..])))
    }

    /// All outputs, in two parts from `cut` on.
    fn forward(&self, tier: Tier, cut: usize) -> Vec<f32> {
        let LinearShape { batch, inputs, outputs } = self.shape;
        let columns = columns(&self.x, batch, inputs, self.dense.blocks * WIDTH);
        let padded = padded(batch);
        let mut output = vec![f32::NAN; outputs * padded];
        let (weights, dense) = (self.pack(&self.w), self.dense);
        let (before, after) = output.split_at_mut(cut * padded);
        for (first, output) in [(0, before), (cut, after)] {
            let bias = Some(&self.b[first..][..output.len() / padded]);
            tier.run(Forward { dense, weights: &weights, bias, input: &columns, batch: padded, first, output });
        }
        (0..batch * outputs).map(|at| output[at % outputs * padded + at / outputs]).collect()
    }

    /// Gradient of the input, and weights and momenta that have moved; blocks of inputs in two parts, the first of `cut`.
    fn backward(&self, tier: Tier, sgd: Sgd, cut: usize) -> [Vec<f32>; 3] {
        let LinearShape { batch, inputs, outputs } = self.shape;
        let padded = padded(batch);
        let gradient = columns(&self.dy, batch, outputs, outputs);
        let mut input = vec![f32::NAN; self.dense.blocks * WIDTH * padded];
        untranspose(padded, &columns(&self.x, batch, inputs, self.dense.blocks * WIDTH), &mut input);
        let mut to_input = vec![f32::NAN; input.len()];
        let (mut weights, mut momentum) = (self.pack(&self.w), self.pack(&self.momentum));
        let mut alone = (weights.clone(), momentum.clone());
        for blocks in [0..cut, cut..self.dense.blocks] {
            let dense = Dense { blocks: blocks.len(), ..self.dense };
            let panels = blocks.start * WIDTH * padded..blocks.end * WIDTH * padded;
            let own = blocks.start * outputs * WIDTH..blocks.end * outputs * WIDTH;
            let (input, to_input) = (&input[panels.clone()], &mut to_input[panels]);
            let apply = BySgd { sgd, weights: &mut weights[own.clone()], momentum: &mut momentum[own.clone()] };
            tier.run(Backward { dense, batch: padded, gradient: &gradient, input, to_input: Some(to_input), apply });
            let apply = BySgd { sgd, weights: &mut alone.0[own.clone()], momentum: &mut alone.1[own] };
            tier.run(Backward { dense, batch: padded, gradient: &gradient, input, to_input: None, apply });
        }
        assert_eq!((&weights, &momentum), (&alone.0, &alone.1), "with and without the input's gradient");
        let mut dx = vec![f32::NAN; to_input.len()];
        transpose(padded, &to_input, &mut dx);
        let dx = (0..batch * inputs).map(|at| dx[at % inputs * padded + at / inputs]).collect();
        [dx, self.unpack(&weights), self.unpack(&momentum)]
    }
}

/// Vectors as columns: feature × image, filled up with zeros.
fn columns(rows: &[f32], batch: usize, features: usize, room: usize) -> Vec<f32> {
    let padded = padded(batch);
    let mut columns = vec![0.0; room * padded];
    for (at, &x) in rows.iter().enumerate() {
        columns[at % features * padded + at / features] = x;
    }
    columns
}

fn assert_is_its_formula(case: &Case, sgd: Sgd, cut: (usize, usize)) {
    let shape = &case.shape;
    let y = case.expected(|[x, w, b, dy]| filled(dy.len(), |y| formula::forward(shape, x, w, Some(b), y)));
    let dx = case.expected(|[x, w, _, dy]| filled(x.len(), |dx| formula::backward_data(shape, w, dy, dx)));
    let dw = filled(case.w.len(), |dw| formula::backward_weight(shape, &wide(&case.x), &wide(&case.dy), dw));
    let (mut weights, mut momentum) = (wide(&case.w), wide(&case.momentum));
    sgd::update(&sgd, &mut weights, &dw, &mut momentum);
    // What is added up: the gradient's products, the old weight or momentum.
    let terms = [shape.batch as f64 / 9.0 + 1.0 / 3.0];
    let (weights, momentum) = (Sums::new(weights, &terms), Sums::new(momentum, &terms));
    for tier in Tier::all() {
        let what = format!("{tier} {shape:?} {sgd:?}");
        y.assert_are(&case.forward(tier, cut.0), &what);
        let [found_dx, found_weights, found_momentum] = case.backward(tier, sgd, cut.1);
        dx.assert_are(&found_dx, &format!("dx {what}"));
        weights.assert_are(&found_weights, &format!("weights {what}"));
        momentum.assert_are(&found_momentum, &format!("momentum {what}"));
    }
}

proptest! {
    #![proptest_config(cases(48))]
    #[test]
    fn any_layer_is_its_formula(
        (batch, inputs, outputs) in (1usize..40, 1usize..80, 1usize..40), (outputs_cut, blocks_cut) in (0usize..40, 0usize..5),
        momentum in prop_oneof![Just(0.0f32), 0.5f32..1.0], nesterov in any::<bool>(), decay in prop_oneof![Just(0.0f32), 0.0f32..0.1],
        seed in 0u64..1 << 32,
    ) {
        let case = Case::new(LinearShape { batch, inputs, outputs }, seed);
        let sgd = Sgd { learning_rate: 0.1, momentum, nesterov: nesterov && momentum > 0.0, weight_decay: decay };
        assert_is_its_formula(&case, sgd, (outputs_cut.min(outputs), blocks_cut.min(case.dense.blocks)));
    }
}

#[test]
fn more_inputs_than_are_multiplied_at_once_are_their_formula() {
    let case = Case::new(LinearShape { batch: 17, inputs: 700, outputs: 11 }, 7);
    assert_is_its_formula(&case, Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 }, (4, 20));
}

/// Sizes whose products wrap around to lengths that the slices have.
#[test]
fn sizes_that_memory_cannot_hold_are_refused() {
    let refused = |what: &str, f: &dyn Fn()| assert_eq!(refusal(f), "sizes that no memory could hold", "{what}");
    let dense = Dense { blocks: 1 << 59, outputs: 32 };
    refused("weights", &|| assert!(dense.weights() > 0));
    let forward = |dense: Dense, first: usize, (input, batch): (&[f32], usize)| {
        let (weights, output) = (vec![0.0; 16], &mut [0.0; 16][..]);
        Tier::detect().run(Forward { dense, weights: &weights, bias: None, input, batch, first, output });
    };
    let one = Dense { blocks: 1, outputs: 1 };
    forward(one, 0, (&[0.0; 256], 16));
    refused("the first output", &|| forward(one, usize::MAX, (&[0.0; 256], 16)));
    refused("inputs", &|| forward(Dense { blocks: (1 << 60) + 1, ..one }, 0, (&[0.0; 256], 16)));
    let backward = |dense: Dense, batch: usize| {
        let sgd = Sgd { learning_rate: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let apply = BySgd { sgd, weights: &mut [], momentum: &mut [] };
        Tier::detect().run(Backward { dense, batch, gradient: &[], input: &[], to_input: None, apply });
    };
    refused("gradients", &|| backward(Dense { blocks: 1 << 60, outputs: 1 << 60 }, 16));
    refused("a batch", &|| backward(Dense { blocks: 1, outputs: 16 }, 1 << 60));
}

/// Gradients that are taken otherwise than by SGD: the means and momenta that the same gradients make by their own kernels.
#[test]
fn every_rule_takes_the_same_gradient_and_weights_that_stay_give_the_same_inputs() {
    use crate::kernels::{adamw, muon};
    let (batch, inputs, outputs) = (9, 70, 21);
    let case = Case::new(LinearShape { batch, inputs, outputs }, 3);
    let padded = padded(batch);
    let gradient = columns(&case.dy, batch, outputs, outputs);
    let mut input = vec![f32::NAN; case.dense.blocks * WIDTH * padded];
    untranspose(padded, &columns(&case.x, batch, inputs, case.dense.blocks * WIDTH), &mut input);
    let old = case.pack(&case.w);
    let zeros = vec![0.0; old.len()];
    for tier in Tier::all() {
        let (mut inputs_gradient, mut plain) = (vec![f32::NAN; input.len()], vec![f32::NAN; input.len()]);
        let (apply, to_input) = (Keep { weights: &old }, Some(&mut plain[..]));
        let unseen = tier.run(Backward { dense: case.dense, batch: padded, gradient: &gradient, input: &input, to_input, apply });
        assert_eq!(unseen, 0.0);
        // Momentum's first step without looking ahead is the gradient.
        let (mut momentum, mut step) = (zeros.clone(), zeros.clone());
        let apply = ToMomentum { kept: (0.5, false), weights: &old, momentum: &mut momentum, step: &mut step };
        let to_input = Some(&mut inputs_gradient[..]);
        let squares = tier.run(Backward { dense: case.dense, batch: padded, gradient: &gradient, input: &input, to_input, apply });
        assert_eq!(inputs_gradient, plain, "{tier}");
        let taken = step.clone();
        let dw = filled(case.w.len(), |dw| formula::backward_weight(&case.shape, &wide(&case.x), &wide(&case.dy), dw));
        Sums::new(dw, &[batch as f64 / 9.0]).assert_are(&case.unpack(&taken), &format!("{tier}: the gradient"));
        let expected = wide(&taken).iter().map(|x| x * x).sum::<f64>();
        assert!((squares / expected - 1.0).abs() < 1e-5, "{tier}: {squares} for {expected}");

        let apply = ToMomentum { kept: (0.5, true), weights: &old, momentum: &mut momentum, step: &mut step };
        tier.run(Backward { dense: case.dense, batch: padded, gradient: &gradient, input: &input, to_input: None, apply });
        let (mut expected_step, mut expected) = (taken.clone(), taken.clone());
        muon::accumulate(0.5, true, &mut expected_step, &mut expected);
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(&momentum, &expected) && near(&step, &expected_step), "{tier}: momenta");

        let rule = adamw::AdamW::new(0.01, [0.9, 0.99], 1e-8, 0.1, 1);
        let (mut weights, mut mean, mut square) = (old.clone(), zeros.clone(), zeros.clone());
        let apply = ByAdamW { rule, weights: &mut weights, mean: &mut mean, square: &mut square };
        tier.run(Backward { dense: case.dense, batch: padded, gradient: &gradient, input: &input, to_input: None, apply });
        let (mut moved, mut means, mut squares) = (old.clone(), zeros.clone(), zeros.clone());
        let gradient = &taken;
        tier.run(adamw::Update { rule, weights: &mut moved, gradient, mean: &mut means, square: &mut squares });
        assert_eq!((weights, mean, square), (moved, means, squares), "{tier}: the same bits as alone");
        case.unpack(&step);
    }
}
