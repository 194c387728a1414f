//! Fully connected layers. In evaluation: [`panels`]. In training: one order of the weights serves all three products.
//!
//! Weights lie input block × output × 16 inputs. Forward, a weight is broadcast against sixteen images; backward to the
//! input, a block's sixteen weights are one vector; and the weights' gradient comes out as those vectors, so the optimizer's
//! update is applied while they are in registers and the gradient is never written. With half a million weights an image
//! has too little work to hide memory behind: what counts is how often weights travel, and they travel once forward, once
//! backward.
//!
//! Activations have two orders. *Columns* are feature × image (filled up to sixteen images): what the next layer multiplies.
//! *Panels* are feature block × image × 16: what gradients are made of, and what pooled feature maps are already.

mod apply;
mod backward;
mod forward;
pub mod panels;

pub use apply::{Apply, ByAdamW, BySgd, Keep, ToMomentum};
pub use backward::Backward;
pub use forward::Forward;

use super::lanes::WIDTH;
use super::lengths::product;

/// Sizes of a fully connected layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dense {
    /// Blocks of sixteen input features; those beyond the last feature are zeros, and so are their weights.
    pub blocks: usize,
    /// Output features.
    pub outputs: usize,
}

impl Dense {
    /// Number of weights, fillers included.
    pub fn weights(&self) -> usize {
        product([self.blocks, self.outputs, WIDTH])
    }

    /// The place of a weight.
    pub fn place(&self, output: usize, input: usize) -> usize {
        (input / WIDTH * self.outputs + output) * WIDTH + input % WIDTH
    }
}

/// Images as they are counted here: whole vectors of sixteen, those beyond the last image zeros.
pub fn padded(batch: usize) -> usize {
    batch.next_multiple_of(WIDTH)
}

/// Panels to columns, for whole blocks of features: both are `blocks` × `batch` × 16 numbers, in each block transposed.
pub fn transpose(batch: usize, from: &[f32], to: &mut [f32]) {
    assert!(batch.is_multiple_of(WIDTH) && from.len() == to.len(), "dense: panels and columns");
    for (panel, columns) in from.chunks_exact(batch * WIDTH).zip(to.chunks_exact_mut(batch * WIDTH)) {
        for (sixteen, square) in panel.chunks_exact(WIDTH * WIDTH).enumerate() {
            for feature in 0..WIDTH {
                let column = &mut columns[feature * batch + sixteen * WIDTH..][..WIDTH];
                for (image, x) in column.iter_mut().enumerate() {
                    *x = square[image * WIDTH + feature];
                }
            }
        }
    }
}

/// Columns to panels: the inverse of [`transpose`].
pub fn untranspose(batch: usize, from: &[f32], to: &mut [f32]) {
    assert!(batch.is_multiple_of(WIDTH) && from.len() == to.len(), "dense: panels and columns");
    for (columns, panel) in from.chunks_exact(batch * WIDTH).zip(to.chunks_exact_mut(batch * WIDTH)) {
        for (image, row) in panel.chunks_exact_mut(WIDTH).enumerate() {
            for (feature, x) in row.iter_mut().enumerate() {
                *x = columns[feature * batch + image];
            }
        }
    }
}

#[cfg(test)]
mod tests;
