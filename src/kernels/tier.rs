//! Which instruction set the kernels use: found once, passed on as a value.

use std::fmt;
use std::str::FromStr;

use super::lanes::Kernel;
use super::lanes::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::lanes::{avx2::Avx2, avx512::Avx512};

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
    /// The fastest tier of this processor.
    pub fn detect() -> Self {
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

    /// The tier called `name`, if this processor has it.
    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().find(|tier| tier.to_string() == name).ok_or_else(|| {
            let known: Vec<String> = Self::all().map(|tier| tier.to_string()).collect();
            format!("this processor has no kernels called `{name}`: use one of {}", known.join(", "))
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
        }
        assert!("mmx".parse::<Tier>().unwrap_err().contains("portable"));
    }
}
