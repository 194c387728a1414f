//! Words as people write them: [`DeviceChoice`] and [`KernelChoice`] are the names that a setting may have, [`nearest`] is the known
//! word that a mistaken one was meant as.
//!
//! A leaf that every room may name. It does not know what a word stands for: whether this machine has such a card or such
//! instructions is found out by whoever opens one, [`crate::network`] and [`crate::kernels`].

mod device;
mod kernels;
mod nearest;

pub use device::DeviceChoice;
pub use kernels::KernelChoice;
pub use nearest::nearest;
