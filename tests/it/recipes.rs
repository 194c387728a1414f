//! Recipes with groups, every optimizer and every start: runs that go on to the same bytes, and airbench94 written down.

use std::ops::ControlFlow;
use std::path::Path;

use convscope::checkpoint::{self, Dtype};
use convscope::network::{Architecture, DeviceChoice, Weights, infer};
use convscope::training::event::{DataStage, EpochRecord, Event};
use convscope::training::trainer::{Finish, Models, Output, Run, train};
use convscope::training::{Error, Recipe};
use reqwest::Method;
use serde_json::json;

use crate::support::Server;
use crate::training::{images, recipe, small};

/// airbench94 (Keller Jordan, 2024), its widths scaled. What it divides the last layer's scores by is in that layer's numbers: its
/// deviation is a 256th, its step length and decay are by 256² less and more.
fn airbench(widths: [usize; 3]) -> Architecture {
    let mut text = "name = 'airbench94'\ninput = { channels = 3, height = 32, width = 32 }\nlayers = [\n\
        { name = 'whiten', kind = 'conv2d', out_channels = 24, kernel_size = 2 },\n{ name = 'act0', kind = 'gelu' },\n"
        .to_owned();
    for (width, block) in widths.into_iter().zip(1..) {
        let conv = |at: usize| {
            format!(
                "{{ name = 'conv{block}{at}', kind = 'conv2d', out_channels = {width}, kernel_size = 3, padding = 1, bias = false }},\n"
            )
        };
        let norm = |at: usize| {
            format!(
                "{{ name = 'norm{block}{at}', kind = 'batch_norm2d', eps = 1e-12, momentum = 0.4 }},\n\
                 {{ name = 'act{block}{at}', kind = 'gelu' }},\n"
            )
        };
        text += &(conv(1) + &format!("{{ name = 'pool{block}', kind = 'max_pool2d', kernel_size = 2 }},\n"));
        text += &(norm(1) + &conv(2) + &norm(2));
    }
    text += "{ name = 'pool4', kind = 'max_pool2d', kernel_size = 3 },\n{ name = 'flat', kind = 'flatten' },\n\
             { name = 'head', kind = 'linear', out_features = 10, bias = false }]";
    Architecture::from_toml(&text).unwrap()
}

/// Its recipe; test-time augmentation is `eval --tta translate`.
const AIRBENCH: &str = r#"
optimizer = "sgd"
momentum = 0.85
nesterov = true
schedule = "one_cycle"
warmup = 0.0
batch_size = 2000
epochs = 8
label_smoothing = 0.2
reduction = "sum"
augmentation = { flip = true, alternating = true, crop_padding = 2 }
normalize = "channel"
init = "pytorch_head"
last_std = 0.00390625
whitening = true
whitening_eps = 5e-4
dirac = true

[[groups]]
layers = ["whiten"]
roles = ["filters"]
frozen_from = 0

[[groups]]
roles = ["scale"]
frozen_from = 0

[[groups]]
layers = ["whiten"]
learning_rate = 0.053
weight_decay = 0.0754716981
frozen_from = 3

[[groups]]
roles = ["shift"]
learning_rate = 0.053
weight_decay = 0.0754716981

[[groups]]
layers = ["head"]
learning_rate = 1.0223389e-5
weight_decay = 391.2597

[[groups]]
roles = ["filters"]
optimizer = "muon"
learning_rate = 0.24
momentum = 0.6
weight_decay = 0.0
ns_steps = 3
renormalize_every = 1
"#;

fn run_in(folder: &Path, architecture: Architecture, recipe: Recipe) -> Run {
    let models = Models::Last { path: folder.join("m.safetensors"), dtype: Dtype::F32 };
    Run {
        architecture,
        data: images(),
        rules: convscope::dataset::Rules::default(),
        recipe,
        device: DeviceChoice::Cpu,
        output: Output { name: "m".into(), state: folder.join("m.state"), models },
        resume: false,
        fit_data: false,
    }
}

