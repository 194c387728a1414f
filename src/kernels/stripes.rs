//! A batch's memory, shared out image by image.
//!
//! A memory holds regions side by side; a region holds one value of every image of the batch, image after image. A task is given
//! a run of images and sees their part of every region: several slices, where [`super::team::Chunks`] gives one. It does not know
//! what the regions mean.

use std::marker::PhantomData;
use std::ops::Range;

use super::team::Parts;

/// Where a value lies in a batch's memory: in floats an image, so that it holds for batches of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region {
    /// Floats an image before it.
    pub offset: usize,
    /// Floats an image in it.
    pub len: usize,
}

impl Region {
    /// Where the values of `images` lie in the memory of a batch of `batch` images.
    pub fn of(self, batch: usize, images: &Range<usize>) -> Range<usize> {
        let start = self.offset * batch;
        start + images.start * self.len..start + images.end * self.len
    }
}

/// How a batch is shared out.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// Images in all.
    pub batch: usize,
    /// Images of one task; the last has those that are left.
    pub images: usize,
}

/// Memory in regions, for tasks that each have images of their own.
pub struct Stripes<'a> {
    start: *mut f32,
    regions: &'a [Region],
    share: Share,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: shared, it only gives out exclusive references to disjoint floats.
unsafe impl Sync for Stripes<'_> {}

impl<'a> Stripes<'a> {
    /// `regions` (ascending, none inside another) of `memory`.
    pub fn new(memory: &'a mut [f32], regions: &'a [Region], share: Share) -> Self {
        assert!(share.images > 0, "a task has images");
        let after = |end: usize, region: &Region| (region.offset >= end).then(|| region.offset.checked_add(region.len))?;
        let end = regions.iter().try_fold(0, after).and_then(|end| end.checked_mul(share.batch));
        assert!(end.is_some_and(|end| end <= memory.len()), "regions lie apart, inside the memory");
        Self { start: memory.as_mut_ptr(), regions, share, memory: PhantomData }
    }

    /// One task's part, while no other is in use.
    pub fn stripe(&mut self, task: usize) -> Stripe<'_> {
        assert!(task < self.count(), "there is such a task");
        // SAFETY: the task is there, and no other value made of it can be alive while this is borrowed exclusively.
        unsafe { self.part(task) }
    }
}

// SAFETY: a part sees of each region its own images only, and regions lie apart.
unsafe impl<'a> Parts for Stripes<'a> {
    type Part = Stripe<'a>;

    fn count(&self) -> usize {
        self.share.batch.div_ceil(self.share.images)
    }

    unsafe fn part(&self, index: usize) -> Stripe<'a> {
        let Share { batch, images } = self.share;
        let first = index * images;
        let images = first..batch.min(first + images);
        Stripe { start: self.start, regions: self.regions, batch, images, memory: PhantomData }
    }
}

/// What one task sees: its images' part of every region.
pub struct Stripe<'a> {
    start: *mut f32,
    regions: &'a [Region],
    batch: usize,
    images: Range<usize>,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is an exclusive borrow of floats.
unsafe impl Send for Stripe<'_> {}

impl Stripe<'_> {
    /// The images it sees, as the batch counts them.
    pub fn images(&self) -> Range<usize> {
        self.images.clone()
    }

    /// The same stripe, for a while.
    pub fn reborrow(&mut self) -> Stripe<'_> {
        Stripe { start: self.start, regions: self.regions, batch: self.batch, images: self.images.clone(), memory: PhantomData }
    }

    /// The values of some of these images, in each of the regions that are named.
    ///
    /// # Panics
    /// Where a region is not one of this memory's or is named twice, or an image is not one of the stripe's.
    pub fn get<const N: usize>(&mut self, images: &Range<usize>, regions: [Option<Region>; N]) -> [Option<&mut [f32]>; N] {
        assert!(self.images.start <= images.start && images.end <= self.images.end, "images of this stripe");
        for (at, region) in regions.iter().enumerate() {
            let Some(known) = region else { continue };
            assert!(self.regions.binary_search(known).is_ok(), "a region of this memory");
            assert!(!regions[..at].contains(region), "each region once");
        }
        regions.map(|region| {
            let range = region?.of(self.batch, images);
            // SAFETY: the region is one of those that were checked to lie inside the memory, and the images are of the batch;
            // regions lie apart, each is named once, and other stripes have other images. The borrow ends with that of `self`.
            Some(unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Team;

    const REGIONS: [Region; 3] = [Region { offset: 0, len: 2 }, Region { offset: 2, len: 3 }, Region { offset: 6, len: 1 }];

    #[test]
    fn every_task_sees_its_images_and_nothing_else() {
        for (batch, images, threads) in [(1, 1, 1), (7, 3, 2), (8, 2, 3), (5, 9, 2)] {
            let mut memory = vec![0.0; 7 * batch];
            let stripes = Stripes::new(&mut memory, &REGIONS, Share { batch, images });
            Team::new(threads).each(stripes, |task, mut stripe| {
                let own = stripe.images();
                assert_eq!(own.start, task * images);
                for image in own {
                    let slices = stripe.get(&(image..image + 1), REGIONS.map(Some));
                    slices.into_iter().flatten().for_each(|slice| slice.iter_mut().for_each(|x| *x += 1.0 + image as f32));
                }
            });
            for (region, at) in REGIONS.iter().zip([0, 1, 2]) {
                let values = &memory[region.of(batch, &(0..batch))];
                let expected = (0..batch).flat_map(|image| vec![1.0 + image as f32; region.len]);
                assert_eq!(values, expected.collect::<Vec<_>>(), "region {at}");
            }
            assert!(memory[5 * batch..6 * batch].iter().all(|&x| x == 0.0), "between regions nothing is touched");
        }
    }

    #[test]
    fn what_is_not_apart_or_not_there_is_refused() {
        let refused = |work: &dyn Fn(&mut [f32])| {
            let mut memory = vec![0.0; 70];
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut memory))).is_err()
        };
        let share = Share { batch: 10, images: 4 };
        let [a, b, c] = REGIONS;
        let made = |memory: &mut [f32], regions: &[Region], share| {
            let _ = Stripes::new(memory, regions, share);
        };
        assert!(refused(&|memory| made(memory, &[a, Region { offset: 1, len: 1 }], share)), "overlapping");
        assert!(refused(&|memory| made(memory, &[c], Share { batch: 11, ..share })), "outside");
        assert!(refused(&|memory| made(memory, &[Region { offset: usize::MAX, len: 1 }], share)), "wrapping");
        let get = |memory: &mut [f32], images: Range<usize>, regions: [Option<Region>; 2]| {
            let _ = Stripes::new(memory, &[a, b], share).stripe(1).get(&images, regions);
        };
        assert!(!refused(&|memory| get(memory, 4..8, [Some(a), Some(b)])));
        assert!(refused(&|memory| get(memory, 3..5, [Some(a), None])), "another's images");
        assert!(refused(&|memory| get(memory, 4..5, [Some(a), Some(a)])), "twice");
        assert!(refused(&|memory| get(memory, 4..5, [Some(c), None])), "unknown");
    }
}
