//! PyTorch's weights, imported, are PyTorch's network. What PyTorch computed, and how each file was saved:
//! tests/data/pytorch/tutorial.py.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use convscope::checkpoint::import::Imported;
use convscope::checkpoint::{self, Contents, Dtype, Tensor, safetensors_bytes};
use convscope::dataset;
use convscope::network::{Architecture, Evaluator, Metadata, Model, Parameter, Preprocessing, Probe, model};

use crate::cli::{Output, convscope};

/// Name, shape, seed and bound of each tensor: as in tutorial.py.
const FORMULA: [(&str, &[usize], u64, f32); 7] = [
    ("conv1.weight", &[32, 3, 3, 3], 1, 0.5),
    ("conv1.bias", &[32], 2, 0.1),
    ("conv2.weight", &[32, 32, 3, 3], 3, 0.15),
    ("conv2.bias", &[32], 4, 0.1),
    ("fc3.weight", &[512, 8192], 5, 0.04),
    ("fc3.bias", &[512], 6, 0.1),
    ("fc4.weight", &[10, 512], 7, 0.5),
];

fn file(name: &str) -> PathBuf {
    Path::new("tests/data/pytorch").join(name)
}

fn tensors(name: &str) -> Vec<Parameter> {
    Contents::read(&std::fs::read(file(name)).unwrap()).unwrap().parameters
}

fn named<'a>(tensors: &'a [Parameter], name: &str) -> &'a [f32] {
    &tensors.iter().find(|tensor| tensor.name == name).unwrap().values
}

