//! The cases `tests/data/pytorch/ops.py` wrote, and how one is computed here.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use convscope::kernels::activation::Activation;
use convscope::network::{Architecture, LayerKind};
use convscope::ops::{self, Conv2d, Pool2d};
use convscope::optim::Sgd;
use safetensors::SafeTensors;
use serde_json::{Value, from_value};

/// Names and numbers: `y`, then the inputs' gradients.
pub(super) type Outcome = Vec<(String, Vec<f64>)>;

/// One layer with given inputs, and what PyTorch made of them.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) op: String,
    arguments: Value,
    tensors: HashMap<String, Tensor>,
}

impl Case {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pytorch/ops.safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&file).unwrap();
        let cases: Vec<Value> = serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap();
        let tensors = candle_core::safetensors::load_buffer(&file, &Device::Cpu).unwrap();
        assert!(cases.len() > 50);
        cases.into_iter().map(move |case| {
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            let prefix = format!("{}.", text("name"));
            let own = tensors.iter().filter_map(|(key, tensor)| Some((key.strip_prefix(&prefix)?.to_owned(), tensor.clone())));
            Self { name: text("name"), op: text("op"), arguments: case["arguments"].clone(), tensors: own.collect() }
        })
    }

    /// What was recorded under `name`.
    pub(super) fn values(&self, name: &str) -> Vec<f64> {
        self.tensors[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The inputs that have a gradient, in the order of the arguments.
    pub(super) fn inputs(&self) -> Vec<&'static str> {
        ["x", "weight", "bias"].into_iter().filter(|name| self.tensors.contains_key(&format!("d{name}"))).collect()
    }

    pub(super) fn has_kinks(&self) -> bool {
        self.op == "max_pool2d" && (self.name.contains("ties") || self.name.contains("zeros"))
    }

    /// Forward and backward in `dtype`.
    pub(super) fn run(&self, dtype: DType) -> Result<Outcome> {
        if self.op == "sgd" {
            return self.train(dtype);
        }
        let variable = |name: &str| Var::from_tensor(&self.tensors[name].to_dtype(dtype)?);
        let variables = self.inputs().into_iter().map(variable).collect::<Result<Vec<Var>>>()?;
        let inputs: Vec<&Tensor> = variables.iter().map(Var::as_tensor).collect();
        let (y, measured) = self.forward(&inputs)?;
        let gradients = (&y * self.tensors["dy"].to_dtype(dtype)?)?.sum_all()?.backward()?;
        let mut outcome = vec![("y".to_owned(), plain(&y)?)];
        for (name, variable) in self.inputs().iter().zip(&variables) {
            outcome.push((format!("d{name}"), plain(gradients.get(variable).unwrap())?));
        }
        outcome.extend(measured);
        Ok(outcome)
    }

    /// Forward, where no gradient will be asked for.
    pub(super) fn run_untracked(&self, dtype: DType) -> Result<Outcome> {
        if self.op == "sgd" {
            return Ok(Vec::new());
        }
        let inputs = self.inputs().into_iter().map(|name| self.tensors[name].to_dtype(dtype)).collect::<Result<Vec<Tensor>>>()?;
        let (y, _) = self.forward(&inputs.iter().collect::<Vec<_>>())?;
        Ok(vec![("y".to_owned(), plain(&y)?)])
    }

    /// `Σ dy · y` after a step of one number of one input, in f64.
    pub(super) fn scalar_with(&self, input: &str, at: usize, step: f64) -> Result<f64> {
        let moved = |name: &str| -> Result<Tensor> {
            let mut values = self.values(name);
            if name == input {
                values[at] += step;
            }
            Tensor::from_vec(values, self.tensors[name].shape(), &Device::Cpu)
        };
        let inputs = self.inputs().into_iter().map(moved).collect::<Result<Vec<Tensor>>>()?;
        let (y, _) = self.forward(&inputs.iter().collect::<Vec<_>>())?;
        (y * &self.tensors["dy"])?.sum_all()?.to_scalar()
    }

    /// The activation function that a layer of this kind applies.
    fn activation(&self, kind: &str) -> Activation {
        let mut layer = serde_json::json!({ "name": "act", "kind": kind });
        layer.as_object_mut().unwrap().extend(self.arguments.as_object().cloned().unwrap_or_default());
        let list = serde_json::json!({ "name": "x", "input": { "channels": 1, "height": 1, "width": 1 }, "layers": [layer] });
        match serde_json::from_value::<Architecture>(list).unwrap().layers[0].kind {
            LayerKind::Activation(function) => function.kernel(),
            _ => panic!("`{kind}` is no activation"),
        }
    }

    /// The output, and what else the layer tells.
    fn forward(&self, inputs: &[&Tensor]) -> Result<(Tensor, Outcome)> {
        let x = inputs[0];
        let size = |key: &str| self.arguments[key].as_u64().unwrap() as usize;
        let pool = || Pool2d { kernel_size: size("kernel_size"), stride: size("stride"), padding: size("padding") };
        let eps = self.arguments["eps"].as_f64().unwrap_or_default();
        let y = match self.op.as_str() {
            "conv2d" => {
                let (stride, padding, groups) = (size("stride"), size("padding"), size("groups"));
                let dilation = self.arguments["dilation"].as_u64().unwrap_or(1) as usize;
                let conv = Conv2d { stride, padding, dilation, groups };
                ops::conv2d(x, inputs[1], inputs.get(2).copied(), conv)?
            }
            "linear" => ops::linear(x, inputs[1], inputs.get(2).copied())?,
            "max_pool2d" => ops::max_pool2d(x, pool())?,
            "avg_pool2d" => ops::avg_pool2d(x, pool())?,
            "adaptive_avg_pool2d" => ops::adaptive_avg_pool2d(x, size("output_size"))?,
            "batch_norm2d" => {
                let (y, mean, variance) = ops::batch_norm2d(x, inputs[1], inputs[2], eps)?;
                return Ok((y, vec![("mean".into(), plain(&mean)?), ("variance".into(), plain(&variance)?)]));
            }
            "batch_norm2d_eval" => {
                let kept = |name: &str| self.tensors[name].to_dtype(x.dtype());
                let (mean, variance) = (kept("mean")?, kept("variance")?);
                ops::batch_norm2d_eval(x, [inputs[1], inputs[2], &mean, &variance], eps)?
            }
            "cross_entropy" => {
                let labels: Vec<u32> = from_value(self.arguments["labels"].clone()).unwrap();
                let (loss, correct) = ops::cross_entropy(x, &labels, self.arguments["smoothing"].as_f64().unwrap())?;
                return Ok((loss, vec![("correct".into(), vec![correct as f64])]));
            }
            other => ops::activate(x, self.activation(other))?,
        };
        Ok((y, Vec::new()))
    }

    /// Three updates of SGD.
    fn train(&self, dtype: DType) -> Result<Outcome> {
        let constant = |name: &str| self.arguments[name].as_f64().unwrap() as f32;
        let sgd = Sgd {
            learning_rate: constant("learning_rate"),
            momentum: constant("momentum"),
            nesterov: self.arguments["nesterov"].as_bool().unwrap(),
            weight_decay: constant("weight_decay"),
        };
        let weights = Var::from_tensor(&self.tensors["x"].to_dtype(dtype)?)?;
        let momentum = Var::zeros(weights.shape(), dtype, &Device::Cpu)?;
        for step in 0..3 {
            ops::sgd_update(&weights, &self.tensors[&format!("gradient{step}")].to_dtype(dtype)?, &momentum, &sgd)?;
        }
        Ok(vec![("y".to_owned(), plain(&weights)?)])
    }
}

fn plain(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()
}
