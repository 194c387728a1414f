//! The model thread: it alone owns the evaluators. It takes what waits, evaluates it as one batch, answers, and starts over.
//! No timer: an idle engine adds no wait, a busy one fills its batches by itself.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use tokio::sync::oneshot;

use super::engine::{Error, Reply, Request, Settings, Speed};
use super::registry::Served;
use crate::network::{Evaluation, Evaluator, Tap};

/// Models kept on the device at once; the one asked for longest ago makes room.
const RESIDENT: usize = 4;

/// One image in the queue.
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) queued: Instant,
    pub(super) reply: oneshot::Sender<Result<Reply, Error>>,
}

impl Job {
    /// Frees the place before the answer is on its way: whoever has the answer may send the next image.
    fn answer(self, answer: Result<Reply, Error>) {
        drop(self.request.place);
        // The caller may have hung up in the meantime.
        let _ = self.reply.send(answer);
    }

    fn joins(&self, first: &Self) -> bool {
        self.request.probe.is_empty() && Arc::ptr_eq(&self.request.served, &first.request.served)
    }
}

/// State of the model thread.
pub(super) struct Worker {
    settings: Settings,
    speed: Arc<Speed>,
    /// Most recently used last.
    resident: Vec<(Arc<Served>, Evaluator)>,
    /// Normalised images of the current batch; kept, so that a steady load allocates nothing.
    images: Vec<f32>,
}

