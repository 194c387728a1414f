//! Runs of training on real images: what they learn, what they leave behind, and how they go on after an end.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use convscope::checkpoint::{self, Dtype};
use convscope::network::{Architecture, DeviceChoice, Evaluator};
use convscope::training::event::{DataStage, EpochRecord, Event, Outcome};
use convscope::training::trainer::{Finish, Models, Output, Run, train};
use convscope::training::{Error, Recipe};
use convscope::{dataset, evaluation};
use serde_json::json;

/// 320 images to train on and 200 to test, of ten classes.
pub(crate) fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin")
}

/// Small enough to be trained in a moment, with every part that has state of its own: dropout, batch norm's statistics.
pub(crate) fn small() -> Architecture {
    Architecture::from_toml(
        "name = 'small'\ninput = { channels = 3, height = 32, width = 32 }\n\
         [[layers]]\nname = 'conv1'\nkind = 'conv2d'\nout_channels = 8\nkernel_size = 3\nstride = 2\n\
         [[layers]]\nname = 'norm1'\nkind = 'batch_norm2d'\n\
         [[layers]]\nname = 'act1'\nkind = 'relu'\n\
         [[layers]]\nname = 'pool1'\nkind = 'avg_pool2d'\nkernel_size = 3\n\
         [[layers]]\nname = 'flat'\nkind = 'flatten'\n\
         [[layers]]\nname = 'drop1'\nkind = 'dropout'\np = 0.1\n\
         [[layers]]\nname = 'fc1'\nkind = 'linear'\nout_features = 10",
    )
    .unwrap()
}

pub(crate) fn recipe(changes: &serde_json::Value) -> Recipe {
    let mut recipe = Recipe::named("default").unwrap();
    (recipe.batch_size, recipe.epochs) = (32, 4);
    recipe.with(changes.as_object().unwrap()).unwrap()
}

fn run_in(folder: &Path, recipe: Recipe) -> Run {
    let model = folder.join("m.safetensors");
    Run {
        architecture: small(),
        data: images(),
        rules: convscope::dataset::Rules::default(),
        recipe,
        device: DeviceChoice::Cpu,
        output: Output { name: "m".into(), state: folder.join("m.state"), models: Models::Last { path: model, dtype: Dtype::F32 } },
        resume: false,
        fit_data: false,
    }
}

/// Trains to the end and gives the epochs and the outcome.
fn complete(run: &Run) -> (Vec<EpochRecord>, Outcome) {
    let mut epochs = Vec::new();
    let finish = train(run, &mut |event| {
        if let Event::Epoch(record) = event {
            epochs.push(record.clone());
        }
        ControlFlow::Continue(())
    });
    match finish.unwrap() {
        Finish::Done(outcome) => (epochs, outcome),
        Finish::Stopped(ended) => panic!("{ended:?}"),
    }
}

fn bytes(run: &Run) -> Vec<u8> {
    let Models::Last { path, .. } = &run.output.models else { panic!("{run:?}") };
    std::fs::read(path).unwrap()
}

#[test]
fn a_model_in_half_precision_says_what_the_stored_numbers_reach() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_in(folder.path(), recipe(&json!({"epochs": 2, "learning_rate": 0.1})));
    let path = folder.path().join("half.safetensors");
    run.output.models = Models::Last { path: path.clone(), dtype: Dtype::F16 };
    let (_, outcome) = complete(&run);
    let model = checkpoint::load(&path).unwrap();
    let data = dataset::open(&run.data, 0).unwrap();
    let mut evaluator = Evaluator::new(&model, &DeviceChoice::Cpu.open().unwrap()).unwrap();
    let report = evaluation::evaluate(&mut evaluator, &model, &data.test, &mut |_| {}).unwrap();
    let said = model.metadata().accuracy.unwrap();
    assert_eq!((said.accuracy, said.images), (report.accuracy, report.images));
    assert_eq!((outcome.test_accuracy, outcome.test_loss), (report.accuracy, report.loss));
}

