//! AdamW, weight by weight, as PyTorch's documentation writes it.

/// One update's constants.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    /// Step length.
    pub learning_rate: f64,
    /// Shares of both means that are kept.
    pub betas: [f64; 2],
    /// Added to the root.
    pub eps: f64,
    /// Decay, by this times the step length.
    pub weight_decay: f64,
    /// From 1.
    pub step: u64,
}

/// [`crate::kernels::adamw::Update`].
pub fn update(rule: &AdamW, weights: &mut [f64], gradient: &[f64], [mean, square]: [&mut [f64]; 2]) {
    let AdamW { learning_rate, betas, eps, weight_decay, step } = *rule;
    for at in 0..weights.len() {
        weights[at] -= learning_rate * weight_decay * weights[at];
        mean[at] = betas[0] * mean[at] + (1.0 - betas[0]) * gradient[at];
        square[at] = betas[1] * square[at] + (1.0 - betas[1]) * gradient[at] * gradient[at];
        let mean = mean[at] / (1.0 - betas[0].powf(step as f64));
        let square = square[at] / (1.0 - betas[1].powf(step as f64));
        weights[at] -= learning_rate * mean / (square.sqrt() + eps);
    }
}
