//! Batch normalisation.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::numbers::{Number, output, read, slice, with_number};
use super::twin;
use crate::kernels::batch_norm2d::{Norm, NormGradients, NormShape, Statistics, backward, forward};

/// Normalises each channel of `x` (batch × channel × height × width) by its mean and variance over batch and plane, then
/// applies `scale` and `shift` (one number a channel each). Gives, beside the result, the means and the unbiased variances
/// for the running statistics; no gradient flows through those two. As `torch.nn.functional.batch_norm` in training.
pub fn batch_norm2d(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    let shape = sizes(x, &[scale, shift])?;
    if shape.count() < 2 {
        bail!("batch norm needs more than one value a channel in training: use larger batches or planes");
    }
    if !x.device().is_cpu() {
        return twin::batch_norm2d(x, scale, shift, eps);
    }
    let x = x.contiguous()?;
    with_number!(x.dtype(), T => {
        let statistics: Statistics<T> = read([&x], |[x]| Statistics::of(&shape, x))?;
        let mean = Tensor::new(statistics.mean.as_slice(), x.device())?;
        let variance = Tensor::new(statistics.unbiased_variance(&shape), x.device())?;
        let op = BatchNorm { shape, statistics, of_batch: true, eps };
        Ok((x.apply_op3(&scale.contiguous()?, &shift.contiguous()?, op)?, mean, variance))
    })
}

/// Batch norm by running statistics; `parameters` are scale, shift, running mean and running variance (the order of the
/// state dict), one number a channel each. The running statistics are constants to the gradient.
pub fn batch_norm2d_eval(x: &Tensor, parameters: [&Tensor; 4], eps: f64) -> Result<Tensor> {
    let shape = sizes(x, &parameters)?;
    if !x.device().is_cpu() {
        return twin::batch_norm2d_eval(x, parameters, eps);
    }
    let [scale, shift, mean, variance] = parameters;
    let x = x.contiguous()?;
    with_number!(x.dtype(), T => {
        let statistics = Statistics::<T> { mean: mean.to_vec1()?, variance: variance.to_vec1()? };
        x.apply_op3(&scale.contiguous()?, &shift.contiguous()?, BatchNorm { shape, statistics, of_batch: false, eps })
    })
}

fn sizes(x: &Tensor, parameters: &[&Tensor]) -> Result<NormShape> {
    let (batch, channels, height, width) = x.dims4()?;
    if let Some(parameter) = parameters.iter().find(|parameter| parameter.dims() != [channels]) {
        bail!("batch norm was given {:?} where [{channels}] are needed", parameter.dims());
    }
    if channels * height * width == 0 {
        bail!("batch norm was given an image of {channels} × {height} × {width}");
    }
    Ok(NormShape { batch, channels, plane: height * width })
}

struct BatchNorm<T> {
    shape: NormShape,
    statistics: Statistics<T>,
    of_batch: bool,
    eps: f64,
}

impl<T: Number> BatchNorm<T> {
    fn norm<'a>(&'a self, scale: &'a [T]) -> Norm<'a, T> {
        Norm { shape: self.shape, statistics: &self.statistics, of_batch: self.of_batch, scale, eps: self.eps }
    }
}

impl<T: Number> CustomOp3 for BatchNorm<T> {
    fn name(&self) -> &'static str {
        "batch_norm2d"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, scale, shift) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?, slice::<T>(s3, l3)?);
        Ok(output::<T>(l1.shape(), |y| forward(&self.norm(scale), shift, x, y)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let channels = self.shape.channels;
        let (mut dx, mut dscale, mut dshift) = (vec![T::ZERO; x.elem_count()], vec![T::ZERO; channels], vec![T::ZERO; channels]);
        let mut gradients = NormGradients { input: &mut dx, scale: &mut dscale, shift: &mut dshift };
        read([x, scale, &grad], |[x, scale, dy]| backward(&self.norm(scale), x, dy, &mut gradients))?;
        let filled = |values: Vec<T>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let wanted = |values: Vec<T>, like: &Tensor| like.track_op().then(|| filled(values, like)).transpose();

        Ok((wanted(dx, x)?, wanted(dscale, scale)?, wanted(dshift, shift)?))
    }
}
