//! Who computes.

use super::team::Team;
use super::tier::Tier;

/// An instruction set, and the threads that use it.
#[derive(Clone, Copy)]
pub struct Crew<'a> {
    /// What each thread computes with.
    pub tier: Tier,
    /// The threads.
    pub team: &'a Team,
}
