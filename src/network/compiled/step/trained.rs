//! A parameter and what its optimizer remembers of it.

use crate::kernels::Buffer;

/// One parameter, in whatever order.
#[derive(Debug, Clone, Default)]
pub(super) struct Trained {
    pub(super) values: Buffer,
    /// SGD's and Muon's momentum, AdamW's first mean.
    pub(super) momentum: Buffer,
    /// AdamW's second mean; nothing before it has moved the parameter.
    pub(super) squares: Buffer,
}

/// What a [`Trained`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Values,
    Momentum,
    Squares,
}

impl Trained {
    /// A parameter that nothing is remembered of.
    pub(super) fn new(values: Buffer) -> Self {
        Self { momentum: Buffer::zeros(values.len()), squares: Buffer::default(), values }
    }

    pub(super) fn part(&self, part: Part) -> &Buffer {
        match part {
            Part::Values => &self.values,
            Part::Momentum => &self.momentum,
            Part::Squares => &self.squares,
        }
    }

    pub(super) fn part_mut(&mut self, part: Part) -> &mut Buffer {
        match part {
            Part::Values => &mut self.values,
            Part::Momentum => &mut self.momentum,
            Part::Squares => &mut self.squares,
        }
    }

    /// Makes room for AdamW's second mean, zeros where there was none.
    pub(super) fn remember_squares(&mut self) {
        self.squares.grow(self.values.len());
    }
}
