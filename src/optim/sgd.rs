//! Stochastic gradient descent with momentum, as `torch.optim.SGD` writes it (dampening 0).

/// One update's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Step length.
    pub learning_rate: f32,
    /// Share of the previous step that is kept.
    pub momentum: f32,
    /// Looks ahead along the momentum (Nesterov, as PyTorch has it).
    pub nesterov: bool,
    /// Pulls parameters towards 0; added to the gradient.
    pub weight_decay: f32,
}
