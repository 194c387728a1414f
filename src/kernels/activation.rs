//! Which activation functions there are. [`super::blocked::activate`] computes them, [`super::naive::activation`] is their truth.

/// A function of each number alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`; NaN stays NaN, and at 0 the gradient is 0 (as PyTorch).
    Relu,
    /// `x · Φ(x)`, Φ the normal distribution by the error function (Hendrycks, Gimpel, arXiv 1606.08415).
    Gelu,
    /// `x · sigmoid(x)` (Elfwing et al., arXiv 1702.03118).
    Silu,
    /// `x` above 0, else this many times `x`; at 0 and below that is the gradient too (as PyTorch).
    LeakyRelu(f64),
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
}

impl Activation {
    /// One of each.
    pub const ALL: [Self; 6] = [Self::Relu, Self::Gelu, Self::Silu, Self::LeakyRelu(0.01), Self::Tanh, Self::Sigmoid];
}
