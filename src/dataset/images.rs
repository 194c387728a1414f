//! Pixels and labels, and the two types that keep training and measuring apart.

use std::ops::{Deref, Range};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::digest::hex;
use super::error::Error;
use crate::picture::{Dimensions, Pixels};

/// Images of one size with their labels. A clone or a part shares the pixels.
#[derive(Debug, Clone)]
pub struct Images {
    store: Arc<Store>,
    range: Range<usize>,
}

#[derive(Debug)]
struct Store {
    /// image × height × width × channel.
    pixels: Vec<u8>,
    labels: Vec<u32>,
    /// What the images are called; empty where they are not.
    names: Vec<String>,
    /// Each image's.
    dimensions: Dimensions,
}

impl Images {
    /// `pixels` are image × height × width × channel, an image for each label.
    ///
    /// # Panics
    /// If they are not as many.
    pub(super) fn new(pixels: Vec<u8>, labels: Vec<u32>, dimensions: Dimensions) -> Self {
        Self::named(pixels, labels, Vec::new(), dimensions)
    }

    /// The same, each with a name.
    ///
    /// # Panics
    /// If they are not as many.
    pub(super) fn named(pixels: Vec<u8>, labels: Vec<u32>, names: Vec<String>, dimensions: Dimensions) -> Self {
        assert!(names.is_empty() || names.len() == labels.len(), "a name for each image");
        assert_eq!(pixels.len(), labels.len() * dimensions.samples(), "an image for each label");
        let range = 0..labels.len();
        Self { store: Arc::new(Store { pixels, labels, names, dimensions }), range }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// How large each of them is.
    pub fn dimensions(&self) -> Dimensions {
        self.store.dimensions
    }

    /// Image `index`: height × width × channel.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn pixels(&self, index: usize) -> &[u8] {
        assert!(index < self.len(), "image {index} of {}", self.len());
        let size = self.store.dimensions.samples();
        &self.store.pixels[(self.range.start + index) * size..][..size]
    }

    /// Image `index`, knowing its shape.
    ///
    /// # Panics
    /// If there is no such image.
    #[allow(clippy::expect_used)]
    pub fn image(&self, index: usize) -> Pixels<&[u8]> {
        // `pixels` are as many as the dimensions say.
        Pixels::new(self.store.dimensions, self.pixels(index)).expect("an image of the set's size")
    }

    /// The class of image `index`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn label(&self, index: usize) -> u32 {
        self.labels()[index]
    }

    /// Every image's class, in order.
    pub fn labels(&self) -> &[u32] {
        &self.store.labels[self.range.clone()]
    }

    /// What image `index` is called: its file within the set, or its number.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn name(&self, index: usize) -> String {
        assert!(index < self.len(), "image {index} of {}", self.len());
        self.store.names.get(self.range.start + index).cloned().unwrap_or_else(|| format!("image {index}"))
    }

    /// SHA-256 over size, pixels and labels, in hexadecimal: equal for equal images in the same order.
    pub fn digest(&self) -> String {
        let Dimensions { height, width, channels } = self.store.dimensions;
        let size = self.store.dimensions.samples();
        let mut digest = Sha256::new();
        for number in [height, width, channels.count(), self.len()] {
            digest.update((number as u64).to_le_bytes());
        }
        digest.update(&self.store.pixels[self.range.start * size..self.range.end * size]);
        self.labels().iter().for_each(|label| digest.update(label.to_le_bytes()));
        hex(&digest.finalize())
    }

    /// Those of `indices`, copied.
    pub(super) fn selected(&self, indices: &[usize]) -> Self {
        let pixels = indices.iter().flat_map(|&index| self.pixels(index)).copied().collect();
        let labels = indices.iter().map(|&index| self.label(index)).collect();
        let names = if self.store.names.is_empty() { Vec::new() } else { indices.iter().map(|&index| self.name(index)).collect() };
        Self::named(pixels, labels, names, self.dimensions())
    }

    fn part(&self, range: Range<usize>) -> Self {
        let start = self.range.start;
        Self { store: Arc::clone(&self.store), range: start + range.start..start + range.end }
    }
}

/// Images to train on. Nothing that measures takes them.
#[derive(Debug, Clone)]
pub struct TrainSet(pub(super) Images);

/// Images to measure with. Nothing that trains takes them.
#[derive(Debug, Clone)]
pub struct TestSet(pub(super) Images);

impl Deref for TrainSet {
    type Target = Images;

    fn deref(&self) -> &Images {
        &self.0
    }
}

impl Deref for TestSet {
    type Target = Images;

    fn deref(&self) -> &Images {
        &self.0
    }
}

