//! Datasets as they really come: official, partial, damaged, in folders.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use convscope::dataset::cifar10::CLASSES;
use convscope::dataset::{Dataset, Error, Reading, Rules, open, open_at, open_watched};
use convscope::picture::pixels::luma;
use convscope::picture::{Channels, Filter, Fit, Target};
use tempfile::TempDir;

use crate::pictures::rgb_png;

const RECORD: usize = 3073;

pub(crate) fn official() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin")
}

fn batch(name: &str) -> Vec<u8> {
    fs::read(official().join(name)).unwrap()
}

/// A folder with the batches, changed by `change`.
fn changed(change: impl FnOnce(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(official()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    change(folder.path());
    folder
}

fn check_subset(set: &Dataset) {
    assert_eq!((set.train.len(), set.test.len()), (320, 200));
    assert_eq!((set.height, set.width, set.channels), (32, 32, 3));
    assert_eq!(set.classes, CLASSES);
    // Training image 7 is the tutorial's horse.
    assert_eq!(set.classes[set.train.label(7) as usize], "horse");
    let record = &batch("data_batch_1.bin")[7 * RECORD + 1..8 * RECORD];
    let pixels = set.train.pixels(7);
    for at in [0, 1, 31, 32, 1023] {
        assert_eq!(pixels[3 * at..3 * at + 3], [record[at], record[1024 + at], record[2048 + at]]);
    }
    // The second batch follows the first.
    assert_eq!(set.train.label(64), u32::from(batch("data_batch_2.bin")[0]));
    assert_eq!(set.test.label(199), u32::from(batch("test_batch.bin")[199 * RECORD]));
    assert_eq!(set.notes.len(), 6, "{:?}", set.notes);
    assert_eq!(set.notes[0], "data_batch_1.bin has 64 of the official 10,000 images");
}

#[test]
fn cifar10_is_found_as_folder_as_its_parent_and_as_archive() {
    check_subset(&open(&official(), 0).unwrap());
    check_subset(&open(official().parent().unwrap(), 0).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any name");
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast()));
    // In another order than the official archive's.
    for name in
        ["data_batch_3.bin", "test_batch.bin", "data_batch_1.bin", "data_batch_5.bin", "data_batch_2.bin", "data_batch_4.bin"]
    {
        archive.append_path_with_name(official().join(name), Path::new("cifar-10-batches-bin").join(name)).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
    check_subset(&open(&path, 0).unwrap());
}

#[test]
fn damaged_sets_are_refused_by_name() {
    let refused = |change: &dyn Fn(&Path)| open(changed(change).path(), 0).unwrap_err().to_string();
    let long = refused(&|folder| fs::write(folder.join("test_batch.bin"), vec![0; RECORD + 1]).unwrap());
    assert!(long.starts_with("test_batch.bin has 3074 bytes, which is not 1 to 10,000 records"), "{long}");
    let empty = refused(&|folder| fs::write(folder.join("data_batch_3.bin"), []).unwrap());
    assert!(empty.starts_with("data_batch_3.bin has 0 bytes"), "{empty}");
    let label = refused(&|folder| {
        let mut records = batch("data_batch_2.bin");
        records[5 * RECORD] = 10;
        fs::write(folder.join("data_batch_2.bin"), records).unwrap();
    });
    assert!(label.starts_with("data_batch_2.bin: image 5 has label 10"), "{label}");
    let missing = refused(&|folder| fs::remove_file(folder.join("test_batch.bin")).unwrap());
    assert!(missing.starts_with("test_batch.bin is missing from "), "{missing}");
    // Of the official length, but not what is published.
    let digest = refused(&|folder| fs::write(folder.join("data_batch_4.bin"), vec![0; 30_730_000]).unwrap());
    assert!(digest.starts_with("data_batch_4.bin is damaged: its SHA-256 is "), "{digest}");
    // A missing training batch is no error, but it is said.
    let set = open(changed(|folder| fs::remove_file(folder.join("data_batch_5.bin")).unwrap()).path(), 0).unwrap();
    assert_eq!((set.train.len(), set.notes[4].as_str()), (256, "data_batch_5.bin is missing: this is a part of CIFAR-10"));
}

/// The same images under two names would be trained on twice, or measured with after training.
#[test]
fn batches_that_are_the_same_are_refused_by_name() {
    for (copy, of) in [("data_batch_4.bin", "data_batch_2.bin"), ("test_batch.bin", "data_batch_1.bin")] {
        let folder = changed(|folder| assert!(fs::copy(official().join(of), folder.join(copy)).unwrap() > 0));
        let error = open(folder.path(), 0).unwrap_err().to_string();
        assert_eq!(error, format!("{of} and {copy} hold the same images, which would be counted twice: download the set again"));
    }
    // Twice in an archive.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twice.tar.gz");
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast()));
    for name in ["data_batch_1.bin", "test_batch.bin", "data_batch_1.bin"] {
        archive.append_path_with_name(official().join(name), name).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
    let error = open(&path, 0).unwrap_err().to_string();
    assert!(error.starts_with("data_batch_1.bin and data_batch_1.bin hold the same images"), "{error}");
}

#[test]
fn cifar10_is_read_as_luma_for_a_grey_network() {
    let (color, grey) = (open(&official(), 0).unwrap(), open_at(&official(), &reading(0, 32, 32, Channels::Grey)).unwrap());
    assert_eq!((grey.channels, grey.train.len(), grey.test.len()), (1, 320, 200));
    assert_eq!(grey.train.labels(), color.train.labels());
    for index in [0, 7, 319] {
        let expected: Vec<u8> = color.train.pixels(index).as_chunks().0.iter().map(|&color| luma(color)).collect();
        assert_eq!(grey.train.pixels(index), expected);
    }
    assert_ne!(grey.digest(), color.digest());
    assert_eq!(color.digest(), open(official().parent().unwrap(), 5).unwrap().digest());
    assert_eq!(grey.train.statistics().mean.len(), 1);
}

/// Whoever follows is asked, and may end it.
#[test]
fn reading_can_be_followed_and_ended() {
    let root = tempfile::tempdir().unwrap();
    (0..2).for_each(|label| class(root.path(), "train", label, 30));
    for path in [root.path(), &official()] {
        let mut told = Vec::new();
        let mut follow = |done, total| {
            told.push((done, total));
            ControlFlow::Continue(())
        };
        open_watched(path, &reading(0, 32, 32, Channels::Rgb), &mut follow).unwrap();
        assert!(!told.is_empty() && told.iter().all(|(done, total)| done <= total), "{told:?}");
        let ended = open_watched(path, &reading(0, 32, 32, Channels::Rgb), &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(ended, Err(Error::Stopped)), "{ended:?}");
    }
}

#[test]
fn what_is_no_dataset_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(folder.path(), 0), Err(Error::Unrecognised(_))));
    fs::write(folder.path().join("file"), "text").unwrap();
    assert!(matches!(open(&folder.path().join("file"), 0), Err(Error::Unrecognised(_))));
    assert!(matches!(open(&folder.path().join("absent"), 0), Err(Error::Io { .. })));
    let error = open_at(&official(), &reading(0, 28, 64, Channels::Rgb)).unwrap_err().to_string();
    assert_eq!(
        error,
        "CIFAR-10's images are 32×32 and the network takes 28×64: use a network with a 32×32 input, or fit it with --fit-data (`fit_data` in a request)"
    );
}

