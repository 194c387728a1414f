//! An image of any shape at a network's size: crop, stretch or pad, resampled by an antialiased triangle.
//!
//! The stored pixels are fitted first and turned upright afterwards: turning 32 × 32 pixels costs nothing, turning fifty
//! million costs as much memory again. Both orders give the same picture, as long as odd margins are rounded to the side
//! that ends up left and above.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, Luma, Pixel, Rgb, imageops};

use super::header::Header;
use super::pixels::{Channels, luma};
use super::target::{Filter, Fit, Target};

/// How one image is brought to size: known from its header.
pub(super) struct Plan {
    stored: (u32, u32),
    orientation: Orientation,
    /// Left, top, width and height of the stored part that is kept.
    part: [u32; 4],
    /// Size that part is resampled to.
    scaled: (u32, u32),
    /// Size of the result before it is turned upright.
    canvas: (u32, u32),
    /// Where the resampled part lies on it.
    offset: (u32, u32),
    filter: FilterType,
    channels: Channels,
    background: [u8; 3],
}

impl Plan {
    pub(super) fn new(header: &Header, orientation: Orientation, target: &Target) -> Self {
        let Target { height, width, channels, fit, filter, background } = *target;
        let stored = (header.width, header.height);
        let upright = (width as u32, height as u32);
        let canvas = if swaps(orientation) { (upright.1, upright.0) } else { upright };
        let (mut part, mut scaled, mut offset) = ([0, 0, stored.0, stored.1], canvas, (0, 0));
        // The same two choices made on upright pixels would round a margin down on the left and the top.
        let (mirror_x, mirror_y) = mirrors(orientation);
        match fit {
            Fit::Stretch => {}
            Fit::Crop => {
                let (columns, rows) = largest_inside(canvas, stored);
                part = [margin(stored.0 - columns, mirror_x), margin(stored.1 - rows, mirror_y), columns, rows];
            }
            Fit::Pad => {
                scaled = largest_inside(stored, canvas);
                offset = (margin(canvas.0 - scaled.0, mirror_x), margin(canvas.1 - scaled.1, mirror_y));
            }
        }
        let filter = match filter {
            Filter::Triangle => FilterType::Bilinear,
        };
        Self { stored, orientation, part, scaled, canvas, offset, filter, channels, background }
    }

    /// Columns and rows of the whole image, upright.
    pub(super) fn source(&self) -> (u32, u32) {
        if swaps(self.orientation) { (self.stored.1, self.stored.0) } else { self.stored }
    }

    /// Bytes held beside the image while it is brought to size: its rows are resampled first, then the columns of these, each by a
    /// table of weights, and the results stand beside one another.
    pub(super) fn memory(&self) -> u64 {
        let [_, _, columns, rows] = self.part;
        let sides = [columns, rows, self.scaled.0, self.scaled.1].map(u64::from);
        let tables = 64 * sides.iter().sum::<u64>();
        let between = if (columns, rows) == self.scaled { 0 } else { 3 * sides[0] * sides[3] + tables };
        let moved = self.part != [0, 0, self.stored.0, self.stored.1] || self.scaled != self.stored;
        let results = [moved, self.scaled != self.canvas, self.orientation != Orientation::NoTransforms];
        let result = 3 * u64::from(self.canvas.0) * u64::from(self.canvas.1);
        between + result * results.into_iter().filter(|&made| made).count() as u64
    }

    /// `samples` are the stored image's, in the target's channels; the result has the target's size.
    pub(super) fn apply(&self, samples: Vec<u8>) -> Vec<u8> {
        match self.channels {
            Channels::Grey => self.fitted(samples, Luma([luma(self.background)])),
            Channels::Rgb => self.fitted(samples, Rgb(self.background)),
        }
    }

    /// The part that is kept, at its new size: by the same weights and roundings as Pillow.
    fn resampled<P: Pixel<Subpixel = u8> + 'static>(&self, image: &ImageBuffer<P, Vec<u8>>) -> ImageBuffer<P, Vec<u8>> {
        let [left, top, columns, rows] = self.part;
        let pixels = if P::CHANNEL_COUNT == 1 { PixelType::U8 } else { PixelType::U8x3 };
        let (width, height) = self.scaled;
        let mut scaled = Image::new(width, height, pixels);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(self.filter));
        // The buffer is the image's, both have these pixels, and the part lies in it. (A crop among the options would let the margin
        // beside it have a say.)
        let source = ImageRef::new(image.width(), image.height(), image.as_raw(), pixels).unwrap_or_else(|e| unreachable!("{e}"));
        let part = CroppedImage::new(&source, left, top, columns, rows).unwrap_or_else(|e| unreachable!("{e}"));
        Resizer::new().resize(&part, &mut scaled, &options).unwrap_or_else(|e| unreachable!("{e}"));
        ImageBuffer::from_raw(width, height, scaled.into_vec())
            .unwrap_or_else(|| unreachable!("a picture of the size it was made for"))
    }

    fn fitted<P: Pixel<Subpixel = u8> + 'static>(&self, samples: Vec<u8>, background: P) -> Vec<u8>
    where
        DynamicImage: From<ImageBuffer<P, Vec<u8>>>,
    {
        let whole = [0, 0, self.stored.0, self.stored.1];
        let image = ImageBuffer::<P, _>::from_raw(self.stored.0, self.stored.1, samples).unwrap_or_default();
        let fitted = if self.part == whole && self.scaled == self.stored { image } else { self.resampled(&image) };
        let placed = if self.scaled == self.canvas {
            fitted
        } else {
            let mut canvas = ImageBuffer::from_pixel(self.canvas.0, self.canvas.1, background);
            imageops::replace(&mut canvas, &fitted, self.offset.0.into(), self.offset.1.into());
            canvas
        };
        let mut upright = DynamicImage::from(placed);
        upright.apply_orientation(self.orientation);
        upright.into_bytes()
    }
}

