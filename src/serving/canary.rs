//! Whether answers can be trusted. A fixed image, the canary, is evaluated when a model is loaded, and its answer held to that of the
//! reference; and again when nobody has had an answer of it for a while: then it goes through the engine, takes no place and waits behind nobody, so that a full
//! queue does not make a busy server look ill.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::engine::{Answer, Engine, Error, Reply, Request};
use super::models::Models;
use super::served::Served;
use crate::network::{self, Model, Probe};
use crate::picture::{Dimensions, Pixels};

/// A caller who was answered this recently is as good as a canary.
const LATELY: Duration = Duration::from_secs(3);
/// How often it is asked unasked: so that the answer of the time before still counts.
const EVERY: Duration = Duration::from_secs(2);
/// How long a bad verdict stands: probes of many balancers cost one image.
const STANDS: Duration = Duration::from_secs(1);
/// How long a busy engine is waited for. Probes do not wait for long, and a batch may take its time.
const GLANCE: Duration = Duration::from_millis(300);
/// A server that is not busy and needs longer for one image is not ready for more.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far a probability may be from what the reference gave when the model was loaded. A graphics card multiplies in fewer bits.
const TOLERANCE: f32 = 1e-3;

/// Asks the engine, and remembers a bad answer for a moment.
#[derive(Debug, Default)]
pub struct Canary {
    state: tokio::sync::Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// On its way through the engine.
    flight: Option<(Arc<Served>, Answer)>,
    /// The last verdict on a model, where it was bad.
    bad: Option<(Instant, Weak<Served>, String)>,
}

impl Canary {
    /// Whether the default model is loaded and answers.
    ///
    /// # Errors
    /// Why the server is not ready, in a sentence for people.
    pub async fn check(&self, models: &Arc<Models>, engine: &Engine) -> Result<(), String> {
        let late = |_| format!("no answer within {} s", PATIENCE.as_secs());
        tokio::time::timeout(PATIENCE, self.look(models, engine)).await.map_err(late)?
    }

    /// Asks every few seconds, for ever: an engine that nobody asks for images is known to be well when somebody does, and one
    /// that is not is in the log.
    pub async fn watch(&self, models: &Arc<Models>, engine: &Engine) {
        let mut well = true;
        loop {
            tokio::time::sleep(EVERY).await;
            let found = self.check(models, engine).await;
            match &found {
                Err(reason) if well => tracing::error!(reason, "the server is not ready"),
                Ok(()) if !well => tracing::info!("the server is ready again"),
                _ => {}
            }
            well = found.is_ok();
        }
    }

    async fn look(&self, models: &Arc<Models>, engine: &Engine) -> Result<(), String> {
        let served = models.find(None, None).await.map_err(|e| e.to_string())?;
        if served.answered_within(LATELY) {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        if let Some((at, of, reason)) = &state.bad
            && at.elapsed() < STANDS
            && std::ptr::eq(of.as_ptr(), Arc::as_ptr(&served))
        {
            return Err(reason.clone());
        }
        // Another probe's canary, which came back while this one waited for its turn.
        if served.answered_within(LATELY) {
            return Ok(());
        }
        // One that sings for a model that is exchanged by now says nothing about this one.
        let flight = state.flight.take().filter(|(of, _)| Arc::ptr_eq(of, &served));
        let (_, mut answer) = flight.unwrap_or_else(|| (Arc::clone(&served), engine.submit(request(&served))));
        loop {
            match tokio::time::timeout(GLANCE, &mut answer).await {
                Ok(answered) => {
                    let outcome = judge(&served, answered.unwrap_or(Err(Error::Closed)));
                    state.bad = outcome.as_ref().err().map(|reason| (Instant::now(), Arc::downgrade(&served), reason.clone()));
                    return outcome;
                }
                // It is busy with what was asked of it before, and its next batch is the canary's.
                Err(_) if engine.at_work() => {
                    state.flight = Some((served, answer));
                    return Ok(());
                }
                Err(_) => {}
            }
        }
    }
}

fn request(served: &Arc<Served>) -> Request {
    Request {
        served: Arc::clone(served),
        input: image(served.dimensions()).into(),
        probe: Probe::default(),
        deadline: None,
        place: None,
    }
}

fn judge(served: &Served, answered: Result<Reply, Error>) -> Result<(), String> {
    let reply = answered.map_err(|e| {
        tracing::error!(error = %e, "the canary image failed");
        "the model cannot be evaluated: see the log".to_owned()
    })?;
    if !agree(&reply.probabilities, &served.canary) {
        let (now, then) = (&reply.probabilities, &served.canary);
        tracing::error!(model = served.name, ?now, ?then, "the canary image gets another answer than when the model was loaded");
        return Err(format!("the model `{}` answers otherwise than when it was loaded", served.name));
    }
    served.answers();
    Ok(())
}

/// Whether two answers to the canary are the same.
pub(super) fn agree(one: &[f32], other: &[f32]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| (one - other).abs() <= TOLERANCE)
}

/// Every value there is, over and over.
fn image(dimensions: Dimensions) -> Pixels {
    Pixels::from_fn(dimensions, |i| (i % 256) as u8)
}

/// The canary as `model` takes it.
pub(super) fn input(model: &Model) -> Result<Vec<f32>, network::Error> {
    let preprocessing = &model.metadata().preprocessing;
    let mut values = Vec::new();
    preprocessing.normalize(&image(preprocessing.target().dimensions()), &mut values)?;
    Ok(values)
}