#[test]
fn parts_are_held_out_and_measured() {
    let set = open(&official(), 0).unwrap();
    let (train, tune) = set.train.hold_out(20).unwrap();
    assert_eq!((train.len(), tune.len()), (300, 20));
    assert_eq!((tune.pixels(0), tune.label(0)), (set.train.pixels(300), set.train.label(300)));
    let statistics = train.statistics();
    for channel in 0..3 {
        let values: Vec<f64> = (0..300)
            .flat_map(|image| train.pixels(image)[channel..].iter().step_by(3).map(|&value| f64::from(value) / 255.0))
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((statistics.mean[channel] - mean).abs() < 1e-9 && (statistics.std[channel] - variance.sqrt()).abs() < 1e-9);
    }
}

/// As the tests ask for images: cropped, on white.
pub(crate) fn reading(seed: u64, height: usize, width: usize, channels: Channels) -> Reading {
    let target = Target { height, width, channels, fit: Fit::Crop, filter: Filter::Triangle, background: [255; 3] };
    Reading { seed, target, rules: Rules::default() }
}

/// `root`/PART/CLASS with `count` images, each of one colour of its own: class, then number.
fn class(root: &Path, part: &str, class: u8, count: u8) {
    let folder = root.join(part).join(["ant", "bee", "cow"][usize::from(class)]);
    fs::create_dir_all(&folder).unwrap();
    for number in 0..count {
        let png = rgb_png(5, 7, &[class, number, 200].repeat(35));
        fs::write(folder.join(format!("{number:03}.png")), png).unwrap();
    }
}

