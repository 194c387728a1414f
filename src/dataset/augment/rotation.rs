//! An image turned about its middle, on samples of 0 to 255.

/// `pixels` (`shape`: height × width × channels), turned by `degrees` against the clock, into `out`: bilinear between the four
/// nearest pixels, and reflected where nothing was, the edge itself not repeated.
pub(super) fn turn([height, width, channels]: [usize; 3], degrees: f64, pixels: &[u8], out: &mut [u8]) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let middle = [height, width].map(|length| (length - 1) as f64 / 2.0);
    for (at, pixel) in out.chunks_exact_mut(channels).enumerate() {
        let [y, x] = [(at / width) as f64 - middle[0], (at % width) as f64 - middle[1]];
        let rows = between(middle[0] + cos * y + sin * x, height);
        let columns = between(middle[1] + cos * x - sin * y, width);
        for (channel, sample) in pixel.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (row, share) in rows {
                for (column, of) in columns {
                    sum += share * of * f64::from(pixels[(row * width + column) * channels + channel]);
                }
            }
            *sample = sum.round() as u8;
        }
    }
}

/// The two pixels that `place` on an axis of `length` lies between, reflected into it, and the share of each.
fn between(place: f64, length: usize) -> [(usize, f64); 2] {
    let last = (length - 1) as f64;
    let folded = if length == 1 { 0.0 } else { last - (place.rem_euclid(2.0 * last) - last).abs() };
    let below = folded.floor();
    let at = below as usize;
    [(at, 1.0 - (folded - below)), ((at + 1).min(length - 1), folded - below)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(degrees: f64, shape: [usize; 3]) -> Vec<u8> {
        let pixels: Vec<u8> = (0..shape.iter().product::<usize>() as u8).collect();
        let mut out = vec![0; pixels.len()];
        turn(shape, degrees, &pixels, &mut out);
        out
    }

    #[test]
    fn turns_by_right_angles_are_exact() {
        assert_eq!(turned(0.0, [4, 4, 1]), (0..16).collect::<Vec<u8>>());
        assert_eq!(turned(0.0, [3, 5, 3]), (0..45).collect::<Vec<u8>>());
        assert_eq!(turned(90.0, [4, 4, 1]), [3, 7, 11, 15, 2, 6, 10, 14, 1, 5, 9, 13, 0, 4, 8, 12]);
        assert_eq!(turned(180.0, [4, 4, 1]), (0..16).rev().collect::<Vec<u8>>());
        assert_eq!(turned(-90.0, [2, 2, 3]), [6, 7, 8, 0, 1, 2, 9, 10, 11, 3, 4, 5]);
        assert_eq!(turned(33.0, [1, 1, 3]), [0, 1, 2]);
    }

    #[test]
    fn between_pixels_they_are_mixed_and_beyond_the_edge_reflected() {
        assert_eq!(between(1.25, 4), [(1, 0.75), (2, 0.25)]);
        assert_eq!(between(-0.5, 4), [(0, 0.5), (1, 0.5)]);
        assert_eq!(between(3.5, 4), [(2, 0.5), (3, 0.5)]);
        assert_eq!(between(3.0, 4)[0], (3, 1.0));
        assert_eq!(turned(45.0, [3, 3, 1])[4], 4, "the middle stays");
    }
}
