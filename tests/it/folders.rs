//! Folders of images as people have them: from a Mac, from an archive, from a download that went wrong, sorted in other ways.

use std::fs;
use std::path::Path;

use convscope::dataset::{Dataset, Error, Reading, Rules, open, open_at};
use convscope::picture::Channels;
use convscope::picture::decode::Limits;
use tempfile::TempDir;

use crate::cli::convscope_in;
use crate::dataset::reading;
use crate::pictures::{file, rgb_png};

/// A picture of one colour.
fn png(red: u8) -> Vec<u8> {
    rgb_png(5, 7, &[red, 9, 200].repeat(35))
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `count` pictures in each of two classes under `part`.
fn classes(root: &Path, part: &str, count: u8) {
    for class in ["ant", "bee"] {
        (0..count).for_each(|number| put(root, &format!("{part}/{class}/{number:03}.png"), &png(number)));
    }
}

fn folder(parts: &[(&str, u8)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (part, count) in parts {
        classes(root.path(), part, *count);
    }
    root
}

fn sizes(set: &Dataset) -> (usize, usize) {
    (set.train.len(), set.test.len())
}

fn leaving_out() -> Reading {
    Reading { rules: Rules { skip_unreadable: true, ..Rules::default() }, ..reading(0, 32, 32, Channels::Rgb) }
}

#[test]
fn what_systems_leave_is_left_out_with_one_note() {
    let root = folder(&[("train", 4), ("test", 2)]);
    for path in [
        ".DS_Store",
        "__MACOSX/train/ant/._000.png",
        "train/.DS_Store",
        "train/ant/._000.png",
        "train/ant/Thumbs.db",
        "train/bee/desktop.ini",
        "train/bee/@eaDir/000.png/SYNOPHOTO_THUMB_M.png",
        "train/lost+found/000.png",
        "train/$RECYCLE.BIN/000.png",
        "test/ant/._000.png",
    ] {
        // Some of it are pictures by their content.
        put(root.path(), path, &png(1));
    }
    let set = open(root.path(), 0).unwrap();
    assert_eq!((sizes(&set), set.classes.len()), ((8, 4), 2));
    let [note] = set.notes.as_slice() else { panic!("{:?}", set.notes) };
    assert!(note.starts_with("8 hidden and system files were left out: "), "{note}");
    assert!(["._000.png", ".DS_Store", "Thumbs.db", "@eaDir", "lost+found"].iter().all(|name| note.contains(name)), "{note}");
}

#[test]
fn validation_folders_beside_train_are_the_test_set() {
    for name in ["val", "valid", "validation", "Val", "testing"] {
        let set = open(folder(&[("train", 5), (name, 3)]).path(), 0).unwrap();
        assert_eq!((sizes(&set), set.notes), ((10, 6), vec![format!("{name}/ is the test set")]));
    }
    // With `test/` beside it, it is not used, and that is said.
    let set = open(folder(&[("train", 5), ("test", 2), ("valid", 3)]).path(), 0).unwrap();
    assert_eq!((sizes(&set), set.notes), ((10, 4), vec!["valid/ is not used: there is a test set already".to_owned()]));
    // A test set without classes, as contests have it, gives way to one with them.
    let root = folder(&[("train", 5), ("val", 3)]);
    put(root.path(), "test/images/1.png", &png(1));
    let set = open(root.path(), 0).unwrap();
    assert_eq!(sizes(&set), (10, 6));
    assert_eq!(set.notes, ["test/ is not used: its images do not lie in a folder a class", "val/ is the test set"]);
}

#[test]
fn images_may_lie_deeper_in_a_class() {
    let root = tempfile::tempdir().unwrap();
    for class in ["n01", "n02"] {
        (0..20).for_each(|number| put(root.path(), &format!("train/{class}/images/{class}_{number}.JPEG"), &file("plain.jpg")));
        put(root.path(), &format!("train/{class}/{class}_boxes.txt"), b"0 0 1 1");
    }
    let set = open(root.path(), 0).unwrap();
    assert_eq!(sizes(&set), (36, 4));
    let note = "2 files that are no images read here were left out: train/n01/n01_boxes.txt (no image), train/n02/n02_boxes.txt (no image)";
    assert!(set.notes.iter().any(|found| found == note), "{:?}", set.notes);
}

#[test]
#[cfg(unix)]
fn a_link_that_leads_back_is_followed_once() {
    let root = folder(&[("train", 4), ("test", 2)]);
    std::os::unix::fs::symlink(root.path().join("train/ant"), root.path().join("train/ant/again")).unwrap();
    assert_eq!(sizes(&open(root.path(), 0).unwrap()), (8, 4));
}

#[test]
fn content_decides_what_is_an_image() {
    let root = folder(&[("test", 2)]);
    for (name, bytes) in [
        ("ant/1.jfif", file("plain.jpg")),
        ("ant/2.jpe", file("plain.jpg")),
        ("ant/3", png(3)),
        ("ant/4.txt", png(4)),
        ("bee/5.WEBP", file("lossy.webp")),
        ("bee/6.jpg", png(6)),
        ("bee/7.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec()),
    ] {
        put(root.path(), &format!("train/{name}"), &bytes);
    }
    let set = open(root.path(), 0).unwrap();
    assert_eq!(sizes(&set), (6, 4));
    assert_eq!(set.notes, ["1 file that is no image read here was left out: train/bee/7.heic (HEIC/HEIF)"]);
}

#[test]
fn composed_and_decomposed_names_are_one_class() {
    let root = tempfile::tempdir().unwrap();
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for number in 0..6 {
        for class in [composed, decomposed, "th\u{e9}"] {
            put(root.path(), &format!("train/{class}/{number}.png"), &png(number));
        }
        put(root.path(), &format!("test/{decomposed}/{number}.png"), &png(number));
    }
    let set = open(root.path(), 0).unwrap();
    assert_eq!(set.classes, [composed, "th\u{e9}"]);
    assert_eq!(sizes(&set), (18, 6));
    assert!(set.test.labels().iter().all(|label| *label == 0));
}

/// A folder with an image that cannot be read in each of both sets, and one of each fault.
fn as_downloaded() -> TempDir {
    let root = folder(&[("train", 6), ("val", 3)]);
    let whole = file("plain.jpg");
    put(root.path(), "train/ant/404.jpg", b"<html><body>404 Not Found</body></html>");
    put(root.path(), "train/bee/666.jpg", b"");
    put(root.path(), "val/ant/cut.jpg", &whole[..whole.len() / 2]);
    put(root.path(), "val/bee/phone.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    // Read, whatever they are called.
    put(root.path(), "train/ant/gif.jpg", &file("still.gif"));
    put(root.path(), "train/bee/cmyk.jpg", &file("cmyk.jpg"));
    root
}

const FAULTS: [&str; 4] = [
    "train/ant/404.jpg: HTML is not a format read here",
    "train/bee/666.jpg: the image is empty",
    "val/ant/cut.jpg: the JPEG file ends before its picture does",
    "val/bee/phone.jpg: HEIC/HEIF is not a format read here",
];

#[test]
fn all_faults_of_both_sets_are_named_at_once_or_left_out() {
    let root = as_downloaded();
    let error = open(root.path(), 0).unwrap_err().to_string();
    assert!(error.starts_with("4 images cannot be read") && error.contains("--skip-unreadable"), "{error}");
    assert!(FAULTS.iter().all(|fault| error.contains(fault)), "{error}");

    let set = open_at(root.path(), &leaving_out()).unwrap();
    assert_eq!(sizes(&set), (14, 6));
    let note = set.notes.iter().find(|note| note.starts_with("4 images that cannot be read were left out: ")).unwrap();
    assert!(FAULTS.iter().all(|fault| note.contains(fault)), "{note}");
    // Pixels and labels still belong together.
    for index in 0..set.test.len() {
        assert_eq!(set.test.pixels(index)[1..3], [9, 200], "{index}");
    }
    let of = |label: u32| (0..set.train.len()).filter(|index| set.train.label(*index) == label).count();
    assert_eq!((of(0), of(1)), (7, 7));
}

#[test]
fn where_nothing_can_be_read_that_is_the_error() {
    let root = folder(&[("train", 4)]);
    put(root.path(), "test/ant/1.jpg", b"");
    let error = open_at(root.path(), &leaving_out()).unwrap_err().to_string();
    assert!(error.contains("of its images to measure with none can be read"), "{error}");
}

#[test]
fn other_ways_to_sort_are_read_with_a_part_held_out() {
    for part in ["Train", "TRAIN", "training", "flowers/train", "a/b/Train"] {
        assert_eq!(sizes(&open(folder(&[(part, 20)]).path(), 3).unwrap()), (36, 4), "{part}");
    }
    // `CLASS/…` alone, as such or in the one folder of an archive.
    for part in [".", "flowers"] {
        let root = folder(&[(part, 20)]);
        put(root.path(), &format!("{part}/docs/readme.txt"), b"no images");
        let set = open(root.path(), 3).unwrap();
        assert_eq!((sizes(&set), set.classes.len()), ((36, 4), 2));
        let said = set.notes.join("\n");
        for words in [
            "there is no train/: ",
            "a tenth of every class, are held out by seed 3",
            "1 folder without images was left out: docs/",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }
    let both = open(folder(&[("train", 2), ("Train", 2)]).path(), 0);
    // Where a system tells them apart.
    if let Err(error) = both {
        assert!(error.to_string().contains("both `Train` and `train` are there: leave one of them"), "{error}");
    }
}

#[test]
fn more_pixels_are_read_where_they_are_allowed() {
    let root = folder(&[("train", 3), ("test", 1)]);
    put(root.path(), "train/ant/scan.png", &rgb_png(1300, 1000, &[7, 9, 200].repeat(1_300_000)));
    let limited =
        |pixels| Reading { rules: Rules { limits: Limits::of(pixels), ..Rules::default() }, ..reading(0, 8, 8, Channels::Rgb) };
    let error = open_at(root.path(), &limited(1_000_000)).unwrap_err();
    assert!(
        matches!(&error, Error::Images(faults) if faults[0].contains("1300×1000 pixels, more than the 1000000 allowed")),
        "{error}"
    );
    assert_eq!(sizes(&open_at(root.path(), &limited(2_000_000)).unwrap()), (7, 2));
}

/// Both by the program: what is refused, and with what it goes on.
#[test]
fn training_says_what_it_leaves_out_and_heeds_the_limits() {
    let root = as_downloaded();
    put(root.path(), "train/ant/scan.png", &rgb_png(1300, 1000, &[7, 9, 200].repeat(1_300_000)));
    let net = "name = 'net'\ninput = { channels = 3, height = 8, width = 8 }\n[[layers]]\nname = 'flat'\nkind = 'flatten'\n\
               [[layers]]\nname = 'fc'\nkind = 'linear'\nout_features = 2\n";
    let work = tempfile::tempdir().unwrap();
    put(work.path(), "net.toml", net.as_bytes());
    let data = root.path().to_str().unwrap();
    let arguments = [
        "train",
        "--arch",
        "net.toml",
        "--out",
        "m.safetensors",
        "--epochs",
        "1",
        "--set",
        "augmentation.crop_padding=0",
        "--data",
        data,
    ];
    let one = [("CONVSCOPE_LIMITS__MEGAPIXELS", "1")];
    let said = convscope_in(work.path(), &one, &arguments).failed(1);
    assert!(
        said.contains("5 images cannot be read") && said.contains("1300×1000") && FAULTS.iter().all(|fault| said.contains(fault)),
        "{said}"
    );
    let said = convscope_in(work.path(), &[], &arguments).failed(1);
    assert!(said.contains("4 images cannot be read") && !work.path().join("m.safetensors").exists(), "{said}");
    let said = convscope_in(work.path(), &[], &[&arguments[..], &["--skip-unreadable"]].concat()).succeeded();
    for words in
        ["4 images that cannot be read were left out: ", "val/ is the test set", "15 training images, 6 test images, 2 classes"]
    {
        assert!(said.contains(words), "{said}");
    }
    let eval = ["eval", "--model", "m.safetensors", "--data", data, "--json"];
    assert!(convscope_in(work.path(), &[], &eval).failed(1).contains("4 images cannot be read"));
    let said = convscope_in(work.path(), &[], &[&eval[..], &["--skip-unreadable"]].concat()).succeeded();
    assert!(said.contains("\"images\":6"), "{said}");
}
