//! 8-bit samples that know their own shape, so that grey ones cannot be taken for coloured ones.

/// Samples a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One: luma, 0 black to 255 white.
    Grey,
    /// Red, green, blue.
    Rgb,
}

impl Channels {
    /// How many there are.
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }

    /// Those a network with `count` input channels looks at; none where no image has as many.
    pub const fn of(count: usize) -> Option<Self> {
        match count {
            1 => Some(Self::Grey),
            3 => Some(Self::Rgb),
            _ => None,
        }
    }
}

/// Luma of a colour: Rec. 601 in 16-bit fixed point, to the bit what Pillow's `convert("L")` gives. Of a grey it is that grey.
pub const fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((red as u32 * 19_595 + green as u32 * 38_470 + blue as u32 * 7_471 + 0x8000) >> 16) as u8
}

/// How large an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dimensions {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Samples a pixel.
    pub channels: Channels,
}

impl Dimensions {
    /// How many samples it has.
    pub const fn samples(&self) -> usize {
        self.height * self.width * self.channels.count()
    }
}

/// One image's samples, height × width × channel, owned or borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels<V = Vec<u8>> {
    dimensions: Dimensions,
    values: V,
}

impl Pixels {
    /// An image whose samples, height × width × channel, are what `sample` says of their index.
    pub fn from_fn(dimensions: Dimensions, sample: impl FnMut(usize) -> u8) -> Self {
        Self { dimensions, values: (0..dimensions.samples()).map(sample).collect() }
    }
}

impl<V: AsRef<[u8]>> Pixels<V> {
    /// `values` as an image; none where they are more or fewer than its samples.
    pub fn new(dimensions: Dimensions, values: V) -> Option<Self> {
        (values.as_ref().len() == dimensions.samples()).then_some(Self { dimensions, values })
    }

    /// How large it is.
    pub fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// Its samples, height × width × channel.
    pub fn values(&self) -> &[u8] {
        self.values.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_of_samples_is_no_image() {
        let grey = Dimensions { height: 2, width: 3, channels: Channels::Grey };
        assert_eq!(Pixels::new(grey, vec![0; 6]).map(|pixels| pixels.values().len()), Some(6));
        assert!(Pixels::new(grey, vec![0; 18]).is_none());
        assert!(Pixels::new(Dimensions { channels: Channels::Rgb, ..grey }, vec![0; 6]).is_none());
        assert_eq!([0, 1, 2, 3, 4].map(|count| Channels::of(count).is_some()), [false, true, false, true, false]);
    }

    #[test]
    fn luma_is_pillows() {
        // Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))
        for (colour, expected) in [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([200, 120, 40], 135), ([1, 2, 3], 2)]
        {
            assert_eq!(luma(colour), expected, "{colour:?}");
        }
        assert!((0..=255).all(|grey| luma([grey; 3]) == grey));
    }
}
