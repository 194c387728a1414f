//! The update of Muon, in place.

use candle_core::{Result, Tensor, Var};

use crate::optim::Muon;
use crate::optim::muon::{COEFFICIENTS, NORM_EPS};

/// One update of `weights` in place: filters `[out, …]`, seen as a matrix of `out` rows. `momentum` is the optimizer's buffer, of the
/// same shape, zeros before the first update.
pub fn muon_update(weights: &Var, gradient: &Tensor, momentum: &Var, rule: &Muon) -> Result<()> {
    let shape = weights.shape();
    let rows = weights.dim(0)?;
    let columns = weights.elem_count() / rows;
    let gradient = gradient.detach();
    let kept = ((momentum.as_detached_tensor() * f64::from(rule.momentum))? + &gradient)?;
    momentum.set(&kept)?;
    let step = if rule.nesterov { (gradient + (kept * f64::from(rule.momentum))?)? } else { kept };
    let step = orthogonalized(&step.reshape((rows, columns))?, rule.ns_steps)?.reshape(shape)?;
    let old = weights.as_detached_tensor();
    let norm = if rule.renormalize { length(&old)? } else { 0.0 };
    let kept = (old * rule.kept(rows, norm))?;
    weights.set(&(kept - (step * rule.step_length(rows, columns))?)?)
}

/// A matrix of the same singular vectors whose singular values are about 1.
fn orthogonalized(matrix: &Tensor, steps: u32) -> Result<Tensor> {
    let [a, b, c] = COEFFICIENTS.map(f64::from);
    let (rows, columns) = matrix.dims2()?;
    let turn = |x: &Tensor| if rows > columns { x.t()?.contiguous() } else { Ok(x.clone()) };
    let mut x = turn(&(matrix / (length(matrix)? + f64::from(NORM_EPS)))?)?;
    for _ in 0..steps {
        let gram = x.matmul(&x.t()?.contiguous()?)?;
        let polynomial = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
        x = ((&x * a)? + polynomial.matmul(&x)?)?;
    }
    turn(&x)
}

/// Frobenius norm.
fn length(x: &Tensor) -> Result<f64> {
    let square: f64 = x.sqr()?.sum_all()?.to_dtype(candle_core::DType::F64)?.to_scalar()?;
    Ok(square.sqrt())
}
