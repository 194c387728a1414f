//! Adam with decoupled weight decay: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2017), as
//! `torch.optim.AdamW` writes it.

/// One update's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Step length.
    pub learning_rate: f64,
    /// Shares of the running means of the gradient and of its square that one step keeps.
    pub betas: [f64; 2],
    /// Added to the root that a step is divided by.
    pub eps: f64,
    /// Pulls parameters towards 0, by this times the learning rate.
    pub weight_decay: f64,
    /// How many updates these parameters have had with this one, from 1: what the means still lack of their weight.
    pub step: u64,
}