/// A channel's mean and standard deviation over all pixels, in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// One a channel.
    pub mean: Vec<f64>,
    /// One a channel, of the whole population (divided by n).
    pub std: Vec<f64>,
}

impl TrainSet {
    /// All but the last `count` images to train on, and those `count` to tune with: recipes are chosen on them, so that the
    /// test set stays unseen until the final figure.
    pub fn hold_out(&self, count: usize) -> Result<(Self, TestSet), Error> {
        let images = self.len();
        if count == 0 || count >= images {
            return Err(Error::HoldOut { wanted: count, images });
        }
        Ok((Self(self.part(0..images - count)), TestSet(self.part(images - count..images))))
    }

    /// Measures every channel. Sums are of integers and so exact, whatever the order.
    pub fn statistics(&self) -> Statistics {
        let (channels, size) = (self.store.dimensions.channels.count(), self.store.dimensions.samples());
        let mut counts = vec![[0_u64; 256]; channels];
        for pixel in self.store.pixels[self.range.start * size..self.range.end * size].chunks_exact(channels) {
            for (count, value) in counts.iter_mut().zip(pixel) {
                count[usize::from(*value)] += 1;
            }
        }
        let moments = |count: &[u64; 256]| {
            let number = count.iter().sum::<u64>() as f64;
            let sum = |weight: fn(u64) -> u64| (0..).zip(count).map(|(value, times)| weight(value) * times).sum::<u64>() as f64;
            let mean = sum(|value| value) / number;
            (mean / 255.0, (sum(|value| value * value) / number - mean * mean).max(0.0).sqrt() / 255.0)
        };
        let (mean, std) = counts.iter().map(moments).unzip();
        Statistics { mean, std }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::picture::Channels;

    /// Four grey images of two pixels.
    fn set() -> TrainSet {
        let dimensions = Dimensions { height: 1, width: 2, channels: Channels::Grey };
        TrainSet(Images::new(vec![0, 10, 255, 10, 255, 30, 0, 30], vec![0, 1, 0, 1], dimensions))
    }

    #[test]
    fn the_last_are_held_out() {
        let (train, tune) = set().hold_out(1).unwrap();
        assert_eq!((train.len(), tune.len()), (3, 1));
        assert_eq!((tune.pixels(0), tune.label(0)), ([0, 30].as_slice(), 1));
        let (less, more) = train.hold_out(2).unwrap();
        assert_eq!((less.labels(), more.labels(), more.pixels(0)), ([0].as_slice(), [1, 0].as_slice(), [255, 10].as_slice()));
        for count in [0, 4, 5] {
            assert!(matches!(set().hold_out(count), Err(Error::HoldOut { images: 4, .. })));
        }
    }

    #[test]
    fn channels_are_measured() {
        let dimensions = Dimensions { height: 1, width: 1, channels: Channels::Rgb };
        let images = Images::new(vec![0, 10, 7, 255, 10, 7, 255, 30, 7, 0, 30, 7], vec![0, 1, 0, 1], dimensions);
        let Statistics { mean, std } = TrainSet(images).statistics();
        assert_eq!((mean[0], std[0], std[2]), (0.5, 0.5, 0.0));
        assert!((mean[1] - 20.0 / 255.0).abs() < 1e-15 && (std[1] - 10.0 / 255.0).abs() < 1e-15);
    }

    #[test]
    fn a_digest_is_of_what_is_in_the_set() {
        let digest = |pixels: Vec<u8>, labels: Vec<u32>, channels| {
            let dimensions = Dimensions { height: 1, width: pixels.len() / labels.len() / 3, channels };
            let wide = Dimensions { width: 3 * dimensions.width, ..dimensions };
            Images::new(pixels, labels, if channels == Channels::Grey { wide } else { dimensions }).digest()
        };
        let plain = || digest(vec![1, 2, 3, 4, 5, 6], vec![0, 1], Channels::Rgb);
        assert_eq!(plain(), plain());
        assert_eq!(plain().len(), 64);
        assert_ne!(plain(), digest(vec![1, 2, 3, 4, 5, 7], vec![0, 1], Channels::Rgb));
        assert_ne!(plain(), digest(vec![1, 2, 3, 4, 5, 6], vec![1, 0], Channels::Rgb));
        assert_ne!(plain(), digest(vec![4, 5, 6, 1, 2, 3], vec![0, 1], Channels::Rgb));
        assert_ne!(plain(), digest(vec![1, 2, 3, 4, 5, 6], vec![0, 1], Channels::Grey));
        // A part is what it holds, wherever it was cut from.
        let (_, tune) = set().hold_out(1).unwrap();
        let dimensions = Dimensions { height: 1, width: 2, channels: Channels::Grey };
        assert_eq!(tune.digest(), Images::new(vec![0, 30], vec![1], dimensions).digest());
    }
}
