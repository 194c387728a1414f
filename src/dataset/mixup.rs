//! Two images in one, and both labels with their shares (Zhang and others, "mixup", arXiv 1710.09412), on normalised numbers.
//!
//! An image is mixed with the one after it in its batch, the last with the first: the order of an epoch is random already. One
//! share holds for a batch, decided by seed, epoch and the batch's place. What it is to a loss is not known here.

use rand::RngExt;

use super::random::{Purpose, generator};

/// The share that an image keeps in batch `step` of `epoch`: of two shares that follow a beta distribution of `alpha` and `alpha`
/// the larger, so that a mixed image shows more of itself than of another.
///
/// M. D. Jöhnk, "Erzeugung von betaverteilten und gammaverteilten Zufallszahlen", 1964; by logarithms, so that a small `alpha` does
/// not end in 0 / 0.
pub fn share(alpha: f64, seed: u64, [epoch, step]: [u64; 2]) -> f64 {
    let mut draws = generator(seed, Purpose::Mixup, epoch, step);
    loop {
        // From (0, 1]: the logarithm of 0 is none.
        let [x, y] = [(); 2].map(|()| (1.0 - draws.random::<f64>()).ln() / alpha);
        if x.exp() + y.exp() <= 1.0 {
            return 1.0 / (1.0 + (-(x - y).abs()).exp());
        }
    }
}

/// Mixes the images of a batch, as many as `labels`, and gives the labels of what each was mixed with.
pub fn mix(share: f64, images: &mut [f32], labels: &[u32]) -> Vec<u32> {
    let size = images.len() / labels.len().max(1);
    let first = images[..size.min(images.len())].to_vec();
    let (own, other) = (share as f32, (1.0 - share) as f32);
    let blend = |image: &mut [f32], next: &[f32]| image.iter_mut().zip(next).for_each(|(x, y)| *x = own * *x + other * *y);
    for at in 0..labels.len() {
        let (image, rest) = images[at * size..].split_at_mut(size);
        blend(image, rest.get(..size).unwrap_or(&first));
    }
    let mut partners = labels.to_vec();
    if !partners.is_empty() {
        partners.rotate_left(1);
    }
    partners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_mixed_with_the_next_and_the_last_with_the_first() {
        let mut images = [0.0, 8.0, 4.0, 0.0, -4.0, 16.0];
        let partners = mix(0.75, &mut images, &[3, 1, 2]);
        assert_eq!((images, partners), ([1.0, 6.0, 2.0, 4.0, -3.0, 14.0], vec![1, 2, 3]));
        let mut alone = [5.0, 6.0];
        assert_eq!((mix(0.75, &mut alone, &[9]), alone), (vec![9], [5.0, 6.0]));
    }

    #[test]
    fn shares_are_those_of_a_beta_distribution() {
        let mean = |alpha: f64, of: fn(f64) -> f64| (0..4000).map(|step| of(share(alpha, 1, [1, step]))).sum::<f64>() / 4000.0;
        // The variance of a beta distribution: 1 / (4 (2 alpha + 1)); folding over the middle does not change it.
        for alpha in [0.01, 0.2, 1.0, 4.0] {
            let variance = mean(alpha, |share| (share - 0.5) * (share - 0.5));
            assert!((variance * 4.0 * (2.0 * alpha + 1.0) - 1.0).abs() < 0.05, "{alpha}: {variance}");
        }
        assert!((0..1000).all(|step| (0.5..=1.0).contains(&share(0.2, 1, [2, step]))));
        assert_eq!(share(0.2, 1, [2, 3]), share(0.2, 1, [2, 3]));
        assert!(share(0.2, 1, [2, 3]) != share(0.2, 2, [2, 3]) && share(0.2, 1, [2, 3]) != share(0.2, 1, [3, 3]));
    }
}
