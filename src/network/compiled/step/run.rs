//! What the vectors of one step are computed with.

use crate::kernels::dense::padded;
use crate::kernels::{Team, Tier};

/// What all layers share in one step.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) team: &'a Team,
    pub(super) tier: Tier,
    pub(super) seed: u64,
    pub(super) batch: usize,
}

impl Run<'_> {
    /// Images as columns have them.
    pub(super) fn columns(&self) -> usize {
        padded(self.batch)
    }
}
