//! A square of an image, covered. Where it lies and what with is somebody else's to decide.

/// Covers the square of side `side` whose first pixel is at `top` and `left`, all inside the image (`shape`: height × width ×
/// channels), with `cover`, a sample a channel.
pub(super) fn cover([_, width, channels]: [usize; 3], [top, left, side]: [usize; 3], cover: &[u8], pixels: &mut [u8]) {
    for row in pixels.chunks_exact_mut(width * channels).skip(top).take(side) {
        row[left * channels..(left + side) * channels].chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(cover));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Augmentation, Augmenter};
    use super::*;

    #[test]
    fn a_square_is_covered_and_nothing_else() {
        let mut pixels: Vec<u8> = (0..16).collect();
        cover([4, 4, 1], [1, 2, 2], &[99], &mut pixels);
        assert_eq!(pixels, [0, 1, 2, 3, 4, 5, 99, 99, 8, 9, 99, 99, 12, 13, 14, 15]);
    }

    #[test]
    fn every_place_inside_the_image_occurs_and_none_outside() {
        let mut places = std::collections::BTreeSet::new();
        for index in 0..300 {
            let mut out = [0; 16];
            let augmenter = Augmenter::new(Augmentation { cutout: 3, ..Default::default() }, 1, [4, 4, 1]).covering_with(&[1.0]);
            augmenter.apply(1, index, &[7; 16], &mut out);
            let covered: Vec<usize> = (0..16).filter(|&at| out[at] == 255).collect();
            let [top, left] = [covered[0] / 4, covered[0] % 4];
            assert!(covered.iter().copied().eq((top..top + 3).flat_map(|row| (left..left + 3).map(move |at| row * 4 + at))));
            places.insert((top, left));
        }
        assert_eq!(places.len(), 4);
        let mut out = [0; 16];
        let whole = Augmenter::new(Augmentation { cutout: 50, ..Default::default() }, 1, [4, 4, 1]);
        whole.apply(1, 1, &[7; 16], &mut out);
        assert_eq!(out, [0; 16], "no more than there is");
    }
}
