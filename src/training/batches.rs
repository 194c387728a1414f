//! Batches, made ready while the learner is busy with the ones before: order, augmentation, normalisation.
//!
//! What a batch holds follows from the seed, the epoch and its place alone, not from which thread was faster.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

use super::error::Error;
use super::recipe::Recipe;
use crate::dataset::{Augmenter, TrainSet, mixup, shuffle};
use crate::network::{Mix, Preprocessing};
use crate::picture::Pixels;

/// Batches that wait for the learner.
const AHEAD: usize = 3;

/// A batch, ready for [`crate::network::Batch`].
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// image × channel × height × width.
    pub(super) images: Vec<f32>,
    /// Class of each image.
    pub(super) labels: Vec<u32>,
    /// Classes of what they were mixed with, and what they kept of themselves.
    mixed: Option<(Vec<u32>, f64)>,
}

impl Prepared {
    /// What the images were mixed with, where they were.
    pub(super) fn mix(&self) -> Option<Mix<'_>> {
        self.mixed.as_ref().map(|(labels, share)| Mix { labels, share: *share })
    }
}

/// Where an epoch's batches come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) images: &'a TrainSet,
    pub(super) preprocessing: &'a Preprocessing,
    pub(super) recipe: &'a Recipe,
    /// From 1.
    pub(super) epoch: u32,
}

/// An epoch's batches, in order.
pub(super) struct Batches {
    ready: Receiver<Prepared>,
    used: Sender<Prepared>,
}

impl Batches {
    /// The next batch; none after the last.
    pub(super) fn next(&self) -> Option<Prepared> {
        self.ready.recv().ok()
    }

    /// Gives a batch's memory back.
    pub(super) fn reuse(&self, batch: Prepared) {
        // The last ones come back after the other side is done.
        let _ = self.used.send(batch);
    }
}

impl<'a> Source<'a> {
    /// Starts to make batches in a thread of `scope`, which ends with the epoch or when [`Batches`] are dropped; an error where the
    /// images are not what the network takes.
    pub(super) fn start<'scope>(self, scope: &'scope Scope<'scope, '_>) -> Result<Batches, Error>
    where
        'a: 'scope,
    {
        self.preprocessing.fits(self.images.dimensions())?;
        let (to_learner, ready) = sync_channel(AHEAD);
        let (used, from_learner) = channel();
        scope.spawn(move || self.make(&to_learner, &from_learner));
        Ok(Batches { ready, used })
    }

    fn make(self, ready: &SyncSender<Prepared>, used: &Receiver<Prepared>) {
        let Recipe { seed, augmentation, batch_size, mixup, .. } = *self.recipe;
        let (epoch, input) = (u64::from(self.epoch), self.preprocessing);
        let dimensions = self.images.dimensions();
        let shape = [dimensions.height, dimensions.width, dimensions.channels.count()];
        let augmenter = Augmenter::new(augmentation, seed, shape).covering_with(&input.mean);
        let mut augmented = vec![0; dimensions.samples()];
        for (step, indices) in (0..).zip(shuffle::order(seed, epoch, self.images.len()).chunks(batch_size)) {
            let mut batch = used.try_recv().unwrap_or_default();
            batch.images.clear();
            batch.labels.clear();
            for &index in indices {
                augmenter.apply(epoch, u64::from(index), self.images.pixels(index as usize), &mut augmented);
                let pixels = Pixels::new(dimensions, &augmented);
                // `start` has asked whether they fit.
                if pixels.is_none_or(|pixels| input.normalize(&pixels, &mut batch.images).is_err()) {
                    return;
                }
                batch.labels.push(self.images.label(index as usize));
            }
            batch.mixed = (mixup > 0.0).then(|| {
                let share = mixup::share(mixup, seed, [epoch, step]);
                (mixup::mix(share, &mut batch.images, &batch.labels), share)
            });
            if ready.send(batch).is_err() {
                return;
            }
        }
    }
}
