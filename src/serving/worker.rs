//! The model thread. It takes what waits, evaluates it as one batch, answers, and starts over. No timer: an idle engine adds no
//! wait, a busy one fills its batches by itself.

use std::collections::VecDeque;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use tokio::sync::oneshot;

use super::engine::{Error, Reply, Request};
use super::load::{Load, Share};
use super::served::Served;
use crate::network::{Evaluation, Tap};

/// One image in the queue.
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) queued: Instant,
    pub(super) reply: oneshot::Sender<Result<Reply, Error>>,
    /// Its share of the load; none for the canary.
    pub(super) share: Option<Share>,
}

impl Job {
    /// Frees the place before the answer is on its way: whoever has the answer may send the next image.
    pub(super) fn answer(self, answer: Result<Reply, Error>) {
        drop((self.request.place, self.share));
        // The caller may have hung up in the meantime.
        let _ = self.reply.send(answer);
    }

    fn joins(&self, first: &Self) -> bool {
        self.request.probe.is_empty() && Arc::ptr_eq(&self.request.served, &first.request.served)
    }
}

/// One image's probabilities, and what its probe asked for.
type Part = (Vec<f32>, Vec<Tap>);

/// State of the model thread.
pub(super) struct Worker {
    /// Images evaluated together, at most.
    batch: usize,
    load: Arc<Load>,
    /// Normalised images of the current batch; kept, so that a steady load allocates nothing.
    images: Vec<f32>,
}

impl Worker {
    pub(super) fn new(batch: usize, load: Arc<Load>) -> Self {
        Self { batch, load, images: Vec::new() }
    }

    /// Works until the engine is closed and nothing waits.
    pub(super) fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match jobs.recv() {
                    Ok(job) => waiting.push_back(job),
                    Err(mpsc::RecvError) => return,
                }
            }
            for job in jobs.try_iter() {
                line_up(&mut waiting, job);
            }
            let batch = next_batch(&mut waiting, self.batch);
            if !batch.is_empty() {
                self.serve(batch);
            }
        }
    }

    fn serve(&mut self, batch: Vec<Job>) {
        let started = Instant::now();
        let served = Arc::clone(&batch[0].request.served);
        let load = Arc::clone(&self.load);
        let working = load.work(&served, batch.len());
        let outcome = self.evaluate(&served, &batch);
        let took = started.elapsed();
        drop(working);
        let about = |reason: &str| Error::Failed(format!("{} version {}: {reason}", served.name, served.version));
        match outcome {
            Ok(parts) => {
                let images = batch.len();
                served.rate.measured(images, took);
                load.evaluating.measured(images, took);
                for (job, (probabilities, taps)) in batch.into_iter().zip(parts) {
                    if !probabilities.iter().all(|p| p.is_finite()) {
                        job.answer(Err(about("with this image, values leave the finite numbers")));
                        continue;
                    }
                    // The canary's answer counts once it was judged.
                    if job.request.place.is_some() {
                        served.answers();
                    }
                    let queued = started.duration_since(job.queued);
                    job.answer(Ok(Reply { probabilities, taps, queued, inference: took, batch: images }));
                }
            }
            Err(reason) => batch.into_iter().for_each(|job| job.answer(Err(about(&reason)))),
        }
    }

    /// Each image's part of the evaluation, in the batch's order.
    fn evaluate(&mut self, served: &Served, batch: &[Job]) -> Result<Vec<Part>, String> {
        let mut images = std::mem::take(&mut self.images);
        let (parts, images) = served.with(|evaluator| {
            images.clear();
            for job in batch {
                job.request.input.normalize(&served.model.metadata().preprocessing, &mut images)?;
            }
            // Jobs share a batch only where no probe is set, so the first one's is everyone's.
            let evaluation = evaluator.evaluate(&images, &batch[0].request.probe)?;
            Ok(((0..batch.len()).map(|i| share(&evaluation, i, batch.len())).collect(), images))
        })?;
        self.images = images;
        Ok(parts)
    }
}

/// At the end, except for the canary: whoever waits for it asks whether this thread is well, not whether it has much to do.
fn line_up(waiting: &mut VecDeque<Job>, job: Job) {
    if job.request.place.is_none() {
        waiting.push_front(job);
    } else {
        waiting.push_back(job);
    }
}

/// Takes the first live job, and with it the others that can be evaluated in the same pass. Those whose callers hung up are
/// dropped, those too late answered; the order of the rest stays. Empty where nobody was left.
fn next_batch(waiting: &mut VecDeque<Job>, limit: usize) -> Vec<Job> {
    let mut batch: Vec<Job> = Vec::new();
    let mut rest = VecDeque::new();
    let now = Instant::now();
    while let Some(job) = waiting.pop_front() {
        if job.reply.is_closed() {
            continue;
        }
        if job.request.deadline.is_some_and(|deadline| deadline <= now) {
            job.answer(Err(Error::Late));
            continue;
        }
        let fits = batch.first().is_none_or(|first| first.request.probe.is_empty() && job.joins(first));
        if fits && batch.len() < limit.max(1) {
            batch.push(job);
        } else {
            rest.push_back(job);
        }
    }
    *waiting = rest;
    batch
}

/// Image `i`'s part of a batch of `count`.
fn share(evaluation: &Evaluation, i: usize, count: usize) -> Part {
    let part = |values: &[f32]| {
        let length = values.len() / count;
        values[i * length..(i + 1) * length].to_vec()
    };
    let taps = evaluation.taps.iter().map(|tap| Tap { layer: tap.layer, shape: tap.shape, values: part(&tap.values) });
    (part(&evaluation.probabilities), taps.collect())
}

#[cfg(test)]
mod tests;
