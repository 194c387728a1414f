//! A group of images on its way through a segment: where its values (or their gradients) are.

use std::ops::Range;

use super::program::{Memory, Place};
use crate::kernels::blocked::Maps;
use crate::kernels::stripes::Stripe;

/// Some images' values.
pub(super) struct Group<'a> {
    pub(super) memory: &'a Memory,
    /// Shapes of all values.
    pub(super) maps: &'a [Maps],
    /// The batch's memory, as far as it is these images'.
    pub(super) stripe: Stripe<'a>,
    /// The thread's.
    pub(super) scratch: &'a mut [f32],
    /// As the batch counts them.
    pub(super) images: Range<usize>,
}

impl Group<'_> {
    /// Whether there is such a value (a gradient may be nobody's need).
    pub(super) fn has(&self, value: usize) -> bool {
        self.memory.places[value].is_some()
    }

    /// A value, to be read or changed: one that there is.
    pub(super) fn get(&mut self, value: usize) -> &mut [f32] {
        let [value] = self.several([value]);
        value
    }

    /// One value to read and another to write.
    pub(super) fn pair(&mut self, read: usize, write: usize) -> (&[f32], &mut [f32]) {
        let [read, write] = self.several([read, write]);
        (read, write)
    }

    /// Several different values, all of which there are.
    pub(super) fn several<const N: usize>(&mut self, values: [usize; N]) -> [&mut [f32]; N] {
        let places = values.map(|value| self.memory.places[value].map(|place| (place, value)));
        let regions = places.map(|place| match place {
            Some((Place::Batch(region), _)) => Some(region),
            _ => None,
        });
        let count = self.images.len();
        let ranges = places.map(|place| match place {
            Some((Place::Thread(offset), value)) => Some(offset * count..(offset + self.maps[value].len()) * count),
            _ => None,
        });
        let mut own = cut(self.scratch, &ranges).into_iter();
        let mut shared = self.stripe.get(&self.images, regions).into_iter();
        std::array::from_fn(|at| match (own.next().flatten(), shared.next().flatten()) {
            (Some(value), _) | (None, Some(value)) => value,
            // Numbers computed from what is not there would be wrong ones.
            (None, None) => unreachable!("value {} has no place", values[at]),
        })
    }
}

/// Ranges of one slice that do not overlap.
pub(super) fn cut<'a, const N: usize>(slice: &'a mut [f32], ranges: &[Option<Range<usize>>; N]) -> [Option<&'a mut [f32]>; N] {
    let mut order: [usize; N] = std::array::from_fn(|at| at);
    order.sort_unstable_by_key(|&at| ranges[at].as_ref().map(|range| range.start));
    let mut cut = [const { None }; N];
    let (mut rest, mut first) = (slice, 0);
    for at in order {
        let Some(range) = &ranges[at] else { continue };
        assert!(first <= range.start, "places of values that live at one time lie apart");
        let (part, after) = std::mem::take(&mut rest)[range.start - first..].split_at_mut(range.len());
        (cut[at], rest, first) = (Some(part), after, range.end);
    }
    cut
}
