//! Which instruction set the kernels use: found or chosen once, passed on as a value.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use super::lanes::Kernel;
use super::lanes::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::lanes::{avx2::Avx2, avx512::Avx512};

/// What [`Tier::choose`] was told.
static CHOSEN: OnceLock<Tier> = OnceLock::new();

/// Every tier's name, of whatever processor.
const NAMES: [&str; 3] = ["avx512", "avx2", "portable"];

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
        f.write_str(match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            Self::Portable(_) => "portable",
        })
    }
}

impl FromStr for Tier {
    type Err = String;

    /// The tier called `name`, if this processor has it; `auto` is the fastest.
    fn from_str(name: &str) -> Result<Self, String> {
        if name == "auto" {
            return Ok(Self::fastest());
        }
        Self::all().find(|tier| tier.to_string() == name).ok_or_else(|| {
            let here: Vec<String> = Self::all().map(|tier| tier.to_string()).collect();
            if NAMES.contains(&name) {
                format!("this processor has no {name}: use auto, {}", here.join(", "))
            } else {
                format!("there are no kernels `{name}`: use auto, {}", NAMES.join(", "))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_written_and_read_alike() {
        for tier in Tier::all() {
            assert_eq!(tier.to_string().parse(), Ok(tier));
            assert!(NAMES.contains(&tier.to_string().as_str()));
        }
        assert_eq!("auto".parse(), Ok(Tier::fastest()));
    }

    #[test]
    fn what_is_unknown_and_what_is_missing_here_say_what_there_is() {
        let unknown = "mmx".parse::<Tier>().unwrap_err();
        assert_eq!(unknown, "there are no kernels `mmx`: use auto, avx512, avx2, portable");
        let here: Vec<String> = Tier::all().map(|tier| tier.to_string()).collect();
        for missing in NAMES.iter().filter(|name| here.iter().all(|here| here != *name)) {
            let message = missing.parse::<Tier>().unwrap_err();
            assert_eq!(message, format!("this processor has no {missing}: use auto, {}", here.join(", ")));
        }
    }
}
