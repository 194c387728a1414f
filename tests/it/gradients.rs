//! Every kind of layer's result and gradients by the reference's operations: against PyTorch's numbers, finite differences and
//! the formulas in f64.

mod cases;
mod training;

use candle_core::{DType, Device, Result, Tensor, Var};
use convscope::kernels::activation::Activation;
use convscope::kernels::blocked::{Convolution, Maps};
use convscope::kernels::naive::window::Pool2dShape;
use convscope::kernels::naive::{self, conv2d as formula};
use convscope::ops::{self, Conv2d, Pool2d};
use convscope::optim::Sgd;
use proptest::prelude::*;

use cases::{Case, Outcome};

const SGD: Sgd = Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 };

#[test]
fn ops_give_pytorchs_numbers() {
    let mut faults = Vec::new();
    for case in Case::all() {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
            let found = case.run(dtype).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            for (name, values) in found.into_iter().chain(case.run_untracked(dtype).unwrap()) {
                let expected = case.values(&name);
                let size = expected.iter().fold(1.0f64, |size, x| size.max(x.abs()));
                let off = distance(&values, &expected);
                if off.is_nan() || off > tolerance * size {
                    faults.push(format!("{} in {dtype:?}: {name} is off by {off:e}", case.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The slope of `Σ dy · y` along every single input number, in f64. Where a number sits on a kink (ties of a maximum, 0 of
/// a rectifier) there is no slope to find; PyTorch's choice is what those cases are for.
#[test]
fn gradients_are_the_slopes_finite_differences_find() {
    const STEP: f64 = 1e-6;
    for case in Case::all().filter(|case| case.op != "sgd" && !case.has_kinks()) {
        let found = case.run(DType::F64).unwrap();
        for (input, gradient) in case.inputs().into_iter().zip(gradients(&found)) {
            let values = case.values(input);
            for (at, analytic) in
                gradient.iter().enumerate().filter(|&(at, _)| !case.op.ends_with("relu") || values[at].abs() > STEP)
            {
                let side = |step: f64| case.scalar_with(input, at, step).unwrap();
                let slope = (side(STEP) - side(-STEP)) / (2.0 * STEP);
                assert!(
                    (slope - analytic).abs() < 1e-6 * slope.abs().max(10.0),
                    "{}: d{input}[{at}] is {analytic}, not {slope}",
                    case.name
                );
            }
        }
    }
}

fn gradients(outcome: &Outcome) -> impl Iterator<Item = &Vec<f64>> {
    outcome.iter().filter(|(name, _)| name.starts_with('d')).map(|(_, values)| values)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| if (a - b).is_nan() { f64::NAN } else { most.max((a - b).abs()) })
}

/// Numbers that look random and are the same each time, with ties and zeros among them.
fn numbers(seed: u64, shape: impl Into<candle_core::Shape>) -> Tensor {
    let shape = shape.into();
    let number = |i: u64| ((i + 1 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as f64 / 2.0 - 4.0;
    Tensor::from_iter((0..shape.elem_count() as u64).map(number), &Device::Cpu).unwrap().reshape(shape).unwrap()
}

fn plain(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The result of `layer` and the gradients of its variables, under a gradient of the output that is nowhere alike.
fn forward_backward(layer: impl Fn(&[Var]) -> Result<Tensor>, variables: &[Var]) -> Result<Vec<Vec<f64>>> {
    let y = layer(variables)?;
    let gradients = (&y * numbers(99, y.shape()))?.sum_all()?.backward()?;
    let mut all = vec![plain(&y)];
    for variable in variables {
        all.push(plain(gradients.get(variable).unwrap()));
    }
    Ok(all)
}

/// What `formula` writes into so many numbers.
fn filled(len: usize, formula: impl FnOnce(&mut [f64])) -> Vec<f64> {
    let mut values = vec![f64::NAN; len];
    formula(&mut values);
    values
}

fn same(a: &[Vec<f64>], b: &[Vec<f64>]) -> std::result::Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        prop_assert!(distance(a, b) < 1e-9, "{a:?}\n{b:?}");
    }
    Ok(())
}

prop_compose! {
    fn convolution()(
        (groups, kernel_size, stride, bias) in (1usize..4, 1usize..5, 1usize..4, any::<bool>()), dilation in 1usize..4,
        padding in 0usize..3, (each_in, each_out, batch) in (1usize..4, 1usize..4, 1usize..4), (h, w) in (0usize..7, 0usize..7),
    ) -> (Convolution, usize, bool) {
        let least = ((kernel_size - 1) * dilation + 1).saturating_sub(2 * padding).max(1);
        let input = Maps { channels: groups * each_in, height: least + h, width: least + w };
        let sizes = Convolution::new(input, groups * each_out, kernel_size).window(stride, padding).dilated(dilation);
        (sizes.grouped(groups), batch, bias)
    }
}

prop_compose! {
    fn pooling()(
        (kernel, stride, planes) in (1usize..5, 1usize..5, 1usize..4), padding in 0usize..3, (h, w) in (0usize..8, 0usize..8),
    ) -> Pool2dShape {
        let padding = padding.min(kernel / 2);
        let least = (kernel - padding).max(1);
        Pool2dShape { planes: 2 * planes, height: least + h, width: least + w, kernel, stride, padding }
    }
}

proptest! {
    #[test]
    fn any_convolution_is_its_formula((sizes, batch, bias) in convolution()) {
        let Convolution { input, output, kernel, stride, padding, dilation, groups } = sizes;
        let mut variables = vec![
            numbers(1, (batch, input.channels, input.height, input.width)),
            numbers(2, (output.channels, sizes.seen(), kernel, kernel)),
        ];
        variables.extend(bias.then(|| numbers(3, output.channels)));
        let variables: Vec<Var> = variables.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
        let conv = Conv2d { stride, padding, dilation, groups };
        let found = forward_backward(|v| ops::conv2d(&v[0], &v[1], v.get(2).map(Var::as_tensor), conv), &variables).unwrap();
        let (x, w) = (plain(&variables[0]), plain(&variables[1]));
        let bias = variables.get(2).map(|bias| plain(bias));
        let dy = plain(&numbers(99, batch * output.channels * output.plane()));
        let mut expected = vec![
            filled(dy.len(), |y| formula::forward(&sizes, &x, &w, bias.as_deref(), y)),
            filled(x.len(), |dx| formula::backward_data(&sizes, &w, &dy, dx)),
            filled(w.len(), |dw| formula::backward_weight(&sizes, &x, &dy, dw)),
        ];
        expected.extend(bias.map(|bias| filled(bias.len(), |db| formula::backward_bias(&sizes, &dy, db))));
        same(&found, &expected)?;
        let [x, w] = [0, 1].map(|at| variables[at].as_detached_tensor());
        let untracked = ops::conv2d(&x, &w, variables.get(2).map(Var::as_detached_tensor).as_ref(), conv).unwrap();
        same(&[plain(&untracked)], &expected[..1])?;
    }

    #[test]
    fn any_pooling_is_its_formula(shape in pooling()) {
        let Pool2dShape { planes, height, width, kernel, stride, padding } = shape;
        let x = [Var::from_tensor(&numbers(1, (planes / 2, 2, height, width))).unwrap()];
        let pool = Pool2d { kernel_size: kernel, stride, padding };
        let (numbers, dy) = (plain(&x[0]), plain(&numbers(99, planes * shape.output_height() * shape.output_width())));
        let mut winners = vec![0; dy.len()];
        let y = filled(dy.len(), |y| naive::max_pool2d::forward(&shape, &numbers, y, &mut winners));
        let dx = filled(numbers.len(), |dx| naive::max_pool2d::backward(&shape, &winners, &dy, dx));
        same(&forward_backward(|v| ops::max_pool2d(&v[0], pool), &x).unwrap(), &[y, dx])?;
        let y = filled(dy.len(), |y| naive::avg_pool2d::forward(&shape, &numbers, y));
        let dx = filled(numbers.len(), |dx| naive::avg_pool2d::backward(&shape, &dy, dx));
        same(&forward_backward(|v| ops::avg_pool2d(&v[0], pool), &x).unwrap(), &[y, dx])?;
    }
}

#[test]
fn ties_nan_and_minus_infinity_go_where_pytorch_sends_them() -> Result<()> {
    let (low, nan) = (f64::NEG_INFINITY, f64::NAN);
    let input = [1.0, 3.0, low, low, 1.0, nan, 3.0, 2.0, low, low, nan, 5.0];
    let x = Var::from_slice(&input, (1, 1, 2, 6), &Device::Cpu)?;
    let y = ops::max_pool2d(&x, Pool2d { kernel_size: 2, stride: 2, padding: 0 })?;
    let gradient = Tensor::from_slice(&[1.0, 10.0, 100.0], (1, 1, 1, 3), &Device::Cpu)?;
    let dx = (&y * gradient)?.sum_all()?.backward()?.get(&x).unwrap().clone();
    // torch.nn.functional.max_pool2d(..., return_indices=True): the first of two 3s, the first of four -inf, the last NaN.
    let maxima = plain(&y);
    assert!(maxima[0] == 3.0 && maxima[1] == low && maxima[2].is_nan());
    assert_eq!(plain(&dx), [0.0, 1.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0, 0.0]);
    Ok(())
}

#[test]
fn one_seed_drops_the_same_elements_whatever_computes() {
    let x = [Var::from_tensor(&numbers(1, (3, 5000))).unwrap()];
    let found = forward_backward(|v| ops::dropout(&v[0], 0.3, 11), &x).unwrap();
    let mask = convscope::kernels::dropout::Mask::new(0.3, 11);
    let apply = |x: &[f64]| filled(x.len(), |y| naive::dropout::apply(&mask, x, y));
    let expected = [apply(&plain(&x[0])), apply(&plain(&numbers(99, 15_000)))];
    assert!(found.iter().zip(&expected).all(|(a, b)| distance(a, b) < 1e-12));
    let dropped = (0..15_000).filter(|&at| !mask.keeps(at)).count();
    assert!((dropped as f64 / 15_000.0 - 0.3).abs() < 0.02);
}

#[test]
fn strides_of_the_input_do_not_matter() -> Result<()> {
    let conv = Conv2d { padding: 1, ..Conv2d::default() };
    let pool = Pool2d { kernel_size: 2, stride: 2, padding: 0 };
    let (turned, weight, bias) =
        (numbers(1, (2, 3, 6, 5)).transpose(2, 3)?, numbers(2, (3, 4, 3, 3)).transpose(0, 1)?, numbers(3, 4));
    let network = |x: &Tensor, weight: &Tensor| -> Result<Vec<Tensor>> {
        let y = ops::conv2d(x, weight, Some(&bias), conv)?;
        let (normal, ..) = ops::batch_norm2d(&y.transpose(2, 3)?, &bias, &bias, 1e-5)?;
        let pooled = [ops::max_pool2d(&y.transpose(2, 3)?, pool)?, ops::avg_pool2d(&y.transpose(2, 3)?, pool)?];
        let rows = pooled[0].flatten_from(2)?.get(0)?;
        Ok(vec![
            normal,
            ops::linear(&rows, &rows.t()?.matmul(&rows)?.t()?, None)?,
            ops::dropout(&rows.t()?, 0.5, 1)?,
            ops::activate(&pooled[1].t()?, Activation::Silu)?,
        ])
    };
    let plain_network = network(&turned.contiguous()?, &weight.contiguous()?)?;
    let variables = [Var::from_tensor(&turned)?, Var::from_tensor(&weight)?];
    for found in [network(&turned, &weight)?, network(&variables[0], &variables[1])?] {
        for (strided, plain_one) in found.iter().zip(&plain_network) {
            assert!(distance(&plain(strided), &plain(plain_one)) < 1e-9);
        }
    }
    Ok(())
}

#[test]
fn the_image_gets_no_gradient_nobody_asked_for() -> Result<()> {
    let (image, weight) = (numbers(1, (1, 2, 5, 5)), Var::from_tensor(&numbers(2, (2, 2, 3, 3)))?);
    let gradients = ops::conv2d(&image, &weight, None, Conv2d::default())?.sum_all()?.backward()?;
    assert!(gradients.get(&weight).is_some() && gradients.get(&image).is_none());
    Ok(())
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let pool = Pool2d { kernel_size: 4, stride: 4, padding: 0 };
    let x = numbers(1, (1, 2, 3, 3));
    let says = |result: Result<Tensor>, words: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    };
    says(ops::conv2d(&x, &numbers(2, (4, 3, 3, 3)), None, Conv2d::default()), "[4, 2, 3, 3] are needed");
    says(ops::conv2d(&x, &numbers(2, (4, 2, 5, 5)), None, Conv2d::default()), "does not fit on 3 × 3");
    says(ops::conv2d(&x, &numbers(2, (4, 2, 3, 3)), Some(&numbers(1, 3)), Conv2d::default()), "[4] are needed");
    says(ops::max_pool2d(&x, pool), "do not fit on 3 × 3");
    says(ops::linear(&numbers(1, (2, 3)), &numbers(1, (4, 5)), None), "rows of 3 numbers");
    says(ops::cross_entropy(&numbers(1, (2, 3)), &[0, 3], 0.0).map(|(loss, _)| loss), "a label is 3");
    says(
        ops::batch_norm2d(&numbers(1, (1, 2, 1, 1)), &numbers(1, 2), &numbers(1, 2), 1e-5).map(|(y, ..)| y),
        "Expected more than 1 value per channel when training, got input size [1, 2, 1, 1]",
    );
    says(ops::dropout(&x, 1.0, 0), "below 1");
    let (weights, momentum) = (Var::from_tensor(&x).unwrap(), Var::from_tensor(&x).unwrap());
    says(ops::sgd_update(&weights, &momentum, &momentum, &SGD).map(|()| x.clone()), "three tensors");
}
