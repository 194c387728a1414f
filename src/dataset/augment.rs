//! Random changes to training images that keep their class: a mirror, a crop from a reflected border, a turn, other light, a
//! covered square; in this order, on pixels of 0 to 255, before they are normalised.
//!
//! What happens to an image is decided by seed, epoch and the image's place in the set; never by batches or threads. What is not
//! known here: labels (two images in one are [`super::mixup`]), and what a network makes of pixels.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::images::Images;
use super::random::{Purpose, generator};
use crate::picture::Pixels;

mod cutout;
mod light;
mod rotation;

/// Which changes are made. None of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Mirrors half of the images, left to right.
    pub flip: bool,
    /// Mirrors each image in every second epoch instead, half of them in the first (Keller Jordan, arXiv 2404.00498).
    #[serde(default)]
    pub alternating: bool,
    /// Pixels of reflected border (the edge itself not repeated) from which an image-sized part is cut; 0 for none.
    pub crop_padding: usize,
    /// Degrees that an image is turned by at most, either way, its border reflected; 0 for none.
    #[serde(default)]
    pub rotation: f64,
    /// Share that all samples are multiplied by more or less, at most; 0 for none.
    #[serde(default)]
    pub brightness: f64,
    /// Share by which samples are further from or nearer to the image's mean, at most; 0 for none.
    #[serde(default)]
    pub contrast: f64,
    /// Side of a square inside the image that is covered ("Cutout", arXiv 1708.04552); 0 for none.
    #[serde(default)]
    pub cutout: usize,
}

/// Applies an [`Augmentation`] to images of one shape.
#[derive(Debug, Clone)]
pub struct Augmenter {
    augmentation: Augmentation,
    seed: u64,
    /// Height, width, channels.
    shape: [usize; 3],
    /// What a covered square shows: a sample a channel.
    cover: Vec<u8>,
}

/// Where an image of the same size is taken from another: mirrored or not, and how far from the corner of the reflected border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    /// Left to right.
    pub mirrored: bool,
    /// Pixels of border on each side, fewer than the image has.
    pub padding: usize,
    /// Rows into the bordered image, at most twice the border.
    pub down: usize,
    /// Columns into the bordered image, at most twice the border.
    pub right: usize,
}

impl Augmenter {
    /// For images of `shape` (height, width, channels). A border wider than the image allows is narrowed to what can be
    /// reflected, a covered square to what is there. Covered is black.
    pub fn new(mut augmentation: Augmentation, seed: u64, shape: [usize; 3]) -> Self {
        let side = shape[0].min(shape[1]);
        augmentation.crop_padding = augmentation.crop_padding.min(side.saturating_sub(1));
        augmentation.cutout = augmentation.cutout.min(side);
        Self { augmentation, seed, shape, cover: vec![0; shape[2]] }
    }

    /// The same, covering with `mean` (a number in [0, 1] a channel) to the nearest of 255: what becomes 0 when it is normalised.
    #[must_use]
    pub fn covering_with(mut self, mean: &[f32]) -> Self {
        self.cover = mean.iter().map(|mean| (255.0 * mean).round() as u8).collect();
        self
    }

    /// Image `index` of the set as epoch `epoch`, from 1, sees it: `pixels` (height × width × channel), changed, into `out`.
    pub fn apply(&self, epoch: u64, index: u64, pixels: &[u8], out: &mut [u8]) {
        let Augmentation { rotation, brightness, contrast, cutout, .. } = self.augmentation;
        self.placement(epoch, index).apply(self.shape, pixels, out);
        // Each change draws by itself: one that is switched on does not move another's draws.
        let draws = |purpose| generator(self.seed, purpose, epoch, index);
        if rotation > 0.0 {
            let upright = out.to_vec();
            rotation::turn(self.shape, rotation * either_way(&mut draws(Purpose::Rotate)), &upright, out);
        }
        if brightness > 0.0 || contrast > 0.0 {
            let mut draws = draws(Purpose::Light);
            let factors = [brightness, contrast].map(|most| 1.0 + most * either_way(&mut draws));
            light::change(factors, out);
        }
        if cutout > 0 {
            let mut draws = draws(Purpose::Cutout);
            let [top, left] = [0, 1].map(|axis| draws.random_range(0..=(self.shape[axis] - cutout) as u64) as usize);
            cutout::cover(self.shape, [top, left, cutout], &self.cover, out);
        }
    }

    fn placement(&self, epoch: u64, index: u64) -> Placement {
        let Augmentation { flip, alternating, crop_padding: padding, .. } = self.augmentation;
        if !flip && padding == 0 {
            return Placement::default();
        }
        let mut draws = generator(self.seed, Purpose::Augment, epoch, index);
        // All three are drawn, whatever is switched on.
        let (coin, down, right) = (draws.random_bool(0.5), draw(&mut draws, padding), draw(&mut draws, padding));
        let coin = if alternating {
            generator(self.seed, Purpose::Alternate, 0, index).random_bool(0.5) != epoch.is_multiple_of(2)
        } else {
            coin
        };
        Placement { mirrored: flip && coin, padding, down, right }
    }
}

