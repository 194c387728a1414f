//! Convolution's windows as the columns of a matrix, a strip of output rows at a time, and the way back.

use std::ops::Range;

use super::conv2d::Conv2dShape;
use super::real::Real;

/// Writes the windows of the output rows `strip` as columns: `columns` is (channel, kernel row, kernel column) × (output
/// row, output column), zeros where a window reaches into the padding. `image` is the channels of one group of one image.
pub fn im2col<T: Real>(shape: &Conv2dShape, image: &[T], strip: &Range<usize>, columns: &mut [T]) {
    let width = shape.output_width();
    for (tap, row) in taps(shape).zip(columns.chunks_exact_mut(strip.len() * width)) {
        let inside = tap.inside(shape);
        for (y, row) in strip.clone().zip(row.chunks_exact_mut(width)) {
            let Some(start) = tap.start(shape, y, inside.start) else {
                row.fill(T::ZERO);
                continue;
            };
            row[..inside.start].fill(T::ZERO);
            row[inside.end..].fill(T::ZERO);
            let row = &mut row[inside.clone()];
            if shape.stride == 1 {
                row.copy_from_slice(&image[start..start + row.len()]);
            } else {
                row.iter_mut().zip(image[start..].iter().step_by(shape.stride)).for_each(|(to, &from)| *to = from);
            }
        }
    }
}

/// The adjoint of [`im2col`]: adds each number of `columns` to the place in `image` it was read from.
pub fn col2im<T: Real>(shape: &Conv2dShape, columns: &[T], strip: &Range<usize>, image: &mut [T]) {
    let width = shape.output_width();
    for (tap, row) in taps(shape).zip(columns.chunks_exact(strip.len() * width)) {
        let inside = tap.inside(shape);
        for (y, row) in strip.clone().zip(row.chunks_exact(width)) {
            let Some(start) = tap.start(shape, y, inside.start) else { continue };
            let row = &row[inside.clone()];
            if shape.stride == 1 {
                image[start..start + row.len()].iter_mut().zip(row).for_each(|(to, &from)| *to += from);
            } else {
                image[start..].iter_mut().step_by(shape.stride).zip(row).for_each(|(to, &from)| *to += from);
            }
        }
    }
}

/// One place in the filter: a row of the matrix.
struct Tap {
    channel: usize,
    row: usize,
    column: usize,
}

fn taps(shape: &Conv2dShape) -> impl Iterator<Item = Tap> {
    let (channels, kernel) = (shape.group_in(), shape.kernel);
    (0..channels * kernel * kernel).map(move |i| Tap {
        channel: i / (kernel * kernel),
        row: i / kernel % kernel,
        column: i % kernel,
    })
}

impl Tap {
    /// The output columns whose window has this tap inside the image's width.
    fn inside(&self, shape: &Conv2dShape) -> Range<usize> {
        let first = shape.padding.saturating_sub(self.column).div_ceil(shape.stride);
        let end = (shape.width + shape.padding).saturating_sub(self.column).div_ceil(shape.stride).min(shape.output_width());
        first.min(end)..end
    }

    /// Where in the image the output column `first` of output row `y` reads; none where nothing of the row is inside.
    fn start(&self, shape: &Conv2dShape, y: usize, first: usize) -> Option<usize> {
        if self.inside(shape).is_empty() {
            return None;
        }
        let y = (y * shape.stride + self.row).checked_sub(shape.padding).filter(|&y| y < shape.height)?;
        Some((self.channel * shape.height + y) * shape.width + first * shape.stride + self.column - shape.padding)
    }
}
