//! Batches through the engine. A gate holds the model thread until everything that is to share a batch waits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::*;
use crate::network::{Mask, Probe};
use crate::picture::{Dimensions, Pixels};
use crate::serving::batch::{Hands, Job, line_up, next_batch};
use crate::serving::engine::{Answer, Engine, Error, Reply, Request, Settings};
use crate::serving::testing::{Gate, image, job, prepared, request, served, small, tiny};

fn placed(engine: &Engine, request: Request) -> Request {
    Request { place: engine.admit(1).unwrap().pop(), ..request }
}

fn bits(reply: &Reply) -> Vec<u32> {
    reply.probabilities.iter().map(|p| p.to_bits()).collect()
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

#[test]
fn the_canary_waits_behind_nobody() {
    let engine = Engine::one_thread(Settings { places: 3, batch: 1 }).unwrap();
    let model = served();
    let mut waiting = VecDeque::new();
    for _ in 0..3 {
        line_up(&mut waiting, job(placed(&engine, request(&model))).0);
    }
    let (canary, _answer) = job(request(&served()));
    line_up(&mut waiting, canary);
    assert!(waiting[0].request.place.is_none() && waiting.len() == 4);
    engine.close();
}

#[tokio::test]
async fn company_changes_no_bit_of_an_answer() {
    let model = prepared(small(3));
    let engine = Engine::one_thread(Settings { places: 64, batch: 64 }).unwrap();
    let mut alone = Vec::new();
    for seed in 0..40 {
        let reply = engine.evaluate(placed(&engine, image(&model, seed))).await.unwrap();
        assert_eq!(reply.batch, 1);
        alone.push(bits(&reply));
    }
    assert!(alone.windows(2).all(|pair| pair[0] != pair[1]), "images the test can tell apart");
    for company in [2, 5, 16, 33, 40] {
        let gate = Gate::closed(&model);
        let first = engine.submit(placed(&engine, image(&model, 0)));
        until_at_work(&engine).await;
        let answers: Vec<Answer> = (0..company).map(|seed| engine.submit(placed(&engine, image(&model, seed)))).collect();
        gate.open();
        assert_eq!(bits(&first.await.unwrap().unwrap()), alone[0]);
        for (seed, answer) in answers.into_iter().enumerate() {
            let reply = answer.await.unwrap().unwrap();
            assert_eq!(reply.batch as u64, company);
            assert_eq!(bits(&reply), alone[seed], "image {seed} in a company of {company}");
        }
    }
    engine.close();
}

/// Waits until the model thread has taken a batch; a gate holds it there.
async fn until_at_work(engine: &Engine) {
    while !engine.at_work() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn who_hangs_up_frees_its_place_and_takes_nothing_from_the_others() {
    let model = prepared(small(4));
    let engine = Engine::one_thread(Settings { places: 17, batch: 32 }).unwrap();
    let mut alone = Vec::new();
    for seed in 0..16 {
        alone.push(bits(&engine.evaluate(placed(&engine, image(&model, seed))).await.unwrap()));
    }
    let gate = Gate::closed(&model);
    let first = engine.submit(placed(&engine, request(&model)));
    until_at_work(&engine).await;
    let mut answers: Vec<Option<Answer>> = (0..16).map(|seed| Some(engine.submit(placed(&engine, image(&model, seed))))).collect();
    assert_eq!(engine.under_way(), 17);
    answers.iter_mut().step_by(2).for_each(|answer| drop(answer.take()));
    gate.open();
    first.await.unwrap().unwrap();
    for (seed, answer) in answers.into_iter().enumerate() {
        if let Some(answer) = answer {
            let reply = answer.await.unwrap().unwrap();
            assert_eq!((reply.batch, bits(&reply)), (8, alone[seed].clone()));
        }
    }
    engine.idle().await;
    assert_eq!(engine.under_way(), 0);
    engine.close();
}

#[tokio::test]
async fn who_is_late_is_told_so_and_its_place_is_free() {
    let model = served();
    let engine = Engine::one_thread(Settings { places: 1, batch: 4 }).unwrap();
    for _ in 0..2 {
        let late = Request { deadline: Some(Instant::now()), ..placed(&engine, request(&model)) };
        assert!(matches!(engine.evaluate(late).await, Err(Error::Late)));
    }
    engine.evaluate(placed(&engine, request(&model))).await.unwrap();
    engine.close();
}

#[tokio::test]
async fn a_panic_is_answered_and_the_thread_goes_on_with_the_others() {
    let model = served();
    let engine = Engine::one_thread(Settings { places: 3, batch: 4 }).unwrap();
    let expected = bits(&engine.evaluate(placed(&engine, request(&model))).await.unwrap());
    for _ in 0..2 {
        let gate = Gate::closed(&model);
        // A layer that is not there: whoever let it through is at fault, and is no reason for others to suffer.
        let probe = Probe { taps: vec![99], ..Probe::default() };
        let broken = engine.submit(Request { probe, ..placed(&engine, request(&model)) });
        let sound = [(); 2].map(|()| engine.submit(placed(&engine, request(&model))));
        gate.open();
        let Err(Error::Failed(reason)) = broken.await.unwrap() else { panic!("no failure") };
        assert!(reason.starts_with("tiny version 1: it panicked"), "{reason}");
        for answer in sound {
            assert_eq!(bits(&answer.await.unwrap().unwrap()), expected);
        }
    }
    assert_eq!(engine.replaced(), 2, "each evaluator that panicked has another in its place");
    engine.close();
    assert!(matches!(engine.evaluate(request(&model)).await, Err(Error::Closed)));
}

#[tokio::test]
async fn an_image_of_another_size_fails_alone() {
    let model = served();
    let engine = Engine::one_thread(Settings { places: 3, batch: 4 }).unwrap();
    let gate = Gate::closed(&model);
    let right = engine.submit(placed(&engine, request(&model)));
    let larger = Dimensions { width: 3, ..model.dimensions() };
    let wrong = engine.submit(Request { input: Pixels::from_fn(larger, |_| 0).into(), ..placed(&engine, request(&model)) });
    let also = engine.submit(placed(&engine, request(&model)));
    gate.open();
    assert!(matches!(wrong.await.unwrap(), Err(Error::Failed(_))));
    assert!(right.await.unwrap().is_ok() && also.await.unwrap().is_ok());
    assert_eq!(engine.under_way(), 0);
    engine.close();
}

#[tokio::test]
async fn what_leaves_the_finite_numbers_is_no_answer() {
    // The canary's few dark pixels pass; six bright ones give ∞ for both classes.
    let sound = tiny(1);
    let mut parameters: Vec<_> = sound.weights().iter().cloned().collect();
    parameters[0].values.fill(3e38);
    let model = crate::network::Model::new(sound.metadata().clone(), parameters);
    let model = prepared(model.unwrap());
    let engine = Engine::one_thread(Settings { places: 1, batch: 1 }).unwrap();
    let bright = Request { input: Pixels::from_fn(model.dimensions(), |_| 255).into(), ..placed(&engine, request(&model)) };
    let outcome = engine.evaluate(bright).await;
    assert!(matches!(&outcome, Err(Error::Failed(reason)) if reason.contains("finite")), "{outcome:?}");
    engine.close();
}

#[test]
fn two_callers_of_the_kernels_do_not_meet() {
    let models = [prepared(small(5)), prepared(small(6))];
    let sing = |model: &Arc<crate::serving::Served>, hands| {
        let image = crate::serving::canary::input(&model.model).unwrap();
        model.with(hands, |hand| Ok(hand.evaluator.evaluate(&image, &Probe::default())?.probabilities)).unwrap()
    };
    let expected = models.each_ref().map(|model| sing(model, Hands::All));
    std::thread::scope(|scope| {
        for hands in [Hands::All, Hands::Own, Hands::Own] {
            for (model, expected) in models.iter().zip(&expected) {
                scope.spawn(move || (0..200).for_each(|_| assert_eq!(&sing(model, hands), expected)));
            }
        }
    });
}

#[tokio::test]
async fn a_small_network_is_evaluated_by_its_caller_though_every_model_thread_is_busy() {
    let (model, other) = (prepared(small(7)), prepared(small(8)));
    let engine = Arc::new(Engine::one_thread(Settings { places: 4, batch: 4 }).unwrap());
    let expected = bits(&engine.submit(placed(&engine, image(&model, 3))).await.unwrap().unwrap());
    let gate = Gate::closed(&other);
    let held = engine.submit(placed(&engine, request(&other)));
    until_at_work(&engine).await;
    let reply = engine.evaluate(placed(&engine, image(&model, 3))).await.unwrap();
    assert_eq!((reply.batch, bits(&reply)), (1, expected));
    // What is to be looked into waits: it takes longer, and has one evaluator.
    let probe = Probe { taps: vec![0], ..Probe::default() };
    let tapped = Request { probe, ..placed(&engine, image(&model, 3)) };
    let looking = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.evaluate(tapped).await }
    });
    while engine.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!looking.is_finished());
    gate.open();
    assert_eq!(looking.await.unwrap().unwrap().taps.len(), 1);
    held.await.unwrap().unwrap();
    assert_eq!((engine.waiting(), engine.under_way()), (0, 0));
    engine.close();
}

