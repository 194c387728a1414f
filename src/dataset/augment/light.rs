//! Brighter or darker, with more contrast or less: on samples of 0 to 255, rounded once, at the end.

/// Multiplies all samples by the first factor, then brings them to the second times their distance from the image's mean, which is
/// that of all its samples. Factors of 1 change nothing.
pub(super) fn change([brightness, contrast]: [f64; 2], pixels: &mut [u8]) {
    let sum: u64 = pixels.iter().map(|&sample| u64::from(sample)).sum();
    let mean = sum as f64 / pixels.len() as f64;
    let table: [u8; 256] = std::array::from_fn(|value| {
        // Both at once: the mean is multiplied too.
        (brightness * (mean + contrast * (value as f64 - mean))).round().clamp(0.0, 255.0) as u8
    });
    for sample in pixels {
        *sample = table[usize::from(*sample)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(factors: [f64; 2]) -> Vec<u8> {
        let mut pixels = vec![0, 50, 100, 250];
        change(factors, &mut pixels);
        pixels
    }

    #[test]
    fn factors_do_what_they_say() {
        assert_eq!(changed([1.0, 1.0]), [0, 50, 100, 250]);
        assert_eq!(changed([1.1, 1.0]), [0, 55, 110, 255], "275 is as bright as it gets");
        // The mean is 100: distances −100, −50, 0, 150 are halved.
        assert_eq!(changed([1.0, 0.5]), [50, 75, 100, 175]);
        assert_eq!(changed([1.0, 1.5]), [0, 25, 100, 255]);
        assert_eq!(changed([0.8, 0.5]), [40, 60, 80, 140]);
    }
}
