//! The layer list compiled onto the kernels: what runs on the processor, in evaluation and in training. It knows no tensor.
//!
//! `lower` makes one `program` of a list, for one of three purposes: evaluation (whatever can be is fused), inspection (every
//! layer's output as it is) or training. `segments` cuts it where a whole batch is needed at once, or where so many images
//! would not stay in the cache together; `places` finds every value and every gradient memory for as long as it is needed.
//! `forward` computes a node for a group of images. [`plan`] runs a program's forward half on a model's parameters, [`step`]
//! runs all of it and moves its own.

mod forward;
#[cfg(test)]
mod fuzz;
mod group;
mod lower;
pub mod memory;
mod order;
mod places;
pub mod plan;
mod program;
mod segments;
mod sizes;
pub mod step;

use std::sync::{Arc, OnceLock};

use crate::kernels::{Team, Tier};
use crate::network::shape::LayerShape;
use crate::network::spec::Architecture;

/// A layer list and what was inferred of it.
#[derive(Clone, Copy)]
pub(crate) struct Network<'a> {
    pub(crate) architecture: &'a Architecture,
    pub(crate) layers: &'a [LayerShape],
}

/// What programs run on.
#[derive(Clone)]
pub struct Machine {
    /// The kernels.
    pub tier: Tier,
    /// The threads.
    pub team: Arc<Team>,
}

impl Machine {
    /// The best kernels this processor has, and the program's threads: one team for all, since each of several models would
    /// otherwise have as many threads as there are cores.
    pub fn available() -> Self {
        static TEAM: OnceLock<Arc<Team>> = OnceLock::new();
        Self { tier: Tier::detect(), team: Arc::clone(TEAM.get_or_init(|| Arc::new(Team::available()))) }
    }
}
