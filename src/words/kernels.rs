//! The names of the instruction sets that there are kernels for.

use std::fmt;
use std::str::FromStr;

/// Which instruction set the kernels are to use, as the user asked for it. A processor need not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KernelChoice {
    /// The fastest that the processor has.
    #[default]
    Auto,
    /// 32 registers of sixteen floats.
    Avx512,
    /// 16 registers of eight floats, multiply-add in one instruction.
    Avx2,
    /// What the build itself was compiled for.
    Portable,
}

impl KernelChoice {
    /// Every one, in the order in which they are listed to people.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Avx512, Self::Avx2, Self::Portable];
}

impl FromStr for KernelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|choice| choice.to_string() == text).ok_or_else(|| {
            let all = Self::ALL.map(|choice| choice.to_string()).join(", ");
            format!("there are no kernels `{text}`: use {all}")
        })
    }
}

impl fmt::Display for KernelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_written_and_read_alike_and_unknown_ones_are_told_the_choices() {
        for choice in KernelChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let unknown = "mmx".parse::<KernelChoice>().unwrap_err();
        assert_eq!(unknown, "there are no kernels `mmx`: use auto, avx512, avx2, portable");
    }
}