#[test]
fn a_run_learns_what_holds_on_images_it_never_saw() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), recipe(&json!({"epochs": 12, "learning_rate": 0.1, "label_smoothing": 0})));
    let (epochs, outcome) = complete(&run);
    assert_eq!(epochs.iter().map(|record| record.epoch).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    let (first, last) = (&epochs[0], &epochs[11]);
    assert!(last.train_loss < 0.85 * first.train_loss, "{first:?} {last:?}");
    assert!(last.test_accuracy > 0.2 && last.test_images == 200, "ten classes, so 0.1 by guessing: {last:?}");
    assert!((outcome.test_accuracy, outcome.epochs) == (last.test_accuracy, 12));

    let model = checkpoint::load(&folder.path().join("m.safetensors")).unwrap();
    let metadata = model.metadata();
    assert_eq!(metadata.architecture, small());
    assert_eq!(metadata.accuracy.unwrap().images, 200);
    assert_eq!(serde_json::from_value::<Recipe>(metadata.recipe.clone().unwrap()).unwrap(), run.recipe);
    assert!(metadata.preprocessing.mean.iter().all(|mean| (0.4..0.6).contains(mean)), "{:?}", metadata.preprocessing);
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_seed_others() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let of = |folder: &Path, seed: u64| {
        let run = run_in(folder, recipe(&json!({"epochs": 1, "seed": seed})));
        complete(&run);
        bytes(&run)
    };
    let first = of(folders[0].path(), 3);
    assert!(first == of(folders[1].path(), 3));
    assert!(first != of(folders[2].path(), 4));
}

#[test]
fn a_run_that_was_ended_goes_on_to_the_same_bytes() {
    for changes in [json!({}), json!({"ema_decay": 0.9, "schedule": "constant", "nesterov": false})] {
        let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let whole = run_in(whole.path(), recipe(&changes));
        complete(&whole);
        let mut part = run_in(parts.path(), recipe(&changes));
        part.resume = true;
        let mut seen = Vec::new();
        for ends_after in [1, 3, 9] {
            let finish = train(&part, &mut |event| match event {
                Event::Epoch(record) => {
                    seen.push(record.epoch);
                    if record.epoch == ends_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                }
                _ => ControlFlow::Continue(()),
            });
            match finish.unwrap() {
                Finish::Stopped(ended) => assert_eq!((ended.epoch, ended.epochs), (ends_after, 4)),
                Finish::Done(_) => assert_eq!(ends_after, 9),
            }
        }
        assert_eq!(seen, [1, 2, 3, 4]);
        assert!(bytes(&whole) == bytes(&part));
    }
}

#[test]
fn a_complete_run_takes_more_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let constant = |epochs: u32| recipe(&json!({"schedule": "constant", "epochs": epochs}));
    let mut run = run_in(folder.path(), constant(1));
    complete(&run);
    (run.resume, run.recipe) = (true, constant(2));
    let (epochs, outcome) = complete(&run);
    assert_eq!((epochs.len(), epochs[0].epoch, outcome.epochs), (1, 2, 2));
    assert!(outcome.elapsed_seconds > epochs[0].elapsed_seconds / 2.0);
    let other = tempfile::tempdir().unwrap();
    let at_once = run_in(other.path(), constant(2));
    complete(&at_once);
    assert!(bytes(&at_once) == bytes(&run));
    run.recipe.learning_rate = 0.5;
    let refusal = train(&run, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(refusal.contains("`learning_rate` was 0.02 and is now 0.5"), "{refusal}");
}

#[test]
fn test_images_do_not_touch_what_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for entry in std::fs::read_dir(images()).unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(entry.path()).unwrap();
        let test = entry.file_name() == "test_batch.bin";
        std::fs::write(data.join(entry.file_name()), if test { &bytes[..77 * 3073] } else { &bytes[..] }).unwrap();
    }
    let run = run_in(folder.path(), recipe(&json!({"epochs": 1})));
    let other = Run {
        data,
        output: Output { models: Models::Last { path: folder.path().join("o"), dtype: Dtype::F32 }, ..run.output.clone() },
        ..run.clone()
    };
    let ((a, _), (b, _)) = (complete(&run), complete(&other));
    assert_eq!((a[0].test_images, b[0].test_images), (200, 77));
    assert!(a[0].train_loss == b[0].train_loss && a[0].test_loss != b[0].test_loss);
    let [a, b] = ["m.safetensors", "o"].map(|name| checkpoint::load(&folder.path().join(name)).unwrap());
    assert!(a.weights() == b.weights());
}

