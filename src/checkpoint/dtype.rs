//! The number types a model is stored in. Arithmetic is always in f32.

use std::fmt;
use std::str::FromStr;

use half::{bf16, f16};

/// How a stored number is written, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dtype {
    /// IEEE 754 single precision: 4 bytes, exact.
    #[default]
    F32,
    /// IEEE 754 half precision: 2 bytes, 11 significant bits, up to 65,504.
    F16,
    /// The upper half of an f32: 2 bytes, 8 significant bits, an f32's range.
    BF16,
}

impl Dtype {
    /// Bytes a number takes.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// As safetensors calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        }
    }

    /// Whether every finite one of `values` stays finite when rounded.
    pub fn holds(self, values: &[f32]) -> bool {
        let rounded = |value: f32| match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::BF16 => bf16::from_f32(value).to_f32(),
        };
        values.iter().all(|&value| !value.is_finite() || rounded(value).is_finite())
    }

    /// Appends `values` to `out`, each rounded to the nearest, ties to even.
    pub fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        match self {
            Self::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::F16 => out.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes())),
            Self::BF16 => out.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes())),
        }
    }

    /// The numbers in `bytes`; what is left over of a last, incomplete one is not looked at.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
            Self::BF16 => bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::F32, Self::F16, Self::BF16]
            .into_iter()
            .find(|dtype| dtype.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("there is no number type `{text}`: use f32, f16 or bf16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_as_well_as_their_type_allows() {
        let values = [0.0, -1.5, 0.1, 65504.0, -2.0e-8, f32::MIN_POSITIVE];
        for (dtype, relative) in [(Dtype::F32, 0.0), (Dtype::F16, 1.0 / 2048.0), (Dtype::BF16, 1.0 / 256.0)] {
            let mut bytes = Vec::new();
            dtype.encode(&values, &mut bytes);
            assert_eq!(bytes.len(), values.len() * dtype.size());
            for (value, back) in values.iter().zip(dtype.decode(&bytes)) {
                // Half precision's smallest step is 2⁻²⁴.
                assert!((value - back).abs() <= relative * value.abs() + if dtype == Dtype::F16 { 3.0e-8 } else { 0.0 });
            }
        }
        assert!(!Dtype::F16.holds(&[65520.0]) && Dtype::F16.holds(&[f32::INFINITY, 65504.0]) && Dtype::BF16.holds(&[1.0e38]));
    }
}
