//! Random changes to training images that keep their class: a mirror, and a crop from a reflected border.
//!
//! What happens to an image is decided by seed, epoch and the image's place in the set; never by batches or threads.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::random::{Purpose, generator};

/// Which changes are made. None of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Mirrors half of the images, left to right.
    pub flip: bool,
    /// Pixels of reflected border (the edge itself not repeated) from which an image-sized part is cut; 0 for none.
    pub crop_padding: usize,
}

/// Applies an [`Augmentation`] to images of one shape.
#[derive(Debug, Clone)]
pub struct Augmenter {
    augmentation: Augmentation,
    seed: u64,
    /// Height, width, channels.
    shape: [usize; 3],
}

impl Augmenter {
    /// For images of `shape` (height, width, channels). A border wider than the image allows is narrowed to what can be
    /// reflected.
    pub fn new(mut augmentation: Augmentation, seed: u64, shape: [usize; 3]) -> Self {
        let widest = shape[0].min(shape[1]).saturating_sub(1);
        augmentation.crop_padding = augmentation.crop_padding.min(widest);
        Self { augmentation, seed, shape }
    }

    /// Image `index` of the set as epoch `epoch` sees it: `pixels` (height × width × channel), changed, into `out`.
    pub fn apply(&self, epoch: u64, index: u64, pixels: &[u8], out: &mut [u8]) {
        let Augmentation { flip, crop_padding: padding } = self.augmentation;
        let [height, width, channels] = self.shape;
        debug_assert_eq!((pixels.len(), out.len()), (height * width * channels, height * width * channels));
        if !flip && padding == 0 {
            out.copy_from_slice(pixels);
            return;
        }
        let mut generator = generator(self.seed, Purpose::Augment, epoch, index);
        // All three are drawn, whatever is switched on: one change does not move another's draws.
        let (mirrored, down, right) = (generator.random_bool(0.5), draw(&mut generator, padding), draw(&mut generator, padding));
        let mirrored = flip && mirrored;
        let columns: Vec<usize> = (0..width)
            .map(|column| if mirrored { width - 1 - column } else { column })
            .map(|column| reflect(column, right, padding, width) * channels)
            .collect();
        for (row, line) in out.chunks_exact_mut(width * channels).enumerate() {
            let source = &pixels[reflect(row, down, padding, height) * width * channels..][..width * channels];
            for (pixel, &column) in line.chunks_exact_mut(channels).zip(&columns) {
                pixel.copy_from_slice(&source[column..column + channels]);
            }
        }
    }
}

/// How far a crop starts into the bordered image: 0 to twice the border.
fn draw(generator: &mut impl rand::Rng, padding: usize) -> usize {
    generator.random_range(0..=2 * padding as u64) as usize
}

/// The source of position `at` of a crop that starts `shift` into an axis of `length` with `padding` on both sides.
fn reflect(at: usize, shift: usize, padding: usize, length: usize) -> usize {
    let bordered = at + shift;
    if bordered < padding {
        padding - bordered
    } else {
        let inside = bordered - padding;
        if inside < length { inside } else { 2 * (length - 1) - inside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Six columns: of five, a crop from the border would be its own mirror image.
    const SHAPE: [usize; 3] = [4, 6, 3];

    fn image() -> Vec<u8> {
        (0..72).collect()
    }

    fn augmented(flip: bool, crop_padding: usize, epoch: u64, index: u64) -> Vec<u8> {
        let mut out = vec![0; 72];
        Augmenter::new(Augmentation { flip, crop_padding }, 3, SHAPE).apply(epoch, index, &image(), &mut out);
        out
    }

    /// The same by a bordered copy, as numpy.pad(mode="reflect") and slicing do it.
    fn bordered(padding: usize) -> Vec<Vec<[u8; 3]>> {
        let mirror = |at: isize, length: isize| {
            if at < 0 {
                -at
            } else if at >= length {
                2 * (length - 1) - at
            } else {
                at
            }
        };
        let reach = |length: usize| -(padding as isize)..(length + padding) as isize;
        let pixel = |row: isize, column: isize| {
            let first = (mirror(row, 4) * 6 + mirror(column, 6)) as usize * 3;
            [image()[first], image()[first + 1], image()[first + 2]]
        };
        reach(4).map(|row| reach(6).map(|column| pixel(row, column)).collect()).collect()
    }

    #[test]
    fn crops_are_parts_of_the_reflected_image_and_all_of_them_occur() {
        let border = bordered(2);
        let mut found = std::collections::BTreeMap::new();
        for index in 0..2000 {
            let out = augmented(true, 2, 0, index);
            let matches = |top: usize, left: usize, mirrored: bool| {
                (0..4).all(|row| {
                    (0..6).all(|column| {
                        let from = if mirrored { 5 - column } else { column };
                        out[(row * 6 + column) * 3..][..3] == border[top + row][left + from]
                    })
                })
            };
            let places = (0..5).flat_map(|top| (0..5).flat_map(move |left| [(top, left, false), (top, left, true)]));
            let place = places.clone().find(|&(top, left, mirrored)| matches(top, left, mirrored));
            *found.entry(place.expect("a part of the bordered image")).or_insert(0) += 1;
        }
        assert_eq!(found.len(), 50);
        assert!(found.values().all(|&times| times > 10), "{found:?}");
    }

    #[test]
    fn seed_epoch_and_index_decide() {
        assert_eq!(augmented(false, 0, 1, 1), image());
        assert_eq!(augmented(true, 2, 4, 9), augmented(true, 2, 4, 9));
        let differs = |change: &dyn Fn(u64) -> Vec<u8>| (0..20).any(|at| change(at) != change(at + 100));
        assert!(differs(&|epoch| augmented(true, 2, epoch, 5)));
        assert!(differs(&|index| augmented(true, 2, 5, index)));
    }

    #[test]
    fn a_border_wider_than_the_image_is_narrowed() {
        assert_eq!(augmented(true, 3, 1, 2), augmented(true, 40, 1, 2));
    }
}