/// The largest size of the proportions of `shape` within `frame`; no side is lost altogether.
fn largest_inside(shape: (u32, u32), frame: (u32, u32)) -> (u32, u32) {
    let ((width, height), (columns, rows)) = ((u64::from(shape.0), u64::from(shape.1)), (u64::from(frame.0), u64::from(frame.1)));
    let share =
        |length: u64, numerator: u64, denominator: u64| ((length * numerator + denominator / 2) / denominator).max(1) as u32;
    if columns * height >= rows * width {
        (share(rows, width, height).min(frame.0), frame.1)
    } else {
        (frame.0, share(columns, height, width).min(frame.1))
    }
}

/// Half of what is left over, the smaller half first unless this axis will be mirrored.
fn margin(rest: u32, mirrored: bool) -> u32 {
    if mirrored { rest.div_ceil(2) } else { rest / 2 }
}

fn swaps(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Which stored axes end up reversed: columns, rows.
fn mirrors(orientation: Orientation) -> (bool, bool) {
    match orientation {
        Orientation::NoTransforms | Orientation::Rotate90FlipH => (false, false),
        Orientation::FlipHorizontal | Orientation::Rotate270 => (true, false),
        Orientation::FlipVertical | Orientation::Rotate90 => (false, true),
        Orientation::Rotate180 | Orientation::Rotate270FlipH => (true, true),
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::picture::Format;

    fn target(height: usize, width: usize, fit: Fit) -> Target {
        Target { height, width, channels: Channels::Rgb, fit, filter: Filter::Triangle, background: [255; 3] }
    }

    fn plan(width: u32, height: u32, orientation: Orientation, target: &Target) -> Plan {
        Plan::new(&Header { width, height, format: Format::Png, grey: false, memory: 0, kept: 0 }, orientation, target)
    }

    #[test]
    fn fitting_then_turning_is_turning_then_fitting() {
        for fit in [Fit::Crop, Fit::Stretch, Fit::Pad] {
            for exif in 1..=8 {
                let orientation = Orientation::from_exif(exif).unwrap();
                // Sides of both parities on both axes; sizes small enough that crop and pad need no resampling to compare.
                for (width, height) in [(7, 4), (4, 7), (8, 5), (5, 5)] {
                    let stored = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8 * 30, y as u8 * 30, 9]));
                    let mut upright = DynamicImage::from(stored.clone());
                    upright.apply_orientation(orientation);
                    let target = target(3, 4, fit);
                    let turned_after = plan(width, height, orientation, &target).apply(stored.into_raw());
                    let before = plan(upright.width(), upright.height(), Orientation::NoTransforms, &target);
                    let turned_before = before.apply(upright.into_bytes());
                    let far = turned_after.iter().zip(&turned_before).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                    assert!(far <= 1, "{fit:?} EXIF {exif} {width}×{height}: {turned_after:?} {turned_before:?}");
                }
            }
        }
    }

    #[test]
    fn the_right_size_is_untouched() {
        let pixels: Vec<u8> = (0..36).collect();
        for fit in [Fit::Crop, Fit::Stretch, Fit::Pad] {
            let plan = plan(4, 3, Orientation::NoTransforms, &target(3, 4, fit));
            assert_eq!((plan.memory(), plan.apply(pixels.clone())), (0, pixels.clone()));
        }
    }

    #[test]
    fn extreme_shapes_keep_a_pixel() {
        for fit in [Fit::Crop, Fit::Stretch, Fit::Pad] {
            for (width, height) in [(1000, 1), (1, 1000), (1, 1)] {
                let pixels = vec![50; (width * height * 3) as usize];
                let plan = plan(width, height, Orientation::NoTransforms, &target(32, 32, fit));
                assert_eq!(plan.apply(pixels).len(), 32 * 32 * 3, "{fit:?}");
            }
        }
    }
}