/// tutorial.py's `value()`: the upper 24 bits of SplitMix64's mix.
pub(crate) fn value(seed: u64, index: u64, bound: f32) -> f32 {
    let mut z = ((seed << 32) + index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    ((z >> 40) as f32 / (1 << 23) as f32 - 1.0) * bound
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // Not `f32::max`, which would pass over a NaN.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d <= most { most } else { d })
}

#[test]
fn the_tutorials_network_gives_pytorchs_probabilities_and_feature_maps() {
    let expected = tensors("tutorial.safetensors");
    let values: Vec<(&str, &[usize], Vec<f32>)> = FORMULA
        .iter()
        .map(|&(name, shape, seed, bound)| {
            (name, shape, (0..shape.iter().product::<usize>()).map(|i| value(seed, i as u64, bound)).collect())
        })
        .chain([("fc4.bias", [10].as_slice(), named(&expected, "fc4.bias").to_vec())])
        .collect();
    let plain: Vec<Tensor<'_>> = values.iter().map(|(name, shape, values)| Tensor { name, shape, values }).collect();
    let folder = tempfile::tempdir().unwrap();
    let (weights, out) = (folder.path().join("weights.safetensors"), folder.path().join("models/mine.safetensors"));
    std::fs::write(&weights, safetensors_bytes(&BTreeMap::new(), &plain, Dtype::F32)).unwrap();
    let said = convscope(&["import", weights.to_str().unwrap(), "--arch", "tutorial", "--out", out.to_str().unwrap()]).succeeded();
    for part in [
        "tutorial: 11 layers, 4210090 parameters",
        "mean 0, 0, 0, standard deviation 1, 1, 1 (assumed",
        "airplane, automobile",
        "(assumed; see --classes)",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }

    let model = checkpoint::load(&out).unwrap();
    assert_eq!(model.metadata().name, "mine");
    let data = dataset::open(Path::new("tests/data/cifar-10-batches-bin"), 0).unwrap();
    let mut evaluator = Evaluator::new(&model, &Device::Cpu).unwrap();
    let mut probabilities = Vec::new();
    for start in (0..200).step_by(50) {
        let mut input = Vec::new();
        for i in start..start + 50 {
            model.metadata().preprocessing.normalize(&data.test.image(i), &mut input).unwrap();
        }
        probabilities.extend(evaluator.evaluate(&input, &Probe::default()).unwrap().probabilities);
    }
    let off = distance(&probabilities, named(&expected, "probabilities"));
    assert!(off <= 1e-5, "probabilities differ by {off}");

    let mut horse = Vec::new();
    model.metadata().preprocessing.normalize(&data.train.image(7), &mut horse).unwrap();
    let probe = Probe { taps: vec![model.layer("conv1").unwrap()], ..Probe::default() };
    let evaluation = evaluator.evaluate(&horse, &probe).unwrap();
    let off = distance(&evaluation.taps[0].values, named(&expected, "conv1"));
    assert!(off <= 1e-5, "conv1 differs by {off}");
}

fn small() -> Metadata {
    let architecture = Architecture::from_toml(&std::fs::read_to_string(file("small.toml")).unwrap()).unwrap();
    Metadata {
        format: model::FORMAT,
        name: "small".into(),
        preprocessing: Preprocessing::unit(architecture.input),
        classes: ["a", "b", "c"].map(String::from).to_vec(),
        accuracy: None,
        measured: model::Measured::default(),
        recipe: None,
        familiarity: None,
        created_by: model::created_by(),
        architecture,
    }
}

fn import(name: &str) -> (Model, Vec<String>) {
    let Imported { model, notes } = Imported::load(&file(name), small()).unwrap();
    (model, notes)
}

#[test]
fn every_way_of_saving_gives_the_same_numbers() {
    let (reference, notes) = import("small.safetensors");
    assert_eq!(notes, [""; 0]);
    for (name, note) in [
        ("plain.pth", None),
        ("parameters.pth", None),
        ("channels-last.pth", None),
        ("views.pth", None),
        ("protocol-4.pth", None),
        ("double.pth", Some("numbers of 64 bits were rounded to 32")),
        ("data-parallel.pth", Some("names begin with `module.`")),
        ("compiled.pth", Some("names begin with `module._orig_mod.`")),
        ("net.pth", Some("under the key `net`; passed over what is beside it: `acc`, `epoch`")),
        ("nested.pth", Some("under the key `state_dict`; passed over what is beside it: `best`, `epoch`, `optimizer`")),
    ] {
        let (model, notes) = import(name);
        assert_eq!(model.weights(), reference.weights(), "{name}");
        assert_eq!(notes.len(), usize::from(note.is_some()), "{name}: {notes:?}");
        assert!(note.is_none_or(|note| notes[0].contains(note)), "{name}: {notes:?}");
    }
    let (half, _) = import("half.pth");
    for (half, full) in half.weights().iter().zip(reference.weights().iter()) {
        let off = distance(&half.values, &full.values);
        assert!(off > 0.0 && off < 2e-3, "{} is off by {off}", full.name);
    }
}

#[test]
fn a_network_with_batch_norm_answers_as_pytorchs() {
    let expected = tensors("small-expected.safetensors");
    let (model, _) = import("plain.pth");
    let mut evaluator = Evaluator::new(&model, &Device::Cpu).unwrap();
    let evaluation = evaluator.evaluate(named(&expected, "input"), &Probe::default()).unwrap();
    let off = distance(&evaluation.probabilities, named(&expected, "probabilities"));
    assert!(off <= 1e-5, "probabilities differ by {off}");
}

#[test]
fn what_cannot_be_imported_says_what_to_do() {
    for (name, part) in [
        ("legacy.pth", "PyTorch's format before version 1.6; write it again"),
        (
            "whole-model.pth",
            "a whole model object (`__main__.Small`), which only its own Python code can load: save `model.state_dict()`",
        ),
        ("script.pth", "this is a TorchScript program"),
        ("no-tensors.pth", "its keys are: `args`, `epoch`"),
        ("tutorial.py", "a text that begins with \"\\\"\\\"\\\"Expected values"),
    ] {
        let message = Imported::load(&file(name), small()).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains(part), "{message}");
    }
    let message = Imported::load(&file("integers.pth"), small()).unwrap_err().to_string();
    for part in ["`fc.weight` is of type int8: weights must be float32", "`extra` [2] belongs to no layer"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("is missing"), "{message}");
}

#[test]
fn a_truncated_or_damaged_file_is_refused_without_a_panic() {
    let whole = std::fs::read(file("channels-last.pth")).unwrap();
    for length in (0..whole.len()).step_by(61) {
        assert!(Imported::read(&whole[..length], small()).is_err(), "{length} bytes");
    }
    for at in (0..whole.len()).step_by(7) {
        for value in [0, 0xFF, b'q', whole[at] ^ 0x80] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            // Damaged numbers cannot be told from others; everything else must give an answer.
            let _ = Imported::read(&damaged, small());
        }
    }
}

fn run_import(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    let output = convscope(&[&["import", "--out", out.to_str().unwrap()], arguments].concat());
    assert_eq!(out.exists(), output.code == 0, "a failed import leaves nothing behind");
    output
}

