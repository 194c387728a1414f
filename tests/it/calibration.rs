//! Probabilities that mean something: what training does for them, what a model says of that, and that it is so.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use convscope::checkpoint::{self, Dtype};
use convscope::dataset::{self, Dataset};
use convscope::evaluation::{self, Report, temperature};
use convscope::network::{DeviceChoice, Evaluator, Model, Temperature};
use convscope::training::event::{EpochRecord, Event, Outcome};
use convscope::training::trainer::{Finish, Models, Output, Run, train};
use serde_json::{Value, json};

use crate::cli::convscope;
use crate::training::{images, recipe, small};

fn run_in(folder: &Path, changes: &Value, dtype: Dtype) -> Run {
    Run {
        architecture: small(),
        data: images(),
        rules: dataset::Rules::default(),
        recipe: recipe(changes),
        device: DeviceChoice::Cpu,
        output: Output {
            name: "m".into(),
            state: folder.join("m.state"),
            models: Models::Last { path: folder.join("m.safetensors"), dtype },
        },
        resume: false,
        fit_data: false,
    }
}

fn complete(run: &Run) -> (Vec<EpochRecord>, Outcome) {
    let mut epochs = Vec::new();
    let finish = train(run, &mut |event| {
        if let Event::Epoch(record) = event {
            epochs.push(record.clone());
        }
        ControlFlow::Continue(())
    });
    let Ok(Finish::Done(outcome)) = finish else { panic!("{finish:?}") };
    (epochs, outcome)
}

fn model(folder: &Path) -> Model {
    checkpoint::load(&folder.join("m.safetensors")).unwrap()
}

fn measured(model: &Model, data: &Dataset) -> Report {
    let mut evaluator = Evaluator::new(model, &DeviceChoice::Cpu.open().unwrap()).unwrap();
    evaluation::evaluate(&mut evaluator, model, &data.test, &mut |_| {}).unwrap()
}

/// Fitted to the images of `data` that are there to measure with.
fn fitted(model: &Model, data: &Dataset) -> Temperature {
    let mut evaluator = Evaluator::new(model, &DeviceChoice::Cpu.open().unwrap()).unwrap();
    temperature::fit(&mut evaluator, model, &data.test, &mut |_| ControlFlow::Continue(())).unwrap().unwrap().0
}

/// Trained until it is surer than it should be.
const SURE: fn() -> Value = || json!({"epochs": 30, "learning_rate": 0.2, "label_smoothing": 0, "validation_share": 0.3});

#[test]
fn a_factor_of_the_scores_is_found_and_taken_out_again() {
    let folder = tempfile::tempdir().unwrap();
    complete(&run_in(folder.path(), &SURE(), Dtype::F32));
    let (plain, data) = (model(folder.path()), dataset::open(&images(), 0).unwrap());
    let own = fitted(&plain, &data);
    // A network whose scores are a third of this one's asks for a third of its temperature.
    let third = plain.clone().tempered(Temperature { value: 3.0, images: 1 }).unwrap();
    assert!((fitted(&third, &data).value * 3.0 / own.value - 1.0).abs() < 1e-4, "{own:?} {:?}", fitted(&third, &data));
    // With its own taken out nothing is left to do, no answer is another, and the loss is smaller.
    let calm = plain.clone().tempered(own).unwrap();
    assert!((fitted(&calm, &data).value - 1.0).abs() < 1e-4);
    let [before, after] = [&plain, &calm].map(|model| measured(model, &data));
    assert_eq!((before.confusion, before.correct), (after.confusion, after.correct));
    assert!(own.value > 1.2 && after.loss < before.loss, "{own:?}");
    assert!(after.findings.calibration.expected_error < before.findings.calibration.expected_error);
    assert_eq!(own.images, data.test.len());
}