#[test]
fn a_folder_of_images_is_read_at_the_size_asked_for() {
    let root = tempfile::tempdir().unwrap();
    for (part, count) in [("train", 4), ("test", 2)] {
        class(root.path(), part, 0, count);
        class(root.path(), part, 1, count);
    }
    fs::write(root.path().join("train/ant/notes.txt"), "not an image").unwrap();
    fs::write(root.path().join("train/.DS_Store"), "nor this").unwrap();
    let set = open_at(root.path(), &reading(1, 6, 4, Channels::Rgb)).unwrap();
    assert_eq!((set.train.len(), set.test.len(), set.height, set.width, set.channels), (8, 4, 6, 4, 3));
    assert_eq!(set.classes, ["ant", "bee"]);
    let notes = [
        "1 hidden or system file was left out: .DS_Store",
        "1 file that is no image read here was left out: train/ant/notes.txt (no image)",
    ];
    assert_eq!(set.notes, notes);
    let mut seen: Vec<_> = (0..8).map(|image| (set.train.label(image), set.train.pixels(image).to_vec())).collect();
    seen.sort();
    for (at, (label, pixels)) in seen.iter().enumerate() {
        assert_eq!((*label, pixels.as_slice()), ((at / 4) as u32, [(at / 4) as u8, (at % 4) as u8, 200].repeat(24).as_slice()));
    }
}

#[test]
fn a_tenth_of_every_class_is_held_out_by_the_seed() {
    let root = tempfile::tempdir().unwrap();
    for (label, count) in [(0, 40), (1, 10), (2, 3)] {
        class(root.path(), "train", label, count);
    }
    let held = |seed: u64| {
        let set = open(root.path(), seed).unwrap();
        let identity = |pixels: &[u8]| (pixels[0], pixels[1]);
        let mut test: Vec<_> = (0..set.test.len()).map(|image| identity(set.test.pixels(image))).collect();
        let train: Vec<_> = (0..set.train.len()).map(|image| identity(set.train.pixels(image))).collect();
        assert!(test.iter().all(|image| !train.contains(image)), "an image is in both sets");
        assert_eq!(test.len() + train.len(), 53);
        test.sort_unstable();
        (test, train)
    };
    let (test, train) = held(1);
    assert_eq!([0, 1, 2].map(|label| test.iter().filter(|(class, _)| *class == label).count()), [4, 1, 1]);
    assert_eq!(held(1), (test.clone(), train.clone()));
    assert_ne!(held(2).0, test);
    assert!(train.windows(2).any(|pair| pair[0].0 > pair[1].0), "training images are mixed");
}

#[test]
fn folders_that_cannot_be_used_say_why() {
    let root = tempfile::tempdir().unwrap();
    class(root.path(), "train", 0, 3);
    let refused = || open(root.path(), 0).unwrap_err().to_string();
    assert!(refused().ends_with("expected a folder for each of two classes or more, found 1"), "{}", refused());
    fs::create_dir(root.path().join("train/bee")).unwrap();
    assert!(refused().contains("bee: it has no images: put this class's PNG, JPEG"), "{}", refused());
    class(root.path(), "train", 1, 3);
    class(root.path(), "test", 2, 1);
    assert!(refused().contains("its class `cow` is not in train/: the classes there are ant, bee"), "{}", refused());
    fs::remove_dir_all(root.path().join("test")).unwrap();
    fs::write(root.path().join("train/ant/broken.png"), "no image").unwrap();
    fs::write(root.path().join("train/bee/empty.jpg"), "").unwrap();
    let error = refused();
    assert!(error.contains("ant/broken.png: this is not a format read here"), "{error}");
    assert!(
        error.starts_with("2 images cannot be read; mend or remove them, or leave them out with --skip-unreadable (`skip_unreadable` in a request):"),
        "{error}"
    );
}
