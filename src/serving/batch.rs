//! One batch: which images that wait are evaluated together, and the evaluation itself, whichever thread does it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::engine::{Error, Reply, Request};
use super::input::Input;
use super::load::{Load, Share};
use super::served::{Fault, Served};
use crate::network::{Evaluation, Probe, Tap};

/// Who computes a batch. No bit of an answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hands {
    /// All threads together.
    All,
    /// The thread at hand alone, beside others with other images.
    Own,
}

/// One image in the queue.
#[derive(Debug)]
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

impl Request {
    /// How often the image is evaluated.
    pub(super) fn passes(&self) -> usize {
        self.probe.each.len().max(1)
    }

    /// Whether nobody waits any more.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// At the end, except for the canary: whoever waits for it asks whether the threads are well, not whether they have much to do.
pub(super) fn line_up(waiting: &mut VecDeque<Job>, job: Job) {
    if job.request.place.is_none() {
        waiting.push_front(job);
    } else {
        waiting.push_back(job);
    }
}

/// Takes the first live job, and with it the others that can be evaluated in the same pass. Those whose callers hung up are
/// dropped, those too late answered; the order of the rest stays. Empty where nobody was left.
pub(super) fn next_batch(waiting: &mut VecDeque<Job>, limit: usize) -> Vec<Job> {
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

/// Evaluates `batch`, which [`next_batch`] made, and answers each of its images.
pub(super) fn serve(batch: Vec<Job>, hands: Hands, load: &Load) {
    let started = Instant::now();
    let (served, images) = (Arc::clone(&batch[0].request.served), batch.len());
    // A probe is one image's alone, so only that one is evaluated several times.
    let passes = images * batch[0].request.passes();
    let working = load.work(&served, passes, hands);
    // Jobs share a batch only where no probe is set, so the first one's is everyone's.
    let outcome = evaluate(&served, hands, batch.iter().map(|job| &job.request.input), &batch[0].request.probe);
    let took = started.elapsed();
    drop(working);
    match outcome {
        Ok(evaluation) => {
            load.measured(&served, passes, took, hands);
            for (i, job) in batch.into_iter().enumerate() {
                let (probabilities, taps) = part(&evaluation, i, images);
                let familiarity = evaluation.familiarity.get(i).copied();
                let queued = started.duration_since(job.queued);
                let reply = Reply { probabilities, taps, familiarity, queued, inference: took, batch: passes };
                let judged = judged(&job.request, reply);
                job.answer(judged);
            }
        }
        Err(fault) => {
            load.failed(&fault);
            for job in batch {
                job.answer(Err(about(&served, &fault.reason)));
            }
        }
    }
}

/// Evaluates one image at once, on this thread.
pub(super) fn serve_here(request: &Request, hands: Hands, load: &Load) -> Result<Reply, Error> {
    if request.is_late() {
        return Err(Error::Late);
    }
    let started = Instant::now();
    let served = &request.served;
    let outcome = evaluate(served, hands, std::iter::once(&request.input), &request.probe);
    let took = started.elapsed();
    match outcome {
        Ok(Evaluation { probabilities, taps, familiarity }) => {
            load.measured(served, 1, took, hands);
            let (familiarity, queued) = (familiarity.first().copied(), Duration::ZERO);
            judged(request, Reply { probabilities, taps, familiarity, queued, inference: took, batch: 1 })
        }
        Err(fault) => {
            load.failed(&fault);
            Err(about(served, &fault.reason))
        }
    }
}

/// `reply`, if it is an answer and somebody waits for it still.
fn judged(request: &Request, reply: Reply) -> Result<Reply, Error> {
    if !reply.probabilities.iter().all(|p| p.is_finite()) {
        return Err(about(&request.served, "with this image, values leave the finite numbers"));
    }
    // The canary's answer counts once it was judged.
    if request.place.is_some() {
        request.served.answers();
    }
    if request.is_late() { Err(Error::Late) } else { Ok(reply) }
}

fn about(served: &Served, reason: &str) -> Error {
    Error::Failed(format!("{} version {}: {reason}", served.name, served.version))
}

fn evaluate<'a>(
    served: &Served,
    hands: Hands,
    images: impl Iterator<Item = &'a Input>,
    probe: &Probe,
) -> Result<Evaluation, Fault> {
    served.with(hands, |hand| {
        hand.images.clear();
        for image in images {
            image.normalize(&served.model.metadata().preprocessing, &mut hand.images)?;
        }
        let once = hand.images.len();
        for _ in 1..probe.each.len() {
            hand.images.extend_from_within(..once);
        }
        hand.evaluator.evaluate(&hand.images, probe)
    })
}

/// Image `i`'s part of the evaluation of `count`: its probabilities, and what its probe asked for.
fn part(evaluation: &Evaluation, i: usize, count: usize) -> (Vec<f32>, Vec<Tap>) {
    let part = |values: &[f32]| {
        let length = values.len() / count;
        values[i * length..(i + 1) * length].to_vec()
    };
    let taps = evaluation.taps.iter().map(|tap| Tap { layer: tap.layer, shape: tap.shape, values: part(&tap.values) });
    (part(&evaluation.probabilities), taps.collect())
}