impl Placement {
    /// What is there of `pixels` (`shape`: height × width × channels), into `out`.
    pub fn apply(&self, [height, width, channels]: [usize; 3], pixels: &[u8], out: &mut [u8]) {
        debug_assert_eq!((pixels.len(), out.len()), (height * width * channels, height * width * channels));
        let Self { mirrored, padding, down, right } = *self;
        if *self == Self::default() {
            out.copy_from_slice(pixels);
            return;
        }
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

impl Images {
    /// Image `index` as it is at `placement`.
    ///
    /// # Panics
    /// If there is no such image.
    #[allow(clippy::expect_used)]
    pub fn placed(&self, index: usize, placement: Placement) -> Pixels<Vec<u8>> {
        let dimensions = self.dimensions();
        let mut out = vec![0; dimensions.samples()];
        placement.apply([dimensions.height, dimensions.width, dimensions.channels.count()], self.pixels(index), &mut out);
        // As many as the dimensions say.
        Pixels::new(dimensions, out).expect("an image of the set's size")
    }
}

/// From −1 to 1.
fn either_way(draws: &mut impl Rng) -> f64 {
    2.0 * draws.random::<f64>() - 1.0
}

/// How far a crop starts into the bordered image: 0 to twice the border.
fn draw(generator: &mut impl Rng, padding: usize) -> usize {
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
        Augmenter::new(Augmentation { flip, crop_padding, ..Default::default() }, 3, SHAPE).apply(epoch, index, &image(), &mut out);
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

    fn with(augmentation: Augmentation, epoch: u64, index: u64) -> Vec<u8> {
        let mut out = vec![0; 72];
        Augmenter::new(augmentation, 3, SHAPE).covering_with(&[0.5, 0.0, 1.0]).apply(epoch, index, &image(), &mut out);
        out
    }

    const ALL: Augmentation =
        Augmentation { flip: true, alternating: true, crop_padding: 2, rotation: 15.0, brightness: 0.3, contrast: 0.3, cutout: 2 };

    #[test]
    fn the_border_is_numpys() {
        // numpy.pad(numpy.arange(16).reshape(4, 4), 2, mode="reflect")
        let padded: [[u8; 8]; 8] = [
            [10, 9, 8, 9, 10, 11, 10, 9],
            [6, 5, 4, 5, 6, 7, 6, 5],
            [2, 1, 0, 1, 2, 3, 2, 1],
            [6, 5, 4, 5, 6, 7, 6, 5],
            [10, 9, 8, 9, 10, 11, 10, 9],
            [14, 13, 12, 13, 14, 15, 14, 13],
            [10, 9, 8, 9, 10, 11, 10, 9],
            [6, 5, 4, 5, 6, 7, 6, 5],
        ];
        let pixels: Vec<u8> = (0..16).collect();
        for (down, right) in (0..5).flat_map(|down| (0..5).map(move |right| (down, right))) {
            let mut out = [0; 16];
            Placement { mirrored: false, padding: 2, down, right }.apply([4, 4, 1], &pixels, &mut out);
            let expected: Vec<u8> = (down..down + 4).flat_map(|row| padded[row][right..right + 4].to_vec()).collect();
            assert_eq!(out, expected[..], "{down} {right}");
        }
        let mut out = [0; 16];
        Placement { mirrored: true, ..Default::default() }.apply([4, 4, 1], &pixels, &mut out);
        assert_eq!(out, [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]);
    }

    #[test]
    fn an_alternating_flip_shows_both_sides_in_two_epochs() {
        let alternating = Augmentation { flip: true, alternating: true, ..Default::default() };
        let mut mirrored = [0; 5];
        for index in 0..400 {
            let seen = [1, 2, 3, 4].map(|epoch| with(alternating, epoch, index));
            assert!(seen[0] != seen[1] && seen[0] == seen[2] && seen[1] == seen[3], "{index}");
            (0..4).for_each(|epoch| mirrored[epoch] += usize::from(seen[epoch] != image()));
        }
        assert!(mirrored[..4].iter().all(|&times| (150..250).contains(&times)), "{mirrored:?}");
    }

    #[test]
    fn threads_and_order_change_nothing() {
        let of = |indices: &mut dyn Iterator<Item = u64>| -> std::collections::BTreeMap<u64, Vec<u8>> {
            indices.map(|index| (index, with(ALL, 5, index))).collect()
        };
        let expected = of(&mut (0..60));
        assert_eq!(of(&mut (0..60).rev()), expected);
        for threads in 1..=3 {
            let parts = std::thread::scope(|scope| {
                let parts: Vec<_> =
                    (0..threads).map(|at| scope.spawn(move || of(&mut (at..60).step_by(threads as usize)))).collect();
                parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
            });
            assert_eq!(expected, parts, "{threads}");
        }
    }

    #[test]
    fn one_change_does_not_move_anothers_draws() {
        let covered =
            |augmentation| -> Vec<bool> { with(augmentation, 2, 7).chunks(3).map(|pixel| pixel == [128, 0, 255]).collect() };
        let alone = covered(Augmentation { cutout: 2, ..Default::default() });
        assert_eq!(alone.iter().filter(|&&covered| covered).count(), 4);
        assert_eq!(covered(ALL), alone);
        let differs = |change: &dyn Fn(u64) -> Vec<u8>| (0..20).any(|at| change(at) != change(at + 100));
        for one in [
            Augmentation { rotation: 20.0, ..Default::default() },
            Augmentation { brightness: 0.5, ..Default::default() },
            Augmentation { contrast: 0.5, ..Default::default() },
            Augmentation { cutout: 2, ..Default::default() },
        ] {
            assert!(differs(&|epoch| with(one, epoch, 5)) && differs(&|index| with(one, 5, index)), "{one:?}");
        }
    }
}
