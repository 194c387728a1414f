//! Models on disk: what is written is read back, equal models are equal files, and damaged ones say what is wrong.

use std::path::Path;

use convscope::checkpoint::{self, Dtype, Error};
use convscope::network::{Architecture, Metadata, Model, Parameter, Preprocessing, infer, model, weights};

const ARCHITECTURE: &str = r#"
name = "small"
input = { channels = 3, height = 4, width = 4 }
[[layers]]
name = "conv1"
kind = "conv2d"
out_channels = 2
kernel_size = 3
padding = 1
[[layers]]
name = "bn1"
kind = "batch_norm2d"
[[layers]]
name = "flat"
kind = "flatten"
[[layers]]
name = "fc"
kind = "linear"
out_features = 2
"#;

/// A model of every parameter kind, its numbers `value`.
pub(crate) fn small(value: f32) -> Model {
    let architecture = Architecture::from_toml(ARCHITECTURE).unwrap();
    let metadata = Metadata {
        format: model::FORMAT,
        name: "small".into(),
        preprocessing: Preprocessing::unit(architecture.input),
        classes: vec!["one".into(), "two".into()],
        accuracy: None,
        measured: model::Measured::default(),
        recipe: Some(serde_json::json!({"lr": 0.1, "epochs": 3})),
        familiarity: None,
        created_by: model::created_by(),
        architecture,
    };
    let layers = infer(&metadata.architecture).unwrap();
    let filled = |spec: &convscope::network::shape::ParameterSpec| Parameter {
        name: spec.name.clone(),
        shape: spec.shape.clone(),
        values: (0..spec.shape.iter().product()).map(|i: usize| value + i as f32 / 8.0).collect(),
    };
    Model::new(metadata, weights::specs(&layers).map(filled).collect()).unwrap()
}

#[test]
fn a_saved_model_is_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models/small.safetensors");
    let saved = small(0.3);
    checkpoint::save(&path, &saved).unwrap();
    let loaded = checkpoint::load(&path).unwrap();
    assert_eq!(loaded.metadata(), saved.metadata());
    assert_eq!(loaded.weights(), saved.weights());
    assert_eq!(std::fs::read(&path).unwrap(), checkpoint::write(&loaded, Dtype::F32));
}

#[test]
fn half_precision_rounds_and_refuses_what_it_cannot_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    for dtype in [Dtype::F16, Dtype::BF16] {
        checkpoint::save_as(&path, &small(0.3), dtype).unwrap();
        let loaded = checkpoint::load(&path).unwrap();
        let (stored, exact) = (loaded.weights().get("fc.weight").unwrap(), 0.3);
        assert!(stored.values[0] != exact && (stored.values[0] - exact).abs() < 2e-3, "{dtype}: {}", stored.values[0]);
        // What is rounded once is not rounded again.
        assert_eq!(checkpoint::write(&loaded, dtype), std::fs::read(&path).unwrap());
    }
    let kept = std::fs::read(&path).unwrap();
    let message = checkpoint::save_as(&path, &small(1e6), Dtype::F16).unwrap_err().to_string();
    assert!(message.contains("`conv1.weight`") && message.contains("BF16 or F32"), "{message}");
    assert_eq!(std::fs::read(&path).unwrap(), kept);
}

fn edited(edit: impl Fn(String) -> String) -> Error {
    edited_file(edit).unwrap_err()
}

fn edited_file(edit: impl Fn(String) -> String) -> Result<Model, Error> {
    let bytes = checkpoint::write(&small(0.0), Dtype::F32);
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = edit(String::from_utf8(bytes[8..8 + length].to_vec()).unwrap());
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat();
    checkpoint::read(&file)
}

#[test]
fn what_a_later_program_adds_is_passed_over_unless_it_changes_answers() {
    let known = small(0.0);
    let later = edited_file(|header| header.replace("{\\\"format\\\":1", "{\\\"format\\\":1,\\\"provenance\\\":[0.5,{}]")).unwrap();
    assert_eq!((later.metadata(), later.weights()), (known.metadata(), known.weights()));
    for (inside, part) in [
        ("\\\"preprocessing\\\":{", "unknown field `gamma`"),
        ("{\\\"name\\\":\\\"bn1\\\",", "layer `bn1` (batch_norm2d): there is no argument `gamma`"),
        ("\\\"architecture\\\":{", "there is no key `gamma` in a network"),
    ] {
        let fault = edited(|header| {
            assert!(header.contains(inside), "{header}");
            header.replace(inside, &format!("{inside}\\\"gamma\\\":2,"))
        });
        assert!(fault.to_string().contains(part), "{fault}");
    }
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    // Its name is taken by a folder that is not empty: the rename fails, after everything was written.
    std::fs::create_dir_all(path.join("inside")).unwrap();
    let message = checkpoint::save(&path, &small(0.3)).unwrap_err().to_string();
    assert!(message.starts_with("cannot write ") && message.contains("small.safetensors"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn equal_models_are_equal_files() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let file = checkpoint::write(&small(0.3), dtype);
        assert_eq!(file, checkpoint::write(&small(0.3), dtype));
        let read = checkpoint::read(&file).unwrap();
        assert_eq!(file, checkpoint::write(&read, dtype), "{dtype}: written, read and written");
    }
}

#[test]
fn a_fault_says_what_to_do() {
    let cases = [
        (edited(|header| header.replace("\"convscope\"", "\"other\"")), "convscope import FILE --arch"),
        (edited(|header| header.replace("{\\\"format\\\":1", "{\\\"format\\\":7,\\\"new_key\\\":1")), "use a newer convscope"),
        (edited(|header| header.replace("{\\\"format\\\":1,", "{")), "no `format` number"),
        (edited(|header| header.replace("\"fc.bias\"", "\"fc.bios\"")), "`fc.bias` is missing: expected [2]"),
        (edited(|header| header.replace("\\\"one\\\",", "")), "1 class names for 2 scores"),
        (edited(|header| header.replace("[2,3,3,3]", "[2,3,3,4]")), "no whole safetensors file"),
        (checkpoint::read(b"GIF89a").unwrap_err(), "no whole safetensors file"),
    ];
    for (fault, part) in cases {
        assert!(fault.to_string().contains(part), "{fault}");
    }
}

#[test]
fn a_file_s_fault_names_the_file() {
    let missing = checkpoint::load(Path::new("no/such.safetensors")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read no/such.safetensors: "), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    let bytes = checkpoint::write(&small(0.0), Dtype::F32);
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let cut = checkpoint::load(&path).unwrap_err().to_string();
    assert!(cut.contains("cut.safetensors: this is no whole safetensors file"), "{cut}");
}

#[test]
fn a_file_that_is_half_another_one_is_no_model() {
    let (one, other) = (checkpoint::write(&small(0.0), Dtype::F32), checkpoint::write(&small(0.5), Dtype::F32));
    assert_eq!(one.len(), other.len());
    for cut in [one.len() / 2, one.len() - 4] {
        for half in [[&one[..cut], &other[cut..]].concat(), [&other[..cut], &one[cut..]].concat()] {
            let fault = checkpoint::read(&half).unwrap_err();
            assert!(matches!(&fault, Error::Damaged) && fault.to_string().contains("copy it again"), "{fault}");
        }
    }
    // Files of other writers have no digest, and are read.
    let without = edited_file(|header| header.replace("convscope_sha256", "something_else")).unwrap();
    assert_eq!(without.weights(), small(0.0).weights());
}
