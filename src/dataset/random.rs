//! One generator for each purpose, seed, epoch and image, so that no draw depends on another or on how many threads draw.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What numbers are drawn for: two purposes never share a sequence.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The order of images in an epoch.
    Shuffle = 1,
    /// How an image is changed in an epoch.
    Augment = 2,
    /// Which images of a folder are held out, and in which order the rest are kept.
    Split = 3,
    /// Which images an alternating flip mirrors in the first epoch.
    Alternate = 4,
    /// How far an image is turned in an epoch.
    Rotate = 5,
    /// How bright an image is in an epoch.
    Light = 6,
    /// Where an image is covered in an epoch.
    Cutout = 7,
    /// How much of another image a batch's images have.
    Mixup = 8,
    /// Which training images an epoch is chosen by.
    Validation = 9,
}

/// ChaCha8 keyed by `seed`, `epoch` and `purpose`, on the stream of image `index`.
pub(super) fn generator(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, value) in key.as_chunks_mut().0.iter_mut().zip([seed, epoch, purpose as u64]) {
        *part = value.to_le_bytes();
    }
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(index);
    generator
}