/// Whether `probabilities` are a distribution over so many classes.
///
/// # Errors
/// In what they are none, for the log.
pub(super) fn distribution(probabilities: &[f32], classes: usize) -> Result<(), String> {
    if probabilities.len() != classes {
        return Err(format!("its canary image gets {} probabilities for {classes} classes", probabilities.len()));
    }
    let sum: f32 = probabilities.iter().sum();
    if probabilities.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < 1e-3 {
        return Ok(());
    }
    Err("its canary image gets no probabilities: with these weights, values leave the finite numbers on the way".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::engine::{Place, Settings};
    use crate::serving::testing::{Gate, models, prepared, small, tiny};
    use crate::{checkpoint, serving::testing};

    fn ask(served: &Arc<Served>, place: Place) -> Request {
        Request { place: Some(place), ..request(served) }
    }

    #[tokio::test]
    async fn a_queue_full_of_slow_work_is_no_illness() {
        let folder = tempfile::tempdir().unwrap();
        testing::write(folder.path(), "own/1", &tiny(1));
        let (models, engine) = (models(folder.path(), "own"), Engine::one_thread(Settings { places: 8, batch: 1 }).unwrap());
        let canary = Canary::default();
        canary.check(&models, &engine).await.unwrap();
        let own = models.find(None, None).await.unwrap();
        assert!(own.answered_within(LATELY), "the canary's answer counts for a while");

        // Another model holds the thread for as long as this test likes, and the default one had no answer for long.
        let other = prepared(small(1));
        let gate = Gate::closed(&other);
        let answers: Vec<Answer> = engine.admit(8).unwrap().into_iter().map(|place| engine.submit(ask(&other, place))).collect();
        while !engine.at_work() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        own.never_answered();
        assert!(engine.admit(1).is_err());
        for _ in 0..2 {
            canary.check(&models, &engine).await.unwrap();
        }
        assert!(!own.answered_within(LATELY), "it did not wait for the thread");
        gate.open();
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        canary.check(&models, &engine).await.unwrap();
        assert!(own.answered_within(LATELY), "its canary came back");
        engine.close();
    }

    #[tokio::test]
    async fn an_engine_that_does_not_answer_is_an_illness_that_a_caller_s_answer_heals() {
        let folder = tempfile::tempdir().unwrap();
        testing::write(folder.path(), "own/1", &tiny(1));
        let models = models(folder.path(), "own");
        let closed = Engine::one_thread(Settings { places: 1, batch: 1 }).unwrap();
        closed.close();
        let canary = Canary::default();
        let reason = canary.check(&models, &closed).await.unwrap_err();
        assert!(reason.contains("see the log"), "{reason}");
        let engine = Engine::one_thread(Settings { places: 1, batch: 1 }).unwrap();
        assert_eq!(canary.check(&models, &engine).await, Err(reason), "a bad verdict stands for a moment");
        let own = models.find(None, None).await.unwrap();
        let place = engine.admit(1).unwrap().remove(0);
        engine.evaluate(ask(&own, place)).await.unwrap();
        canary.check(&models, &engine).await.unwrap();
        engine.close();
    }

    #[tokio::test]
    async fn an_idle_engine_is_asked_unasked() {
        let folder = tempfile::tempdir().unwrap();
        testing::write(folder.path(), "own/1", &tiny(1));
        let (models, engine) = (models(folder.path(), "own"), Engine::one_thread(Settings { places: 1, batch: 1 }).unwrap());
        let (canary, own) = (Canary::default(), models.find(None, None).await.unwrap());
        let answered = async {
            while !own.answered_within(LATELY) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = canary.watch(&models, &engine) => {}
            in_time = tokio::time::timeout(Duration::from_secs(60), answered) => in_time.expect("an answer"),
        }
        engine.close();
    }

    #[test]
    fn another_answer_than_the_reference_s_is_an_illness() {
        let served = prepared(tiny(1));
        let reply = |probabilities| {
            let (queued, inference) = (Duration::ZERO, Duration::ZERO);
            Ok(Reply { probabilities, taps: Vec::new(), familiarity: None, queued, inference, batch: 1 })
        };
        judge(&served, reply(served.canary.clone())).unwrap();
        for wrong in [vec![f32::NAN; 2], vec![served.canary[1], served.canary[0]], vec![1.0]] {
            assert!(judge(&served, reply(wrong)).unwrap_err().contains("answers otherwise"));
        }
    }

    #[test]
    fn a_canary_needs_a_probability_for_every_class() {
        assert!(distribution(&[0.25, 0.75], 2).is_ok());
        for wrong in [&[0.5, f32::NAN][..], &[0.5, 0.75], &[1.0], &[1.5, -0.5]] {
            assert!(distribution(wrong, 2).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_model_whose_canary_fails_never_answers() {
        let folder = tempfile::tempdir().unwrap();
        testing::write(folder.path(), "own/1", &testing::overflowing());
        let models = models(folder.path(), "own");
        let engine = Engine::one_thread(Settings { places: 1, batch: 1 }).unwrap();
        let reason = Canary::default().check(&models, &engine).await.unwrap_err();
        assert!(reason.contains("`own`") && reason.contains("log"), "{reason}");
        checkpoint::save(&folder.path().join("own/2.safetensors"), &tiny(2)).unwrap();
        Canary::default().check(&models, &engine).await.unwrap();
        engine.close();
    }
}