#[tokio::test]
async fn no_bit_depends_on_who_evaluates() {
    let model = prepared(small(9));
    let engine = Engine::start(Settings { places: 200, batch: 8 }).unwrap();
    let mut expected = Vec::new();
    for seed in 0..100 {
        let input = image(&model, seed).input;
        let of = |hands| {
            let mut values = Vec::new();
            input.normalize(&model.model.metadata().preprocessing, &mut values).unwrap();
            model.with(hands, |hand| Ok(hand.evaluator.evaluate(&values, &Probe::default())?.probabilities)).unwrap()
        };
        assert_eq!(of(Hands::All), of(Hands::Own));
        expected.push(bits(&engine.evaluate(placed(&engine, image(&model, seed))).await.unwrap()));
    }
    let answers: Vec<Answer> = (0..100).map(|seed| engine.submit(placed(&engine, image(&model, seed)))).collect();
    for (answer, expected) in answers.into_iter().zip(&expected) {
        assert_eq!(&bits(&answer.await.unwrap().unwrap()), expected);
    }
    engine.close();
}

#[tokio::test]
async fn whose_deadline_passes_while_the_batch_is_evaluated_is_told_so() {
    let model = served();
    let engine = Engine::one_thread(Settings { places: 2, batch: 2 }).unwrap();
    let gate = Gate::closed(&model);
    let deadline = Instant::now() + Duration::from_millis(50);
    let late = engine.submit(Request { deadline: Some(deadline), ..placed(&engine, request(&model)) });
    until_at_work(&engine).await;
    tokio::time::sleep_until((deadline + Duration::from_millis(1)).into()).await;
    gate.open();
    assert!(matches!(late.await.unwrap(), Err(Error::Late)));
    engine.close();
}

#[test]
fn a_thread_that_panics_is_replaced_and_counted() {
    let (load, mut begun) = (Load::new(1), 0);
    keep_at(&load, || {
        begun += 1;
        assert!(begun > 2, "planned");
    });
    assert_eq!((begun, load.replaced()), (3, 2));
}
