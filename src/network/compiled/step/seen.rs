//! What is seen of a step's gradients: how long they are, and whether they are numbers.

use crate::kernels::matrix::squares;

/// What was seen of some of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// Sum of the squares of those that something is moved by.
    pub(super) squares: f64,
    /// Whether all that were looked at are finite.
    pub(super) finite: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self { squares: 0.0, finite: true }
    }
}

impl Seen {
    /// All of `gradient`, by which something is `moved`, or nothing.
    pub(super) fn of(gradient: &[f32], moved: bool) -> Self {
        let squares = squares(gradient);
        Self { squares: if moved { squares } else { 0.0 }, finite: squares.is_finite() }
    }

    /// These and those of `other`.
    pub(super) fn and(self, other: Self) -> Self {
        Self { squares: self.squares + other.squares, finite: self.finite && other.finite }
    }
}
