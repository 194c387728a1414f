//! Samples as numbers in [0, 1], plane after plane: an image that somebody else has decoded and brought to size.

use super::pixels::Dimensions;

/// How far a sample may be outside [0, 1]: what rounding makes of a division by 255.
const ROUNDING: f32 = 1e-3;

/// One image's samples, channel × height × width, each finite and in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct Planes {
    dimensions: Dimensions,
    values: Vec<f32>,
}

/// Why numbers are no image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// They are more or fewer than its samples.
    Count,
    /// One of them is no sample.
    Value {
        /// Its position: channel, row, column.
        at: [usize; 3],
        /// What it is.
        value: f32,
    },
}

impl Planes {
    /// `values` as an image.
    pub fn new(dimensions: Dimensions, values: Vec<f32>) -> Result<Self, Fault> {
        if values.len() != dimensions.samples() {
            return Err(Fault::Count);
        }
        // Not a number is in no range.
        match values.iter().position(|value| !(-ROUNDING..=1.0 + ROUNDING).contains(value)) {
            None => Ok(Self { dimensions, values }),
            Some(index) => {
                let Dimensions { height, width, .. } = dimensions;
                Err(Fault::Value { at: [index / width / height, index / width % height, index % width], value: values[index] })
            }
        }
    }

    /// How large it is.
    pub fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// Its samples, channel × height × width.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Channels;

    #[test]
    fn a_number_that_is_no_sample_is_named_by_its_place() {
        let dimensions = Dimensions { height: 2, width: 4, channels: Channels::Rgb };
        let fine = Planes::new(dimensions, (0..24).map(|i| i as f32 / 23.0).collect()).unwrap();
        assert_eq!((fine.dimensions(), fine.values().len()), (dimensions, 24));
        assert_eq!(Planes::new(dimensions, vec![0.0; 23]), Err(Fault::Count));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 255.0, -0.5] {
            let mut values = vec![1.0; 24];
            values[2 * 8 + 4 + 3] = value;
            let Err(Fault::Value { at, value: found }) = Planes::new(dimensions, values) else { panic!("{value} is a sample") };
            assert_eq!((at, found.to_bits()), ([2, 1, 3], value.to_bits()));
        }
    }
}
