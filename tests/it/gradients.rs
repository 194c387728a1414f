//! Every kind of layer's result and gradients: against PyTorch's numbers, finite differences and the composed twins.

mod cases;
mod layers;

use candle_core::{DType, Device, Result, Tensor, Var};
use convscope::network::spec::{Conv2d, Pool2d};
use convscope::ops;
use proptest::prelude::*;

use cases::{Case, Outcome};
use layers::{KERNELS, Layers, TWINS};

#[test]
fn ops_and_twins_give_pytorchs_numbers() {
    let mut faults = Vec::new();
    for case in Case::all() {
        for (layers, dtype, tolerance) in [(&KERNELS, DType::F64, 1e-12), (&KERNELS, DType::F32, 1e-5), (&TWINS, DType::F32, 1e-5)]
        {
            let found = case.run(layers, dtype).unwrap_or_else(|e| panic!("{} by {}: {e}", case.name, layers.name));
            for (name, values) in found {
                let expected = case.values(&name);
                let size = expected.iter().fold(1.0f64, |size, x| size.max(x.abs()));
                let off = distance(&values, &expected);
                if off.is_nan() || off > tolerance * size {
                    faults.push(format!("{} by {} in {dtype:?}: {name} is off by {off:e}", case.name, layers.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The slope of `Σ dy · y` along every single input number, in f64. Where a number sits on a kink (ties of a maximum, 0 of
/// ReLU) there is no slope to find; PyTorch's choice is what those cases are for.
#[test]
fn gradients_are_the_slopes_finite_differences_find() {
    const STEP: f64 = 1e-6;
    for case in Case::all().filter(|case| case.op != "sgd" && !case.has_kinks()) {
        let found = case.run(&KERNELS, DType::F64).unwrap();
        for (input, gradient) in case.inputs().into_iter().zip(gradients(&found)) {
            let values = case.values(input);
            for (at, analytic) in gradient.iter().enumerate().filter(|&(at, _)| case.op != "relu" || values[at].abs() > STEP) {
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

/// The result of `layer` and the gradients of its variables, under a gradient of the output that is nowhere alike.
fn forward_backward(layer: impl Fn(&[Var]) -> Result<Tensor>, variables: &[Var]) -> Result<Vec<Vec<f64>>> {
    let y = layer(variables)?;
    let gradients = (&y * numbers(99, y.shape()))?.sum_all()?.backward()?;
    let mut all = vec![y.flatten_all()?.to_vec1()?];
    for variable in variables {
        all.push(gradients.get(variable).unwrap().flatten_all()?.to_vec1()?);
    }
    Ok(all)
}

fn same(a: &[Vec<f64>], b: &[Vec<f64>]) -> std::result::Result<(), TestCaseError> {
    for (a, b) in a.iter().zip(b) {
        prop_assert!(distance(a, b) < 1e-9, "{a:?}\n{b:?}");
    }
    Ok(())
}

prop_compose! {
    fn convolution()(
        (groups, kernel_size, stride, bias) in (1usize..4, 1usize..5, 1usize..4, any::<bool>()),
        padding in 0usize..3, (each_in, each_out, batch) in (1usize..4, 1usize..4, 1usize..4), (h, w) in (0usize..7, 0usize..7),
    ) -> (Conv2d, [usize; 4]) {
        let least = kernel_size.saturating_sub(2 * padding).max(1);
        let conv = Conv2d { out_channels: groups * each_out, kernel_size, stride, padding, groups, bias };
        (conv, [batch, groups * each_in, least + h, least + w])
    }
}

prop_compose! {
    fn pooling()(
        (kernel_size, step, planes) in (1usize..5, 1usize..5, 1usize..4), padding in 0usize..3, (h, w) in (0usize..8, 0usize..8),
    ) -> (Pool2d, [usize; 4]) {
        let padding = padding.min(kernel_size / 2);
        let least = (kernel_size - padding).max(1);
        (Pool2d { kernel_size, stride: Some(step), padding }, [planes, 2, least + h, least + w])
    }
}

proptest! {
    #[test]
    fn any_convolution_is_its_twin((conv, shape) in convolution()) {
        let weight = [conv.out_channels, shape[1] / conv.groups, conv.kernel_size, conv.kernel_size];
        let mut variables = vec![numbers(1, &shape[..]), numbers(2, &weight[..])];
        variables.extend(conv.bias.then(|| numbers(3, conv.out_channels)));
        let variables: Vec<Var> = variables.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
        let by = |layers: &Layers| {
            forward_backward(|v| (layers.conv2d)(&v[0], &v[1], v.get(2).map(Var::as_tensor), &conv), &variables).unwrap()
        };
        same(&by(&KERNELS), &by(&TWINS))?;
    }

    #[test]
    fn any_pooling_is_its_twin((pool, shape) in pooling()) {
        let x = [Var::from_tensor(&numbers(1, &shape[..])).unwrap()];
        let max = |layers: &Layers| forward_backward(|v| (layers.max_pool2d)(&v[0], &pool), &x).unwrap();
        same(&max(&KERNELS), &max(&TWINS))?;
        let mean = |layers: &Layers| forward_backward(|v| (layers.avg_pool2d)(&v[0], &pool), &x).unwrap();
        same(&mean(&KERNELS), &mean(&TWINS))?;
    }
}

/// A small network with every kind of parameter, on a batch that many threads can share; all its numbers, as bits.
fn network_bits(threads: usize) -> Vec<u32> {
    let conv = Conv2d { out_channels: 8, kernel_size: 3, stride: 1, padding: 1, groups: 1, bias: true };
    let pool = Pool2d { kernel_size: 2, stride: None, padding: 0 };
    let run = || -> Result<Vec<u32>> {
        let shapes: [&[usize]; 6] = [&[8, 3, 3, 3], &[8], &[8], &[8], &[10, 8 * 8 * 9], &[10]];
        let variable = |(seed, shape): (u64, &[usize])| Var::from_tensor(&numbers(seed, shape).to_dtype(DType::F32)?);
        let parameters = (1..).zip(shapes).map(variable).collect::<Result<Vec<Var>>>()?;
        let x = numbers(7, (37, 3, 16, 18)).to_dtype(DType::F32)?;
        let labels: Vec<u32> = (0..37).map(|i| i % 10).collect();
        let y = ops::conv2d(&x, &parameters[0], Some(&parameters[1]), &conv)?;
        let (y, mean, variance) = ops::batch_norm2d(&y, &parameters[2], &parameters[3], 1e-5)?;
        let y = ops::max_pool2d(&ops::gelu(&y)?, &pool)?;
        let y = ops::dropout(&y.flatten_from(1)?, 0.25, 5)?;
        let (loss, _) = ops::cross_entropy(&ops::linear(&y, &parameters[4], Some(&parameters[5]))?, &labels, 0.1)?;
        let gradients = loss.backward()?;
        let mut all = vec![loss.flatten_all()?, mean, variance];
        for parameter in &parameters {
            let gradient = gradients.get(parameter).unwrap();
            ops::sgd_update(parameter, gradient, &Var::zeros(parameter.shape(), DType::F32, &Device::Cpu)?, &layers::SGD)?;
            all.extend([gradient.flatten_all()?, parameter.flatten_all()?]);
        }
        Ok(Tensor::cat(&all, 0)?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run).unwrap()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let one = network_bits(1);
    assert!(one.len() > 5000 && one == network_bits(2) && one == network_bits(3));
}

#[test]
fn one_seed_drops_the_same_elements_whatever_computes() {
    let x = [Var::from_tensor(&numbers(1, (3, 5000))).unwrap()];
    let by = |layers: &Layers| forward_backward(|v| (layers.dropout)(&v[0], 0.3, 11), &x).unwrap();
    let all = by(&KERNELS);
    assert_eq!(all, by(&TWINS));
    let (input, dy) = (x[0].flatten_all().unwrap().to_vec1::<f64>().unwrap(), numbers(99, 15_000).to_vec1::<f64>().unwrap());
    let mask: Vec<f64> = (0..15_000).map(|at| if input[at] == 0.0 { f64::NAN } else { all[0][at] / input[at] }).collect();
    for at in (0..15_000).filter(|&at| !mask[at].is_nan()) {
        assert!((mask[at] == 0.0 || (mask[at] - 1.0 / 0.7).abs() < 1e-12) && (all[1][at] - dy[at] * mask[at]).abs() < 1e-12);
    }
    let seen: Vec<f64> = mask.into_iter().filter(|kept| !kept.is_nan()).collect();
    let dropped = seen.iter().filter(|&&kept| kept == 0.0).count();
    assert!((dropped as f64 / seen.len() as f64 - 0.3).abs() < 0.02);
}

#[test]
fn strides_of_the_input_do_not_matter() -> Result<()> {
    let conv = Conv2d { out_channels: 4, kernel_size: 3, stride: 1, padding: 1, groups: 1, bias: true };
    let pool = Pool2d { kernel_size: 2, stride: None, padding: 0 };
    let (turned, weight, bias) =
        (numbers(1, (2, 3, 6, 5)).transpose(2, 3)?, numbers(2, (3, 4, 3, 3)).transpose(0, 1)?, numbers(3, 4));
    let network = |x: &Tensor, weight: &Tensor| -> Result<Vec<Tensor>> {
        let y = ops::conv2d(x, weight, Some(&bias), &conv)?;
        let (normal, ..) = ops::batch_norm2d(&y.transpose(2, 3)?, &bias, &bias, 1e-5)?;
        let pooled = [ops::max_pool2d(&y.transpose(2, 3)?, &pool)?, ops::avg_pool2d(&y.transpose(2, 3)?, &pool)?];
        let rows = pooled[0].flatten_from(2)?.get(0)?;
        Ok(vec![
            normal,
            ops::linear(&rows, &rows.t()?.matmul(&rows)?.t()?, None)?,
            ops::dropout(&rows.t()?, 0.5, 1)?,
            ops::silu(&pooled[1].t()?)?,
        ])
    };
    for (strided, plain) in network(&turned, &weight)?.iter().zip(network(&turned.contiguous()?, &weight.contiguous()?)?) {
        assert_eq!(strided.flatten_all()?.to_vec1::<f64>()?, plain.flatten_all()?.to_vec1::<f64>()?);
    }
    Ok(())
}

#[test]
fn the_image_gets_no_gradient_nobody_asked_for() -> Result<()> {
    let conv = Conv2d { out_channels: 2, kernel_size: 3, stride: 1, padding: 0, groups: 1, bias: false };
    let (image, weight) = (numbers(1, (1, 2, 5, 5)), Var::from_tensor(&numbers(2, (2, 2, 3, 3)))?);
    let gradients = ops::conv2d(&image, &weight, None, &conv)?.sum_all()?.backward()?;
    assert!(gradients.get(&weight).is_some() && gradients.get(&image).is_none());
    Ok(())
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let conv = Conv2d { out_channels: 4, kernel_size: 3, stride: 1, padding: 0, groups: 1, bias: true };
    let pool = Pool2d { kernel_size: 4, stride: None, padding: 0 };
    let x = numbers(1, (1, 2, 3, 3));
    let says = |result: Result<Tensor>, words: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    };
    says(ops::conv2d(&x, &numbers(2, (4, 3, 3, 3)), None, &conv), "[4, 2, 3, 3] are needed");
    says(ops::conv2d(&x, &x, None, &Conv2d { kernel_size: 5, ..conv }), "does not fit on 3 × 3");
    says(ops::max_pool2d(&x, &pool), "do not fit on 3 × 3");
    says(ops::linear(&numbers(1, (2, 3)), &numbers(1, (4, 5)), None), "rows of 3 numbers");
    says(ops::cross_entropy(&numbers(1, (2, 3)), &[0, 3], 0.0).map(|(loss, _)| loss), "a label is 3");
    says(
        ops::batch_norm2d(&numbers(1, (1, 2, 1, 1)), &numbers(1, 2), &numbers(1, 2), 1e-5).map(|(y, ..)| y),
        "more than one value",
    );
    says(ops::dropout(&x, 1.0, 0), "below 1");
    says(ops::relu(&x.to_dtype(DType::F16).unwrap()), "not in f16");
    let (weights, momentum) = (Var::from_tensor(&x).unwrap(), Var::from_tensor(&x).unwrap());
    says(ops::sgd_update(&weights, &momentum, &momentum, &layers::SGD).map(|()| x.clone()), "three tensors");
}