#[test]
fn every_tensor_that_does_not_fit_is_named_with_what_was_expected() {
    let plain = file("plain.pth");
    let message = run_import(&[plain.to_str().unwrap(), "--arch", "tutorial"]).failed(1);
    for part in [
        "`conv1.weight` is [4, 3, 3, 3]: expected [32, 3, 3, 3]",
        "`fc4.bias` is missing: expected [10]",
        "`bn1.running_var` [4] belongs to no layer",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_network_whose_images_have_channels_that_no_picture_has_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let (arch, weights) = (folder.path().join("four.toml"), folder.path().join("four.safetensors"));
    let text = std::fs::read_to_string(file("small.toml")).unwrap();
    assert!(text.contains("channels = 3"));
    std::fs::write(&arch, text.replacen("channels = 3", "channels = 4", 1)).unwrap();
    // All else fits.
    let mut tensors = tensors("small.safetensors");
    let filters = tensors.iter_mut().find(|tensor| tensor.name == "conv1.weight").unwrap();
    (filters.shape, filters.values) = (vec![4, 4, 3, 3], vec![0.1; 4 * 4 * 9]);
    let plain: Vec<Tensor<'_>> = tensors.iter().map(|Parameter { name, shape, values }| Tensor { name, shape, values }).collect();
    std::fs::write(&weights, safetensors_bytes(&BTreeMap::new(), &plain, Dtype::F32)).unwrap();
    let message = run_import(&[weights.to_str().unwrap(), "--arch", arch.to_str().unwrap(), "--classes", "a,b,c"]).failed(1);
    assert!(message.contains("images of 4 channels, and images have 1 (grey) or 3"), "{message}");
}

#[test]
fn a_model_gets_no_second_place() {
    let (folder, plain, arch) = (tempfile::tempdir().unwrap(), file("plain.pth"), file("small.toml"));
    let import = |out: &str| {
        let out = folder.path().join(out);
        let out = out.to_str().unwrap();
        convscope(&["import", plain.to_str().unwrap(), "--arch", arch.to_str().unwrap(), "--classes", "a,b,c", "--out", out])
    };
    import("mine.safetensors").succeeded();
    let message = import("mine/2.safetensors").failed(1);
    assert!(message.contains("`mine` is both") && message.contains("move one of them away"), "{message}");
    assert!(!folder.path().join("mine").exists());
    import("mine.safetensors").succeeded();
}

#[test]
fn a_faulty_architecture_file_is_told_by_line_layer_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let arch = folder.path().join("mine.toml");
    let text = std::fs::read_to_string(file("small.toml")).unwrap();
    let text = text.replace("out_features", "out_feature").replace("padding = 1", "in_channels = 3");
    std::fs::write(&arch, &text).unwrap();
    let message = run_import(&[file("plain.pth").to_str().unwrap(), "--arch", arch.to_str().unwrap()]).failed(1);
    for part in [
        "line 9: layer `conv1` (conv2d): `in_channels` follows from the layer before (3); leave it out",
        "line 26: layer `fc` (linear): there is no argument `out_feature`; did you mean `out_features`?",
    ] {
        assert!(message.contains("mine.toml") && message.contains(part), "{message}");
    }
}

#[test]
fn what_is_said_is_kept_and_what_is_missing_is_asked_for() {
    let (plain, arch) = (file("plain.pth"), file("small.toml"));
    let common = [plain.to_str().unwrap(), "--arch", arch.to_str().unwrap()];
    let message = run_import(&common).failed(2);
    assert!(message.contains("`small` gives 3 scores") && message.contains("--classes"), "{message}");
    let message = run_import(&[&common[..], &["--classes", "a,b,a"]].concat()).failed(2);
    assert!(message.contains("`a` is empty or there twice"), "{message}");
    let message = run_import(&[plain.to_str().unwrap(), "--arch", "tutorail"]).failed(2);
    assert!(message.contains("did you mean `tutorial`?"), "{message}");
    let message = run_import(&[&common[..], &["--classes", "a,b,c", "--mean", "0.5"]].concat()).failed(1);
    assert!(message.contains("`mean` and `std` need 3 numbers each"), "{message}");

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mine/7.safetensors");
    let flags = [
        "--classes",
        "a, b, c",
        "--mean",
        "0.5,0.4,0.3",
        "--std",
        "0.2,0.2,0.1",
        "--dtype",
        "bf16",
        "--out",
        out.to_str().unwrap(),
    ];
    let said = convscope(&[&["import"], &common[..], &flags].concat()).succeeded();
    assert!(!said.contains("assumed") && said.contains("stored as BF16"), "{said}");
    let metadata = checkpoint::load(&out).unwrap().metadata().clone();
    assert_eq!((metadata.name.as_str(), metadata.classes), ("mine", ["a", "b", "c"].map(String::from).to_vec()));
    assert_eq!((metadata.preprocessing.mean, metadata.preprocessing.std), (vec![0.5, 0.4, 0.3], vec![0.2, 0.2, 0.1]));
}
