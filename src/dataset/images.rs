//! Pixels and labels, and the two types that keep training and measuring apart.

use std::ops::{Deref, Range};
use std::sync::Arc;

use super::error::Error;

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
    /// Samples an image.
    size: usize,
    channels: usize,
}

impl Images {
    /// `pixels` are image × height × width × channel, an image for each label.
    pub(super) fn new(pixels: Vec<u8>, labels: Vec<u32>, size: usize, channels: usize) -> Self {
        debug_assert_eq!(pixels.len(), labels.len() * size);
        let range = 0..labels.len();
        Self { store: Arc::new(Store { pixels, labels, size, channels }), range }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Image `index`: height × width × channel.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn pixels(&self, index: usize) -> &[u8] {
        assert!(index < self.len(), "image {index} of {}", self.len());
        let size = self.store.size;
        &self.store.pixels[(self.range.start + index) * size..][..size]
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
        let channels = self.store.channels;
        let mut counts = vec![[0_u64; 256]; channels];
        let size = self.store.size;
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

    fn set() -> TrainSet {
        TrainSet(Images::new(vec![0, 10, 255, 10, 255, 30, 0, 30], vec![0, 1, 0, 1], 2, 2))
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
        let Statistics { mean, std } = set().statistics();
        assert_eq!((mean[0], std[0]), (0.5, 0.5));
        assert!((mean[1] - 20.0 / 255.0).abs() < 1e-15 && (std[1] - 10.0 / 255.0).abs() < 1e-15);
    }
}
