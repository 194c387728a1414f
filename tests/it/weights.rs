//! Checkpoints as people save and download them: whichever way the same network is wrapped, the same file comes out; what is no
//! checkpoint is called what it is; nothing in a file makes the reader panic or take memory that the file does not have. How each
//! file was made: tests/data/cases/weights.py.

use std::io::Read;
use std::path::{Path, PathBuf};

use convscope::checkpoint::import::Imported;
use convscope::checkpoint::{self, Contents, Dtype, Tensor, safetensors_bytes};
use convscope::network::{Architecture, Metadata, Preprocessing, model};
use proptest::prelude::*;

use crate::allocations::peak_of;
use crate::cli::{Output, convscope};

fn file(name: &str) -> PathBuf {
    Path::new("tests/data/cases/weights").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

fn tiny() -> Metadata {
    let architecture = Architecture::from_toml(&std::fs::read_to_string(file("tiny.toml")).unwrap()).unwrap();
    Metadata {
        format: model::FORMAT,
        name: "tiny".into(),
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

/// The model file that the checkpoint in `bytes` gives, and what was noted.
fn imported(bytes: &[u8]) -> Result<(Vec<u8>, Vec<String>), String> {
    let Imported { model, notes } = Imported::read(bytes, tiny()).map_err(|fault| fault.to_string())?;
    Ok((checkpoint::write(&model, Dtype::F32), notes))
}

fn plain() -> Vec<u8> {
    let (model, notes) = imported(&bytes("plain.pth")).unwrap();
    assert_eq!(notes, [""; 0]);
    model
}

#[test]
fn however_a_network_was_saved_the_same_bytes_come_out() {
    let expected = plain();
    let only = |key| format!("the state dict is the one under the key {key}");
    for (name, notes) in [
        // Where the archive's records lie follows from the length of the file's name.
        ("a.pth", vec![]),
        ("resnet18_cifar10_best.pth", vec![]),
        ("a-name-longer-than-sixty-four-characters-which-moves-every-record-of-it.pth", vec![]),
        ("packed-again.pth", vec![]),
        // Tensors beside the state dict, which is found by looking.
        (
            "stray-tensors.pth",
            vec![
                only("`state_dict`") + "; passed over what is beside it: `best_acc1`, `epoch`, `optimizer`, `rng_state`",
                "the tensors' names begin with `module.`, which was taken off".into(),
            ],
        ),
        ("under-network.pth", vec![only("`network`") + "; passed over what is beside it: `acc`"]),
        ("two-levels.pth", vec![only("`trainer`.`weights`") + "; passed over what is beside it: `config`"]),
        ("in-a-list.pth", vec![only("`1`")]),
        ("in-a-dict-subclass.pth", vec![only("`model_state_dict`") + "; passed over what is beside it: `lr`"]),
        ("in-a-namespace.pth", vec![only("`ckpt`.`weights`") + "; passed over what is beside it: `args`"]),
        // Prefixes.
        ("prefix-model.pth", vec![only("`state_dict`"), "the tensors' names begin with `model.`, which was taken off".into()]),
        ("prefix-three.pth", vec!["the tensors' names begin with `_orig_mod.module.backbone.`, which was taken off".into()]),
        // More than one that fits, and one that is there twice.
        (
            "average-beside.pth",
            vec![
                only("`model`") + "; passed over what is beside it: `ema`",
                "`ema` would fit as well: to import another one, save it alone".into(),
            ],
        ),
        ("same-dict-twice.pth", vec![only("`model`") + "; passed over what is beside it: `state_dict`"]),
        (
            "swa.pth",
            vec![
                "the tensors' names begin with `module.`, which was taken off".into(),
                "passed over among the tensors, since no layer has them: `n_averaged`".into(),
            ],
        ),
        // Harmless neighbours, and the same among the tensors.
        (
            "neighbours.pth",
            vec![
                only("`state_dict`")
                    + "; passed over what is beside it: `args`, `array`, `bytes`, `class`, `complex`, `counts`, `device`, `dtype`, \
                       `float`, `function`, `generator`, `groups`, `kept`, `losses`, `meter`, `negative`, `numpy`, `path`, `python`, \
                       `seed` and 6 more",
            ],
        ),
        ("among-the-tensors.pth", vec!["passed over among the tensors, since no layer has them: `epoch`, `note`".into()]),
        // Every protocol that PyTorch can be told to use.
        ("protocol-3.pth", vec![only("`state_dict`") + "; passed over what is beside it: `bytes`, `epoch`, `seen`"]),
        ("protocol-4.pth", vec![only("`state_dict`") + "; passed over what is beside it: `bytes`, `epoch`, `seen`"]),
        ("protocol-5.pth", vec![only("`state_dict`") + "; passed over what is beside it: `bytes`, `epoch`, `seen`"]),
        // Parameters, views and number types.
        ("parameters.pth", vec![]),
        ("parameter-with-state.pth", vec![]),
        ("one-storage.pth", vec![]),
        ("transposed.pth", vec![]),
        ("bfloat16.pth", vec![]),
        ("float16.pth", vec![]),
        ("float64.pth", vec!["numbers of 64 bits were rounded to 32".into()]),
    ] {
        let (model, said) = imported(&bytes(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(model == expected, "{name} gives another model");
        assert_eq!(said, notes, "{name}");
    }
}

#[test]
fn a_stride_of_zero_repeats_its_number() {
    let (model, _) = imported(&bytes("expanded.pth")).unwrap();
    assert_eq!(checkpoint::read(&model).unwrap().weights().get("bn1.running_mean").unwrap().values, [0.5, 0.5]);
}

/// The entries of plain.pth under a folder called `stem`, with the records that PyTorch's writer makes: zip64's always.
fn archived(stem: &str, byteorder: &[u8]) -> Vec<u8> {
    let plain = bytes("plain.pth");
    let mut zip = zip::ZipArchive::with_config(
        zip::read::Config { archive_offset: zip::read::ArchiveOffset::Known(0) },
        std::io::Cursor::new(&plain),
    )
    .unwrap();
    let (mut out, mut directory, count) = (Vec::new(), Vec::new(), zip.len() as u64);
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).unwrap();
        let name = entry.name().unwrap().replacen("plain", stem, 1);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if name.ends_with("/byteorder") {
            content = byteorder.to_vec();
        }
        // Nobody checks the sum: PyTorch can be told not to write it.
        let (at, size, crc) = (out.len() as u32, content.len() as u32, 0u32);
        // Version, flags, method, time, date: the same in both headers.
        let common = [20u16, 0, 0, 0, 0].map(u16::to_le_bytes).concat();
        let sizes = [crc.to_le_bytes(), size.to_le_bytes(), size.to_le_bytes()].concat();
        let length = (name.len() as u16).to_le_bytes();
        out.extend([&b"PK\x03\x04"[..], &common, &sizes, &length, &[0; 2], name.as_bytes()].concat());
        out.extend(content);
        directory
            .extend([&b"PK\x01\x02\x14\x00"[..], &common, &sizes, &length, &[0; 12], &at.to_le_bytes(), name.as_bytes()].concat());
    }
    let (at, size) = (out.len() as u64, directory.len() as u64);
    out.extend(directory);
    let record = out.len() as u64;
    out.extend([&b"PK\x06\x06"[..], &44u64.to_le_bytes(), &[45, 0, 45, 0], &[0; 8]].concat());
    out.extend([count, count, size, at].map(u64::to_le_bytes).concat());
    out.extend([&b"PK\x06\x07"[..], &[0; 4], &record.to_le_bytes(), &1u32.to_le_bytes()].concat());
    let counts = [0u16, 0, count as u16, count as u16].map(u16::to_le_bytes).concat();
    out.extend([&b"PK\x05\x06"[..], &counts, &(size as u32).to_le_bytes(), &(at as u32).to_le_bytes(), &[0; 2]].concat());
    out
}

#[test]
fn the_length_of_a_files_name_changes_nothing() {
    let expected = plain();
    for length in 1..=160 {
        let (model, _) =
            imported(&archived(&"n".repeat(length), b"little")).unwrap_or_else(|fault| panic!("{length} characters: {fault}"));
        assert!(model == expected, "{length} characters");
    }
}

#[test]
fn numbers_of_another_byte_order_are_refused() {
    assert!(imported(&archived("plain", b"big")).unwrap_err().contains("its numbers are big-endian"));
}

fn run(bytes: &[u8], name: &str) -> (Output, Option<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let (weights, out) = (folder.path().join(name), folder.path().join("models/tiny.safetensors"));
    std::fs::write(&weights, bytes).unwrap();
    let (weights, arch) = (weights.to_str().unwrap(), file("tiny.toml"));
    let arguments = ["import", weights, "--arch", arch.to_str().unwrap(), "--classes", "a,b,c", "--out", out.to_str().unwrap()];
    let output = convscope(&arguments);
    if output.code != 0 {
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [name], "a refused import leaves nothing behind");
    }
    (output, std::fs::read(out).ok())
}

#[test]
fn the_command_writes_the_same_file_and_prints_its_notes() {
    let (output, model) = run(&bytes("stray-tensors.pth"), "checkpoint.pth.tar");
    let said = output.succeeded();
    assert!(said.contains("note     the state dict is the one under the key `state_dict`"), "{said}");
    assert_eq!(model.unwrap(), plain());
}

#[test]
fn what_a_download_may_be_instead_is_called_what_it_is() {
    let plain = bytes("plain.pth");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    let safetensors = safetensors_bytes(&[].into(), &[Tensor { name: "w", shape: &[2], values: &[1.0, 2.0] }], Dtype::F32);
    let half = "this is a part of a PyTorch file, or a damaged one";
    for (bytes, part) in [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 46830571\n".to_vec(),
            "this is a Git LFS pointer, not the file",
        ),
        (b"<!DOCTYPE html>\n<html><head><title>Sign in</title>".to_vec(), "this is a web page"),
        (b"\n\n<html lang=\"en\">".to_vec(), "this is a web page"),
        (b"{\"error\":\"rate limited\"}".to_vec(), "this is a text that begins with \"{\\\"error"),
        (gzip.finish().unwrap(), "compressed by gzip; unpack it"),
        (Vec::new(), "this is an empty file"),
        (vec![0; 4096], "4096 zeros, as an interrupted download leaves"),
        (plain[..plain.len() / 2].to_vec(), half),
        (plain[..plain.len() - 1].to_vec(), half),
        (plain[..30].to_vec(), half),
        (safetensors[..safetensors.len() - 3].to_vec(), "this is a part of a safetensors file"),
        (bytes("legacy.pth"), "PyTorch's format before version 1.6; write it again"),
        (bytes("downloaded.pth"), "not written by `torch.save` (it has no `data.pkl`): unpack it, and import `weights/plain.pth`"),
        (bytes("compressed.pth"), "compressed, as `torch.save` never does"),
        (bytes("no-tensors.pth"), "there are no tensors in it; its keys are: `args`, `epoch`: save `model.state_dict()` alone"),
        (bytes("whole-model.pth"), "a whole model object (`__main__.Tiny`)"),
    ] {
        let message = run(&bytes, "resnet.pth").0.failed(1);
        assert!(message.contains("resnet.pth: ") && message.contains(part), "{part:?} is not in {message}");
    }
}

#[test]
fn content_decides_whatever_the_file_is_called() {
    let model = plain();
    let parameters = Contents::read(&model).unwrap().parameters;
    let tensors: Vec<Tensor<'_>> = parameters.iter().map(Tensor::from).collect();
    let (_, renamed) = run(&safetensors_bytes(&[].into(), &tensors, Dtype::F32), "renamed.pth");
    assert_eq!(renamed.unwrap(), model);
    let (_, renamed) = run(&bytes("plain.pth"), "renamed.safetensors");
    assert_eq!(renamed.unwrap(), model);
}

#[test]
fn a_tensor_that_cannot_be_a_weight_is_named() {
    for (name, part) in [
        ("integers.pth", "`fc.weight` is of type int8: weights must be float32, float16, bfloat16 or float64"),
        ("float8.pth", "`fc.weight` is of type float8_e4m3fn"),
        ("sparse.pth", "`fc.weight` is built by PyTorch's `_rebuild_sparse_tensor`: only plain dense tensors"),
        ("numpy-arrays.pth", "`conv1.bias` is a NumPy array: save it as a tensor"),
    ] {
        let message = run(&bytes(name), name).0.failed(1);
        assert!(message.contains(part) && !message.contains("is missing"), "{message}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused_by_tensor() {
    for (name, part) in [
        ("nan.pth", "`bn1.running_var` has 1 of 2 numbers that are not finite"),
        ("infinite.pth", "`fc.bias` has 1 of 3 numbers that are not finite"),
        ("float64-too-large.pth", "`fc.bias` has 1 of 3 numbers that are not finite"),
    ] {
        let message = run(&bytes(name), name).0.failed(1);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_header_of_a_list_of_models_costs_no_more_than_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    // Every number of such a list would take sixteen times its two bytes.
    let header = format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{}1],\"data_offsets\":[0,4]}}}}", "1,".repeat(1 << 20));
    std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()).unwrap();
    let (answer, peak) = peak_of(|| checkpoint::store::Source::File(path).describe());
    assert!(answer.unwrap_err().to_string().contains("without `convscope` metadata"));
    assert!(peak < 3 * header.len(), "{peak} bytes for {}", header.len());
}

/// Changes of a file: bytes set, copied over others, and a cut.
#[derive(Debug, Clone)]
struct Damage {
    set: Vec<(usize, u8)>,
    copies: Vec<(usize, usize, usize)>,
    cut: Option<usize>,
}

impl Damage {
    fn to(&self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        let length = bytes.len();
        for &(from, to, count) in &self.copies {
            let count = count.min(length - from % length).min(length - to % length);
            bytes.copy_within(from % length..from % length + count, to % length);
        }
        for &(at, value) in &self.set {
            bytes[at % length] = value;
        }
        bytes.truncate(self.cut.map_or(length, |cut| cut % length));
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let set = prop::collection::vec((any::<usize>(), prop_oneof![any::<u8>(), Just(0), Just(0xFF), Just(0x7F), Just(b']')]), 0..6);
    let copies = prop::collection::vec((any::<usize>(), any::<usize>(), 1usize..40), 0..3);
    (set, copies, prop::option::weighted(0.1, any::<usize>())).prop_map(|(set, copies, cut)| Damage { set, copies, cut })
}

/// The same places are hit within a file's description, which is a small part of it.
fn within(start: usize, end: usize, damage: &Damage, whole: &[u8]) -> Vec<u8> {
    [&whole[..start], &damage.to(&whole[start..end])[..], &whole[end..]].concat()
}

/// Far above what any file of this size needs, far below what a length of 32 bits could ask for.
const FACTOR: usize = 60;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_damaged_pytorch_file_gives_an_answer_within_its_size(damage in damage(), pickle in any::<bool>(), which in 0usize..5) {
        let name = ["neighbours.pth", "stray-tensors.pth", "one-storage.pth", "protocol-4.pth", "whole-model.pth"][which];
        let (whole, metadata) = (bytes(name), tiny());
        // The pickle is the first entry: from its header's fields to the next one's.
        let end = whole.windows(4).skip(1).position(|next| next == b"PK\x03\x04").unwrap();
        let damaged = if pickle { within(4, end, &damage, &whole) } else { damage.to(&whole) };
        let ((), peak) = peak_of(|| drop(Imported::read(&damaged, metadata)));
        prop_assert!(peak <= FACTOR * whole.len() + (1 << 16), "{peak} bytes for {}", whole.len());
    }

    #[test]
    fn a_damaged_safetensors_file_gives_an_answer_within_its_size(damage in damage(), header in any::<bool>()) {
        let (whole, metadata) = (plain(), tiny());
        let end = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let damaged = if header { within(0, end, &damage, &whole) } else { damage.to(&whole) };
        let ((), peak) = peak_of(|| drop((checkpoint::read(&damaged), Imported::read(&damaged, metadata))));
        prop_assert!(peak <= FACTOR * whole.len() + (1 << 16), "{peak} bytes for {}", whole.len());
    }
}