#[test]
fn what_is_written_is_calibrated_and_what_is_trained_is_not() {
    let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [plain, calm, parts, every] = folders.each_ref().map(tempfile::TempDir::path);
    let with = |more: Value| {
        let mut changes = SURE();
        changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        changes
    };
    let averaged = || with(json!({"epochs": 12, "ema_decay": 0.9, "calibrate": true}));
    let every_epoch = |folder: &Path, changes: &Value| {
        let mut run = run_in(folder, changes, Dtype::F32);
        run.output.models = Models::Every(folder.into());
        complete(&run).0
    };
    let before = every_epoch(plain, &with(json!({"epochs": 12, "ema_decay": 0.9})));
    let (after, outcome) = complete(&run_in(calm, &averaged(), Dtype::F32));
    // The run is the same; its figures are those of what it gives.
    for (before, after) in before.iter().zip(&after) {
        let (of, calm) = (before.validation.unwrap(), after.validation.unwrap());
        assert_eq!((before.train_loss, before.test_accuracy, of.accuracy), (after.train_loss, after.test_accuracy, calm.accuracy));
        // The least loss is that of 97 images.
        assert!(calm.loss <= of.loss + 0.02 && calm.images == 96, "{of:?} {calm:?}");
    }
    let written = model(calm);
    let temperature = written.metadata().measured.temperature.unwrap();
    assert!(temperature.images == 96 && temperature.value > 0.0, "{temperature:?}");
    let best = &after[outcome.best_epoch.unwrap() as usize - 1];
    assert_eq!((outcome.test_accuracy, outcome.test_loss), (best.test_accuracy, best.test_loss));
    // One number is between the last layer and that of the same epoch of the other run, and nothing before it is other.
    let other = checkpoint::load(&plain.join(format!("{}.safetensors", best.epoch))).unwrap();
    assert_eq!(other.metadata().measured.temperature, None);
    for (a, b) in other.weights().iter().zip(written.weights().iter()) {
        let by = if a.name.starts_with("fc1.") { temperature.value } else { 1.0 };
        assert!(a.values.iter().zip(&b.values).all(|(a, b)| (f64::from(*a) / by) as f32 == *b), "{}", a.name);
    }

    // In parts, and with every epoch's model.
    let mut run = run_in(parts, &averaged(), Dtype::F32);
    run.resume = true;
    for last in [3, 7] {
        let stopped = train(&run, &mut |event| match event {
            Event::Epoch(record) if record.epoch == last => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert!(matches!(stopped, Ok(Finish::Stopped(_))), "{stopped:?}");
    }
    complete(&run);
    let bytes = |path: PathBuf| std::fs::read(path).unwrap();
    let whole = bytes(calm.join("m.safetensors"));
    assert!(whole == bytes(parts.join("m.safetensors")));
    every_epoch(every, &averaged());
    assert!(whole == bytes(every.join(format!("{}.safetensors", best.epoch))));
}

#[test]
fn what_a_model_says_of_itself_is_what_eval_finds() {
    let folder = tempfile::tempdir().unwrap();
    let changes = json!({"epochs": 5, "learning_rate": 0.1, "validation_share": 0.2, "calibrate": true});
    complete(&run_in(folder.path(), &changes, Dtype::F16));
    let path = folder.path().join("m.safetensors");
    let of = model(folder.path());
    let metadata = of.metadata();
    let arguments = ["eval", "--json", "--model", path.to_str().unwrap(), "--data", "tests/data/cifar-10-batches-bin"];
    let found: Value = serde_json::from_str(&convscope(&arguments).succeeded()).unwrap();
    let accuracy = metadata.accuracy.unwrap();
    assert_eq!((json!(accuracy.accuracy), json!(accuracy.images)), (found["accuracy"].clone(), found["images"].clone()));
    assert_eq!(json!(metadata.measured.expected_calibration_error), found["calibration"]["expected_error"]);
    let by_class = metadata.measured.accuracy_by_class.iter().map(|of| json!([of.accuracy, of.images]));
    assert!(by_class.eq(found["per_class"].as_array().unwrap().iter().map(|of| json!([of["accuracy"], of["images"]]))));
    assert_eq!(metadata.measured.accuracy_by_class.len(), 10);
}

#[test]
fn a_trained_model_is_calibrated_on_images_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let changes = json!({"epochs": 30, "learning_rate": 0.2, "label_smoothing": 0, "fit": "stretch"});
    complete(&run_in(folder.path(), &changes, Dtype::F32));
    assert_eq!(serde_json::to_value(&model(folder.path()).metadata().preprocessing).unwrap()["fit"], "stretch");
    // The same images in other roles: a file that was trained on is measured on.
    let official = images();
    std::fs::create_dir(at("apart")).unwrap();
    for entry in std::fs::read_dir(&official).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let role = match name.as_str() {
            "data_batch_1.bin" => "test_batch.bin",
            "test_batch.bin" => "data_batch_1.bin",
            other => other,
        };
        std::fs::copy(entry.path(), folder.path().join("apart").join(role)).unwrap();
    }
    let (data, apart, source, out) = (official.to_str().unwrap(), at("apart"), at("m.safetensors"), at("calm.safetensors"));
    let command =
        |more: &[&str]| convscope(&[&["calibrate", "--model", &source, "--data", &apart, "--out", &out][..], more].concat());
    let refusal = command(&["--validation", &apart]).failed(2);
    assert!(refusal.contains("have the same test images"), "{refusal}");
    assert!(command(&["--temperature", "0"]).failed(2).contains("above 0"));
    let said = command(&["--validation", data, "--dtype", "f16"]).succeeded();
    let calm = checkpoint::load(&folder.path().join("calm.safetensors")).unwrap();
    let temperature = calm.metadata().measured.temperature.unwrap();
    let expected = fitted(&model(folder.path()), &dataset::open(&official, 0).unwrap());
    assert_eq!((temperature.images, calm.metadata().name.as_str()), (expected.images, "calm"));
    assert!((temperature.value - expected.value).abs() < 1e-12, "{temperature:?} {expected:?}");
    assert!(said.contains(&format!("divided by {:.4}, fitted to 200 images", temperature.value)), "{said}");
    let report = measured(&calm, &dataset::open(Path::new(&apart), 0).unwrap());
    // JSON's numbers are read to the last bit but one.
    let alike = |said: f64, found: f64| (said - found).abs() < 1e-12;
    assert!(alike(calm.metadata().measured.expected_calibration_error.unwrap(), report.findings.calibration.expected_error));
    assert!(alike(calm.metadata().accuracy.unwrap().accuracy, report.accuracy));
    // What was divided once is divided on.
    assert!(command(&["--temperature", "2"]).failed(2).contains("--force"));
    command(&["--temperature", "2", "--force"]).succeeded();
    let given = checkpoint::load(&folder.path().join("calm.safetensors")).unwrap().metadata().measured.temperature.unwrap();
    assert_eq!(given, Temperature { value: 2.0, images: 0 });
}

#[test]
fn a_network_that_ends_without_weights_is_refused_before_it_is_trained() {
    let network = "name = 'n'\ninput = { channels = 3, height = 4, width = 4 }\nlayers = [\
        { name = 'c', kind = 'conv2d', out_channels = 2, kernel_size = 4 }, { name = 'f', kind = 'flatten' }, { name = 's', kind = 'sigmoid' }]";
    let network = convscope::network::Architecture::from_toml(network).unwrap();
    let changes = |calibrate: bool| json!({"validation_share": 0.1, "calibrate": calibrate, "augmentation": {"crop_padding": 0}});
    let of = |calibrate| recipe(&json!({})).fitted(&network, changes(calibrate).as_object().unwrap());
    let fault = of(true).unwrap_err().to_string();
    assert!(fault.contains("`calibrate`: the network has no last weights") && fault.contains("`s` stands"), "{fault}");
    of(false).unwrap();
}