/// Trains until an epoch is over, or to the end.
fn until(run: &Run, last: u32) -> Vec<EpochRecord> {
    let mut epochs = Vec::new();
    let finish = train(run, &mut |event| match event {
        Event::Epoch(record) => {
            epochs.push(record.clone());
            if record.epoch == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(finish, Ok(Finish::Done(_) | Finish::Stopped(_))), "{finish:?}");
    epochs
}

#[test]
fn every_optimizer_goes_on_after_an_end_to_the_same_bytes() {
    for changes in [
        json!({"optimizer": "adamw", "learning_rate": 0.003, "schedule": "cosine", "warmup_epochs": 1}),
        json!({"groups": [{"roles": ["filters", "matrix"], "optimizer": "muon", "adjust_lr": "match_rms_adamw", "renormalize_every": 3}]}),
        json!({"schedule": "step", "milestones": [1, 2.5], "lookahead": {"every": 3, "power": 3}, "reduction": "sum", "learning_rate": 1e-3}),
        json!({"ema_decay": 0.9, "lookahead": {"every": 4}, "dirac": true, "groups": [
            {"layers": ["conv1"], "roles": ["filters"], "optimizer": "muon", "frozen_until": 1.5},
            {"layers": ["norm*"], "optimizer": "adamw", "frozen_from": 2},
            {"roles": ["matrix"], "optimizer": "adamw", "weight_decay": 0.1},
        ]}),
        json!({"learning_rate": 0.1, "mixup": 0.2, "augmentation": {
            "alternating": true, "rotation": 5, "brightness": 0.1, "contrast": 0.1, "cutout": 6
        }}),
        json!({"learning_rate": 0.1, "mixup": 0.2, "ema_decay": 0.9, "validation_share": 0.2, "patience": 4}),
    ] {
        let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let whole = run_in(whole.path(), small(), recipe(&changes));
        let at_once = until(&whole, 9);
        let mut part = run_in(parts.path(), small(), recipe(&changes));
        part.resume = true;
        let pieces: Vec<EpochRecord> = [1, 2, 9].into_iter().flat_map(|last| until(&part, last)).collect();
        assert_eq!(pieces.len(), 4);
        for (whole, piece) in at_once.iter().zip(&pieces) {
            assert_eq!((whole.train_loss, whole.learning_rate), (piece.train_loss, piece.learning_rate), "{changes}");
        }
        let [whole, part] = [&whole, &part].map(|run| std::fs::read(run.output.state.with_file_name("m.safetensors")).unwrap());
        assert!(whole == part, "{changes}");
        assert!(at_once[3].train_loss < at_once[0].train_loss, "{changes}: it learns: {at_once:?}");
    }
}

#[test]
fn the_epoch_that_the_validation_images_like_best_is_what_is_written() {
    let changes = json!({"epochs": 60, "learning_rate": 0.2, "schedule": "constant", "validation_share": 0.2, "patience": 2});
    let [whole, parts, every] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut run = run_in(whole.path(), small(), recipe(&changes));
    let (mut epochs, mut notes) = (Vec::new(), Vec::new());
    let mut collect = |event: &Event| {
        match event {
            Event::Epoch(record) => epochs.push(record.clone()),
            Event::Data(DataStage::Ready { train_images, notes: said, .. }) => {
                notes.clone_from(said);
                assert_eq!(*train_images, 256);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let Ok(Finish::Done(outcome)) = train(&run, &mut collect) else { panic!("it ends by itself") };
    assert!(notes.iter().any(|note| note == "64 of 320 training images are held out to choose the best epoch by"), "{notes:?}");
    // The best is the one that two epochs after it are not better than; the test images have no say.
    let best = outcome.best_epoch.unwrap();
    assert_eq!((epochs.len() as u32, outcome.epochs), (best + 2, best + 2));
    let figures = |at: u32| epochs[at as usize - 1].validation.unwrap();
    assert!((1..=best + 2).all(|at| figures(at).accuracy <= figures(best).accuracy && figures(at).images == 64), "{epochs:?}");
    let note = outcome.note.unwrap();
    assert!(note.starts_with(&format!("ended after epoch {} of 60, 2 epochs without a better one; ", best + 2)), "{note}");
    assert!(note.contains(&format!("the model is epoch {best}'s, the best on 64 validation images")), "{note}");
    let chosen = &epochs[best as usize - 1];
    assert_eq!((outcome.test_accuracy, outcome.test_loss), (chosen.test_accuracy, chosen.test_loss));

    // The same run with every epoch's model: the one that was written is the best's, and says what that reached.
    let written = std::fs::read(whole.path().join("m.safetensors")).unwrap();
    run = run_in(every.path(), small(), recipe(&changes));
    run.output.models = Models::Every(every.path().into());
    until(&run, 99);
    assert!(written == std::fs::read(every.path().join(format!("{best}.safetensors"))).unwrap());
    assert!(written != std::fs::read(every.path().join(format!("{}.safetensors", best + 2))).unwrap());

    // As the best is not wanted, the last: it ends as early.
    let folder = tempfile::tempdir().unwrap();
    let mut last = changes.clone();
    last["restore_best"] = json!(false);
    let Ok(Finish::Done(outcome)) = train(&run_in(folder.path(), small(), recipe(&last)), &mut |_| ControlFlow::Continue(()))
    else {
        panic!("it ends by itself")
    };
    assert_eq!((outcome.best_epoch, outcome.epochs, outcome.test_accuracy), (None, best + 2, epochs.last().unwrap().test_accuracy));
    let [given, ended] = [folder.path().join("m.safetensors"), every.path().join(format!("{}.safetensors", best + 2))]
        .map(|path| checkpoint::load(&path).unwrap());
    assert!(given.weights().iter().eq(ended.weights().iter()));

    // In parts, the last of which has nothing left to train: the best epoch's numbers are kept over them.
    run = run_in(parts.path(), small(), recipe(&changes));
    run.resume = true;
    let pieces: usize = [1, best, best + 1, best + 2, 99].into_iter().map(|last| until(&run, last).len()).sum();
    assert_eq!(pieces, epochs.len());
    assert!(written == std::fs::read(parts.path().join("m.safetensors")).unwrap());
}

#[test]
fn airbench94_is_a_recipe() {
    let full = airbench([64, 256, 256]);
    let parameters: usize = infer(&full).unwrap().iter().map(convscope::network::LayerShape::parameter_count).sum();
    assert!((1_960_000..1_990_000).contains(&parameters), "{parameters}");
    let written = Recipe::from_toml(AIRBENCH).unwrap();
    written.prepare(&full).unwrap();
    // The same as JSON, as a request and a checkpoint have it.
    let value = serde_json::to_value(&written).unwrap();
    assert_eq!(serde_json::from_value::<Recipe>(value).unwrap(), written);

    let folder = tempfile::tempdir().unwrap();
    let changes = json!({"batch_size": 64, "epochs": 9});
    let recipe = written.with(changes.as_object().unwrap()).unwrap();
    let run = run_in(folder.path(), airbench([24, 32, 32]), recipe);
    let epochs = until(&run, 99);
    assert!(epochs[8].train_loss < epochs[0].train_loss - 0.1, "{epochs:?}");
    let model = checkpoint::load(&folder.path().join("m.safetensors")).unwrap();
    let values = |name: &str| &model.weights().get(name).unwrap().values;
    assert!(values("norm11.weight").iter().all(|&x| x == 1.0), "scales stay");
    assert!(values("norm11.bias").iter().any(|&x| x != 0.0), "shifts do not");
    let whiten = values("whiten.weight");
    assert!(whiten[..144].iter().zip(&whiten[144..]).all(|(a, b)| *a == -b), "pairs of filters, as they were made");
    // Brought to the norm √rows before each step: at the end a step away from it.
    let norm = values("conv12.weight").iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert!((norm / 24f64.sqrt() - 1.0).abs() < 0.05, "{norm}");
}

#[test]
fn a_run_that_diverges_names_what_its_recipe_has() {
    let diverges = |changes: serde_json::Value| {
        let folder = tempfile::tempdir().unwrap();
        let run = run_in(folder.path(), small(), recipe(&changes));
        let fault = train(&run, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(fault, Error::Diverged { .. }), "{fault}");
        assert!(!folder.path().join("m.safetensors").exists());
        fault.to_string()
    };
    let fault = diverges(json!({
        "schedule": "cosine", "reduction": "sum",
        "groups": [{"roles": ["matrix"], "learning_rate": 90, "weight_decay": 1000, "momentum": 0.99}]
    }));
    let sentence =
        "lower `learning_rate` (0.02 at its peak, 90 in a group), or lengthen `warmup_epochs`, or take gradients of the mean";
    assert!(fault.contains("left the finite numbers in epoch 1, step ") && fault.contains(sentence), "{fault}");
}

#[test]
fn slow_weights_are_what_is_written() {
    let [slow, plain] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    // Ten steps: the slow weights go all the way at the ninth, so the model has not seen the tenth.
    let of = |folder: &Path, changes: &serde_json::Value| {
        until(&run_in(folder, small(), recipe(changes)), 9);
        checkpoint::load(&folder.join("m.safetensors")).unwrap().weights().clone()
    };
    let met = of(slow.path(), &json!({"epochs": 1, "lookahead": {"every": 9, "alpha": 1}}));
    let all = of(plain.path(), &json!({"epochs": 1}));
    let again = of(plain.path(), &json!({"epochs": 1, "lookahead": {"every": 10, "alpha": 1}}));
    let distance = |other: &Weights| -> f32 {
        let pairs = all.iter().zip(other.iter()).flat_map(|(a, b)| a.values.iter().zip(&b.values));
        pairs.map(|(a, b)| (a - b).abs()).sum()
    };
    // Where both meet at the last step they are one, but for what going all the way rounds off.
    assert!(distance(&met) > 10.0 * distance(&again), "{} {}", distance(&met), distance(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_asked_for_over_http_and_their_faults_are_named() {
    let server = Server::start().await;
    for (groups, part) in [
        (json!([{"layers": ["conv9"], "learning_rat": 1}]), "did you mean `groups[0].learning_rate`?"),
        (json!([{"layers": ["conv9"]}]), "there is no layer `conv9`; did you mean `conv1`?"),
        (json!([{"roles": ["bias"], "optimizer": "muon"}]), "Muon moves filters and matrices, and `conv1.bias` is neither"),
    ] {
        let body = json!({"arch": "tutorial", "data": images(), "epochs": 1, "groups": groups});
        let text = server.admin(Method::POST, "/admin/train", Some(body)).await.refused(422, "unprocessable");
        assert!(text.contains(part), "{text}");
    }
    server.stop().await;
}
