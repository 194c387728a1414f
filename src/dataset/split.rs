//! Training images held out to choose an epoch by, so that nothing is chosen on the test set.
//!
//! A share that suits a large dataset leaves a small one with an image or two, and what those choose is chance; so small datasets give
//! more.

use rand::seq::SliceRandom;

use super::error::Error;
use super::images::{TestSet, TrainSet};
use super::random::{Purpose, generator};

/// As many are held out, whatever the share, where a tenth of the images is as many: a share of 50 is known to 7 in 100.
const ENOUGH: f64 = 50.0;

impl TrainSet {
    /// The images to train on, and about a `share` of each class to choose by, or as much more as makes 50 images or a tenth of all:
    /// at least one of a class, and never all. Both keep their order; `seed` decides which.
    pub fn split(&self, share: f64, seed: u64) -> Result<(Self, TestSet), Error> {
        let share = share.max((ENOUGH / self.len() as f64).min(0.1));
        let classes = self.labels().iter().max().map_or(0, |&label| label as usize + 1);
        let mut of_class = vec![Vec::new(); classes];
        for (index, &label) in self.labels().iter().enumerate() {
            of_class[label as usize].push(index);
        }
        let mut held = vec![false; self.len()];
        for (class, indices) in of_class.iter_mut().enumerate() {
            indices.shuffle(&mut generator(seed, Purpose::Validation, 0, class as u64));
            let most = indices.len().saturating_sub(1);
            let count = ((share * indices.len() as f64).round() as usize).clamp(most.min(1), most);
            indices[..count].iter().for_each(|&index| held[index] = true);
        }
        let (validation, train): (Vec<usize>, Vec<usize>) = (0..self.len()).partition(|&index| held[index]);
        if validation.is_empty() {
            return Err(Error::Split { images: self.len() });
        }
        Ok((Self(self.selected(&train)), TestSet(self.selected(&validation))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::images::Images;
    use super::*;
    use crate::picture::{Channels, Dimensions};

    /// Grey images of one pixel, which is their number.
    fn set(labels: &[u32]) -> TrainSet {
        let dimensions = Dimensions { height: 1, width: 1, channels: Channels::Grey };
        TrainSet(Images::new((0..labels.len()).map(|index| index as u8).collect(), labels.to_vec(), dimensions))
    }

    fn pixels(images: &Images) -> Vec<u8> {
        (0..images.len()).map(|index| images.pixels(index)[0]).collect()
    }

    #[test]
    fn every_class_gives_its_share_and_nothing_is_in_both() {
        let labels: Vec<u32> = (0..100).map(|index| u32::from(index % 5 == 0) + 2 * u32::from(index == 50)).collect();
        let (train, validation) = set(&labels).split(0.1, 7).unwrap();
        let count = |of: &Images, class: u32| of.labels().iter().filter(|&&label| label == class).count();
        // 80, 19 and a single one, which is trained on.
        assert_eq!([0, 1, 3].map(|class| (count(&train, class), count(&validation, class))), [(72, 8), (17, 2), (1, 0)]);
        let mut all = [pixels(&train), pixels(&validation)].concat();
        assert!(pixels(&train).is_sorted() && pixels(&validation).is_sorted());
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
        assert!(pixels(&validation).iter().zip(validation.labels()).all(|(&pixel, &label)| labels[usize::from(pixel)] == label));
    }

    #[test]
    fn the_seed_decides_and_too_few_images_are_an_error() {
        let labels = [0; 40];
        let of = |seed| pixels(&set(&labels).split(0.25, seed).unwrap().1);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(set(&labels).split(0.001, 1).unwrap().1.len(), 4, "a tenth of a small set");
        assert_eq!(set(&labels).split(0.999, 1).unwrap().0.len(), 1);
        let large: Vec<u32> = (0..2000).map(|index| index % 20).collect();
        assert_eq!(
            [0.001, 0.02, 0.05].map(|share| set(&large).split(share, 1).unwrap().1.len()),
            [60, 60, 100],
            "about 50, of every class"
        );
        let fault = set(&[0, 1, 2]).split(0.5, 1).unwrap_err().to_string();
        assert!(fault.contains("`validation_share`") && fault.contains("two"), "{fault}");
    }
}