impl Worker {
    pub(super) fn new(settings: Settings, speed: Arc<Speed>) -> Self {
        Self { settings, speed, resident: Vec::new(), images: Vec::new() }
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
            waiting.extend(jobs.try_iter());
            let batch = next_batch(&mut waiting, self.settings.batch);
            if !batch.is_empty() {
                self.serve(batch);
            }
        }
    }

    fn serve(&mut self, batch: Vec<Job>) {
        let started = Instant::now();
        let served = Arc::clone(&batch[0].request.served);
        // A panic may leave the evaluator half-way: it is thrown away below, everything else is plain data.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.evaluate(&served, &batch)));
        let outcome = outcome.unwrap_or_else(|panic| Err(format!("it panicked: {}", panic_text(panic.as_ref()))));
        let took = started.elapsed();
        match outcome {
            Ok(evaluation) => {
                self.speed.measured(batch.len(), took);
                let count = batch.len();
                for (i, job) in batch.into_iter().enumerate() {
                    let queued = started.duration_since(job.queued);
                    let (probabilities, taps) = share(&evaluation, i, count);
                    job.answer(Ok(Reply { probabilities, taps, queued, inference: took }));
                }
            }
            Err(reason) => {
                self.resident.retain(|(resident, _)| !Arc::ptr_eq(resident, &served));
                for job in batch {
                    job.answer(Err(Error::Failed(format!("{} version {}: {reason}", served.name, served.version))));
                }
            }
        }
    }

    fn evaluate(&mut self, served: &Arc<Served>, batch: &[Job]) -> Result<Evaluation, String> {
        let mut images = std::mem::take(&mut self.images);
        images.clear();
        for job in batch {
            served.model.metadata().preprocessing.normalize(&job.request.pixels, &mut images).map_err(|e| e.to_string())?;
        }
        // Jobs share a batch only where no probe is set, so the first one's is everyone's.
        let probe = &batch[0].request.probe;
        let evaluation = self.resident(served)?.evaluate(&images, probe).map_err(|e| format!("{e}: {e:?}"))?;
        self.images = images;
        Ok(evaluation)
    }

    fn resident(&mut self, served: &Arc<Served>) -> Result<&mut Evaluator, String> {
        let found = self.resident.iter().position(|(resident, _)| Arc::ptr_eq(resident, served));
        let entry = if let Some(at) = found {
            self.resident.remove(at)
        } else {
            if self.resident.len() == RESIDENT {
                self.resident.remove(0);
            }
            let evaluator = Evaluator::new(&served.model, &self.settings.device).map_err(|e| format!("{e}: {e:?}"))?;
            (Arc::clone(served), evaluator)
        };
        self.resident.push(entry);
        self.resident.last_mut().map(|(_, evaluator)| evaluator).ok_or_else(|| "no evaluator is resident".into())
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
fn share(evaluation: &Evaluation, i: usize, count: usize) -> (Vec<f32>, Vec<Tap>) {
    let part = |values: &[f32]| {
        let length = values.len() / count;
        values[i * length..(i + 1) * length].to_vec()
    };
    let taps = evaluation.taps.iter().map(|tap| Tap { layer: tap.layer, shape: tap.shape, values: part(&tap.values) });
    (part(&evaluation.probabilities), taps.collect())
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use candle_core::Device;

    use super::*;
    use crate::network::{Architecture, Mask, Metadata, Model, Preprocessing, Probe, infer, init, model};
    use crate::picture::{Channels, Dimensions, Pixels};
    use crate::serving::Engine;

    /// Two pixels in, two classes out.
    fn served() -> Arc<Served> {
        let layers = "[[layers]]\nname = 'flat'\nkind = 'flatten'\n[[layers]]\nname = 'fc'\nkind = 'linear'\nout_features = 2";
        let text = format!("name = 'tiny'\ninput = {{ channels = 3, height = 1, width = 2 }}\n{layers}");
        let architecture = Architecture::from_toml(&text).unwrap();
        let weights = init::weights(&infer(&architecture).unwrap(), init::Init::Pytorch, 1);
        let metadata = Metadata {
            format: model::FORMAT,
            name: "tiny".into(),
            preprocessing: Preprocessing::unit(architecture.input),
            architecture,
            classes: vec!["a".into(), "b".into()],
            accuracy: None,
            recipe: None,
            created_by: model::created_by(),
        };
        let model = Model::new(metadata, weights.iter().cloned().collect()).unwrap();
        Arc::new(Served { name: "tiny".into(), version: 1, model })
    }

    fn pixels(width: usize, value: u8) -> Pixels {
        let dimensions = Dimensions { height: 1, width, channels: Channels::Rgb };
        Pixels::new(dimensions, vec![value; dimensions.samples()]).unwrap()
    }

    fn request(served: &Arc<Served>) -> Request {
        Request { served: Arc::clone(served), pixels: pixels(2, 9), probe: Probe::default(), deadline: None, place: None }
    }

    type Answer = oneshot::Receiver<Result<Reply, Error>>;

    fn job(request: Request) -> (Job, Answer) {
        let (reply, answer) = oneshot::channel();
        (Job { request, queued: Instant::now(), reply }, answer)
    }

    #[test]
    fn a_batch_is_what_waits_for_the_same_model_without_a_probe() {
        let (one, other) = (served(), served());
        let probe = Probe { masks: vec![Mask { layer: 0, channels: vec![0] }], ..Probe::default() };
        let probed = Request { probe, ..request(&one) };
        let requests = [request(&one), request(&other), request(&one), probed, request(&one), request(&one)];
        let (mut waiting, _answers): (VecDeque<Job>, Vec<Answer>) = requests.into_iter().map(job).unzip();
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            let batch = next_batch(&mut waiting, 3);
            assert!(batch.iter().all(|job| Arc::ptr_eq(&job.request.served, &batch[0].request.served)));
            sizes.push(batch.len());
        }
        assert_eq!(sizes, [3, 1, 1, 1], "three of `one`, then `other`, the probed alone, and the last");
    }

    #[test]
    fn who_hung_up_is_left_out_and_who_is_late_is_told() {
        let model = served();
        let late = Request { deadline: Some(Instant::now()), ..request(&model) };
        let early = Request { deadline: Some(Instant::now() + Duration::from_secs(60)), ..request(&model) };
        let ((gone, answer), (late, mut told), (early, _kept)) = (job(request(&model)), job(late), job(early));
        drop(answer);
        let mut waiting = VecDeque::from([gone, late, early]);
        assert_eq!(next_batch(&mut waiting, 8).len(), 1);
        assert!(matches!(told.try_recv(), Ok(Err(Error::Late))));
        assert!(waiting.is_empty() && next_batch(&mut waiting, 8).is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_answered_and_the_thread_goes_on() {
        let model = served();
        let engine = Engine::start(Settings { device: Device::Cpu, places: 1, batch: 4 }).unwrap();
        for _ in 0..2 {
            // No image of this model.
            let wrong = Request { pixels: pixels(3, 0), place: engine.admit(1).unwrap().pop(), ..request(&model) };
            assert!(matches!(engine.evaluate(wrong).await, Err(Error::Failed(_))));
            let right = Request { place: engine.admit(1).unwrap().pop(), ..request(&model) };
            let reply = engine.evaluate(right).await.unwrap();
            assert!((reply.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        engine.close();
        assert!(matches!(engine.evaluate(request(&model)).await, Err(Error::Closed)));
    }
}
