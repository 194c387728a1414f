//! Which instruction set the kernels use: found or chosen once, passed on as a value.

use std::fmt;
use std::sync::OnceLock;

use super::lanes::Kernel;
use super::lanes::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::lanes::{avx2::Avx2, avx512::Avx512};
use crate::words::KernelChoice;

/// What [`Tier::choose`] was told.
static CHOSEN: OnceLock<Tier> = OnceLock::new();

/// An instruction set that this processor has: each variant holds its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// 32 registers of sixteen floats.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// 16 registers of eight floats, multiply-add in one instruction.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// What the build itself was compiled for.
    Portable(Portable),
}

impl Tier {
    /// The tier that was chosen for this process, else the fastest of this processor.
    pub fn detect() -> Self {
        CHOSEN.get().copied().unwrap_or_else(Self::fastest)
    }

    /// Makes this the tier of the whole process; of several choices the first holds. Process-wide because it is a property of
    /// the machine the process was started for, like the number of its threads: handing it down would put a parameter that
    /// is always the same into everything that can make a network. Whoever wants several tiers passes them to `Step::on`.
    pub fn choose(self) {
        CHOSEN.get_or_init(|| self);
    }

    /// The tier that `choice` means.
    ///
    /// # Errors
    /// Where this processor does not have it: says which it has.
    pub fn of(choice: KernelChoice) -> Result<Self, String> {
        if choice == KernelChoice::Auto {
            return Ok(Self::fastest());
        }
        Self::all().find(|tier| tier.choice() == choice).ok_or_else(|| {
            let here: Vec<String> = Self::all().map(|tier| tier.to_string()).collect();
            format!("this processor has no {choice}: use auto, {}", here.join(", "))
        })
    }

    /// What it is called.
    fn choice(self) -> KernelChoice {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => KernelChoice::Avx512,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => KernelChoice::Avx2,
            Self::Portable(_) => KernelChoice::Portable,
        }
    }

    fn fastest() -> Self {
        Self::all().next().unwrap_or(Self::Portable(Portable))
    }

    /// Every tier of this processor, fastest first.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let fast = [Avx512::detect().map(Self::Avx512), Avx2::detect().map(Self::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let fast: [Option<Self>; 0] = [];
        fast.into_iter().flatten().chain([Self::Portable(Portable)])
    }

    /// Runs `kernel`, compiled for this tier.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => proof.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => proof.run(kernel),
            Self::Portable(lanes) => lanes.run(kernel),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.choice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_found_by_their_names_and_missing_ones_say_what_there_is() {
        assert_eq!(Tier::of(KernelChoice::Auto), Ok(Tier::fastest()));
        let here: Vec<Tier> = Tier::all().collect();
        let names: Vec<String> = here.iter().map(Tier::to_string).collect();
        for choice in KernelChoice::ALL.into_iter().filter(|choice| *choice != KernelChoice::Auto) {
            let missing = format!("this processor has no {choice}: use auto, {}", names.join(", "));
            let expected = here.iter().copied().find(|tier| tier.to_string() == choice.to_string()).ok_or(missing);
            assert_eq!(Tier::of(choice), expected);
        }
    }
}