#[test]
fn the_average_is_what_is_measured_and_written() {
    let [plain, averaged] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let of = |folder: &Path, decay: f64| {
        let run = run_in(folder, recipe(&json!({"ema_decay": decay, "learning_rate": 0.1})));
        (complete(&run).0, bytes(&run))
    };
    let ((a, a_bytes), (b, b_bytes)) = (of(plain.path(), 0.0), of(averaged.path(), 0.95));
    assert!(a.iter().zip(&b).all(|(a, b)| a.train_loss == b.train_loss), "averaging does not change training");
    assert!(a_bytes != b_bytes && a[3].test_loss != b[3].test_loss);
}

#[test]
fn a_run_that_diverges_says_what_to_lower_and_leaves_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), recipe(&json!({"learning_rate": 100, "weight_decay": 0.9, "momentum": 0.99})));
    let fault = train(&run, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(fault, Error::Diverged { .. }), "{fault}");
    assert!(fault.to_string().contains("lower `learning_rate` (100"), "{fault}");
    assert!(!folder.path().join("m.safetensors").exists());
}

#[test]
fn images_of_other_classes_are_refused_by_the_number_that_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_in(folder.path(), recipe(&json!({})));
    let text = toml::to_string(&run.architecture).unwrap().replace("out_features = 10", "out_features = 9");
    run.architecture = Architecture::from_toml(&text).unwrap();
    let refusal = train(&run, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(refusal.contains("10 classes") && refusal.contains("`fc1`") && refusal.contains("out_features = 10"), "{refusal}");
}

/// How `run` ends where it is stopped at the first event that `stops_at` names, and what was reported.
fn stopped(run: &Run, stops_at: impl Fn(&Event, &[Event]) -> bool) -> (Finish, Vec<Event>) {
    let mut seen = Vec::new();
    let finish = train(run, &mut |event| {
        let stop = stops_at(event, &seen);
        seen.push(event.clone());
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (finish.unwrap(), seen)
}

#[test]
fn an_end_is_seen_at_every_step_and_while_the_test_set_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), recipe(&json!({})));
    let (finish, seen) = stopped(&run, |event, _| matches!(event, Event::Step(record) if record.step == 3));
    assert!(matches!(finish, Finish::Stopped(ended) if ended.epoch == 0));
    assert_eq!(seen.iter().filter(|event| matches!(event, Event::Step(_))).count(), 3, "every step asks");

    // All steps are over, and this was said before: the test set is being measured.
    let (finish, seen) = stopped(&run, |event, seen| matches!(event, Event::Step(_)) && seen.last() == Some(event));
    assert!(matches!(finish, Finish::Stopped(ended) if ended.epoch == 0));
    assert!(!seen.iter().any(|event| matches!(event, Event::Epoch(_))));
    assert!(!run.output.state.exists() && !folder.path().join("m.safetensors").exists());
}

#[test]
fn an_end_is_seen_while_images_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_in(folder.path(), recipe(&json!({})));
    run.data = folder.path().join("large");
    let large = folder.path().join("large.png");
    image::RgbImage::from_fn(3000, 3000, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8])).save(&large).unwrap();
    for (class, copy) in ["cat", "dog"].iter().flat_map(|class| (0..20).map(move |copy| (class, copy))) {
        let path = run.data.join("train").join(class);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::hard_link(&large, path.join(format!("{copy}.png"))).unwrap();
    }
    let reading = Event::Data(DataStage::Reading);
    let (finish, seen) = stopped(&run, |event, seen| *event == reading && seen.last() == Some(&reading));
    assert!(matches!(finish, Finish::Stopped(ended) if ended.epoch == 0));
    assert_eq!(seen, [reading.clone(), reading.clone()], "said, and asked once more");
}
