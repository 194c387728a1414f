//! Classes of one's own: a folder of images sent as an archive, trained on, and its labels answered by the same routes.

mod packing;
mod unusual;

use std::fs;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::packing::{Entry, Odd, PLAIN, Zip, gzip, tar_entry, tar_gz, zip};
use crate::cli::convscope_in;
use crate::pictures::rgb_png;
use crate::support::{Answer, Server, TOKEN, eventually, file};

/// Ants are red, bees are blue; `shade` tells one from another.
fn picture(class: &str, shade: u8) -> Vec<u8> {
    let colour = if class == "ant" { [200 + shade % 50, shade, 10] } else { [10, shade, 200 + shade % 50] };
    rgb_png(36, 40, &colour.repeat(1440))
}

/// Two classes as people have them: systems' litter, accents, any ending, deeper folders, one folder around everything, and
/// two faults of the set itself.
fn pets() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut put = |name: String, content: Vec<u8>| entries.push((format!("pets/{name}"), content));
    for number in 0..24_u8 {
        put(format!("train/ant/{number}.png"), picture("ant", number));
    }
    for number in 0..6_u8 {
        put(format!("train/bee/deeper/{number}"), picture("bee", number));
    }
    for class in ["ant", "bee"] {
        (100..104).for_each(|number| put(format!("val/{class}/{number}.jpg"), picture(class, number)));
    }
    // In both parts.
    put("val/ant/again.png".into(), picture("ant", 7));
    put("train/ant/._0.png".into(), b"a Mac's".to_vec());
    put(".DS_Store".into(), b"a Mac's".to_vec());
    put("train/bee/notes.txt".into(), b"no image".to_vec());
    put(format!("train/bee/{}.png", "long".repeat(40)), picture("bee", 33));
    entries
}

async fn put(server: &Server, name: &str, archive: Vec<u8>) -> Answer {
    Answer::of(server.request(Method::PUT, &format!("/admin/datasets/{name}")).bearer_auth(TOKEN).body(archive)).await
}

/// What lies in the server's folder of datasets.
fn kept(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(server.data_dir().join("datasets")).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn notes(set: &Value) -> String {
    set["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

async fn job(server: &Server, id: &str) -> Value {
    server.admin(Method::GET, &format!("/admin/jobs/{id}"), None).await.ok()["job"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_sent_is_trained_on_and_its_own_labels_are_answered() {
    let server = Server::start().await;
    for (name, archive) in [("pets", zip(&pets())), ("same", tar_gz(&pets()))] {
        let answer = put(&server, name, archive).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&answer.body));
        let set = &answer.json()["dataset"];
        assert_eq!((&set["name"], &set["state"], &set["kind"]), (&json!(name), &json!("ready"), &json!("folder")));
        let classes = json!([{"name": "ant", "train": 24, "test": 5}, {"name": "bee", "train": 7, "test": 4}]);
        assert_eq!((&set["classes"], &set["train_images"], &set["test_images"]), (&classes, &json!(31), &json!(9)));
        assert_eq!((&set["size"], &set["grey"]), (&json!([40, 36]), &json!(false)));
        let said = notes(set);
        for part in [
            "the images lie in `pets`",
            "val/ is the test set",
            "1 hidden or system file was left out",
            "notes.txt (no image)",
            "training images by class: ant 24, bee 7",
            "the classes are uneven: `ant` has 24 training images and `bee` 7",
            "1 test image is a training image too, and makes the accuracy look better than it is: pets/val/ant/again.png = pets/train/ant/7.png",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let again = server.admin(Method::GET, &format!("/admin/datasets/{name}"), None).await.ok();
        assert_eq!(again["dataset"]["classes"], classes);
    }
    assert_eq!(kept(&server), ["pets", "same"]);
    let listed = server.admin(Method::GET, "/admin/datasets", None).await.ok();
    assert_eq!(listed["datasets"].as_array().unwrap().len(), 2);
    put(&server, "pets", zip(&pets())).await.refused(409, "conflict");

    let body = json!({"arch": "lenet5", "data": "pets", "epochs": 4, "batch_size": 8});
    let mismatch = server.admin(Method::POST, "/admin/train", Some(body.clone())).await.json();
    let mut body = body;
    body["fit_data"] = true.into();
    let started = server.admin(Method::POST, "/admin/train", Some(body.clone())).await.json();
    let waiting = server.admin(Method::POST, "/admin/train", Some(body)).await.json();
    let [mismatch, fitted, waiting] = [mismatch, started, waiting].map(|answer| answer["job"]["id"].as_str().unwrap().to_owned());
    // Not while anybody needs it.
    let sentence = server.admin(Method::DELETE, "/admin/datasets/pets", None).await.refused(409, "conflict");
    assert!(sentence.contains(&waiting), "{sentence}");
    server.admin(Method::POST, &format!("/admin/jobs/{waiting}/cancel"), None).await.ok();
    for (id, state) in [(&mismatch, "failed"), (&fitted, "done")] {
        let ended = eventually("the end", async || {
            let job = job(&server, id).await;
            (!["queued", "running"].contains(&job["state"].as_str().unwrap())).then_some(job)
        })
        .await;
        assert_eq!(ended["state"], state, "{ended}");
        if state == "failed" {
            let sentence = ended["error"].as_str().unwrap();
            assert!(
                sentence.contains("2 classes") && sentence.contains("10 scores") && sentence.contains("--fit-data"),
                "{sentence}"
            );
        }
    }
    let path = format!("/admin/jobs/{fitted}/events");
    let events = Answer::of(server.request(Method::GET, &path).bearer_auth(TOKEN).header("accept", "application/x-ndjson")).await;
    let events = String::from_utf8(events.body).unwrap();
    let said = "the network was fitted to the images: its input is 3×40×36 in place of 3×32×32, and `fc5` has `out_features = 2` in place of 10";
    assert!(events.contains(said), "{events}");

    let model = format!("run-{fitted}");
    eventually("the model", async || {
        let models = server.get("/models").await.ok();
        models["models"].as_array().unwrap().iter().any(|known| known["name"] == model.as_str()).then_some(())
    })
    .await;
    let answer = server.post(&format!("/classify?model={model}"), picture("bee", 77)).await.ok();
    assert_eq!(answer["probabilities"].as_object().unwrap().keys().collect::<Vec<_>>(), ["ant", "bee"], "{answer}");
    assert_eq!(
        server.get(&format!("/layers?model={model}")).await.ok()["input"],
        json!({"channels": 3, "height": 40, "width": 36})
    );

    assert_eq!(server.admin(Method::DELETE, "/admin/datasets/pets", None).await.status, StatusCode::NO_CONTENT);
    server.admin(Method::GET, "/admin/datasets/pets", None).await.refused(404, "unknown_dataset");
    assert_eq!(kept(&server), ["same"]);
    server.stop().await;
}

fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let image = picture("ant", 1);
    let one = |name: &[u8], odd: Odd| Zip::default().add(name, &image, odd).finish();
    let tar = |entries: &[Vec<u8>]| gzip(&entries.concat());
    let pets = pets();
    let (zipped, tarred) = (zip(&pets), tar_gz(&pets));
    let first = "pets/train/ant/0.png";
    let twice = Zip::default().add(b"a/1.png", &image, PLAIN).add(b"a/1.png", &image, PLAIN).finish();
    let both = Zip::default().add(b"a/1.png", &image, PLAIN).add(b"a/1.png/2.png", &image, PLAIN).finish();
    let mut broken = Zip::default().add(first.as_bytes(), &image, Odd { method: 0, ..PLAIN }).finish();
    broken[30 + first.len() + 40] ^= 1;
    let zeros = vec![0; 80 << 20];
    vec![
        ("a way out", one(b"../out.png", PLAIN), "leads out of the archive's folder"),
        ("a way out of a tar", tar(&[tar_entry(b"a/../../out.png", b'0', &image)]), "leads out of the archive's folder"),
        ("Windows' way out", one(b"a\\..\\..\\out.png", PLAIN), "leads out of the archive's folder"),
        ("an absolute path", one(b"/tmp/out.png", PLAIN), "has an absolute path"),
        ("an absolute path in a tar", tar(&[tar_entry(b"/tmp/out.png", b'0', &image)]), "has an absolute path"),
        ("a drive", one(b"C:\\out.png", PLAIN), "has an absolute path"),
        ("a name in no UTF-8", one(b"caf\xe9/1.png", PLAIN), "is not UTF-8"),
        ("a link", one(b"a/link", Odd { mode: 0o120_777, ..PLAIN }), "is a link"),
        ("a link in a tar", tar(&[tar_entry(b"a/link", b'2', b"")]), "is a link"),
        ("a hard link", tar(&[tar_entry(b"a/link", b'1', b"")]), "is a link"),
        ("a device", tar(&[tar_entry(b"a/null", b'3', b"")]), "is a device or a pipe"),
        ("a pipe", tar(&[tar_entry(b"a/pipe", b'6', b"")]), "is a device or a pipe"),
        ("a pipe in a zip", one(b"a/pipe", Odd { mode: 0o010_644, ..PLAIN }), "is a device or a pipe"),
        ("a name twice", twice, "there twice"),
        (
            "a name twice in a tar",
            tar(&[tar_entry(b"a/1.png", b'0', &image), tar_entry(b"a/1.png", b'0', &image)]),
            "is there twice",
        ),
        ("a file that is a folder", both, "has the name of another entry"),
        ("a secret", one(b"a/1.png", Odd { flags: 0x801, ..PLAIN }), "is encrypted"),
        ("another compression", one(b"a/1.png", Odd { method: 12, ..PLAIN }), "ordinary compression"),
        ("a lie about the length", one(b"a/1.png", Odd { claimed: Some(3), ..PLAIN }), "damaged"),
        ("a changed byte", broken, "is damaged"),
        ("a part of a zip", zipped[..zipped.len() / 2].to_vec(), "cut off"),
        ("a part of a tar", tarred[..tarred.len() / 2].to_vec(), "cut off"),
        ("a bomb", Zip::default().add(b"a/1.png", &zeros, PLAIN).finish(), "so it is refused"),
        ("a bomb in a tar", tar(&[tar_entry(b"a/1.png", b'0', &zeros)]), "so it is refused"),
        ("a long header", tar(&[tar_entry(b"x", b'L', &vec![b'a'; 70 << 10])]), "more than 64 KiB"),
        ("nothing", Vec::new(), "an empty body"),
        ("a picture", image.clone(), "no archive"),
        ("a tar that is not compressed", tar_entry(b"a/1.png", b'0', &image), "not compressed"),
        ("no classes", zip(&[("readme.txt".into(), b"x".to_vec())]), "the archive holds no dataset"),
        ("one class", zip(&[("train/ant/1.png".into(), image.clone())]), "two classes or more"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_archive_is_said_and_nothing_of_it_stays() {
    let server = Server::start().await;
    for (what, archive, expected) in hostile() {
        let sentence = put(&server, "odd", archive).await.refused(422, "unprocessable");
        assert!(sentence.contains(expected), "{what}: {sentence}");
        assert!(!sentence.contains(server.folder.path().to_str().unwrap()), "{what}: {sentence}");
        assert_eq!(kept(&server), [""; 0], "{what}");
    }
    for name in [".hidden", "a%2Fb", &"x".repeat(101)] {
        put(&server, name, zip(&pets())).await.refused(422, "unprocessable");
    }
    // The old names of folders, Windows' separators and names of their own header are read.
    let windows = pets().into_iter().map(|(name, content)| (name.replace('/', "\\"), content)).collect::<Vec<_>>();
    assert_eq!(put(&server, "windows", zip(&windows)).await.json()["dataset"]["train_images"], 31);
    assert_eq!(fs::read_dir(server.folder.path()).unwrap().count(), 1, "nothing was written beside the data folder");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_as_early_as_that_is_known() {
    let server = Server::with(|config| config.limits.dataset_bytes = 100_000).await;
    let flat = zip(&[("a/1.bmp".into(), vec![7; 200_000]), ("b/1.png".into(), picture("ant", 1))]);
    assert!(flat.len() < 100_000);
    let sentence = put(&server, "large", flat).await.refused(413, "body_too_large");
    assert!(sentence.contains("100000 bytes") && sentence.contains("limits.dataset_mib"), "{sentence}");
    let noise: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    put(&server, "large", noise).await.refused(413, "body_too_large");
    assert_eq!(kept(&server), [""; 0]);
    server.stop().await;

    // More than any disk has: refused by what the request announces.
    let server = Server::with(|config| config.limits.dataset_bytes = u64::MAX).await;
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "PUT /admin/datasets/large HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {TOKEN}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        1_u64 << 60
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with('}') {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "{answer}");
        answer.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    assert!(answer.starts_with("HTTP/1.1 507") && answer.contains(r#""code":"no_room""#), "{answer}");
    drop(stream);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_coming_is_seen_and_one_that_never_came_whole_is_gone() {
    let server = Server::start().await;
    let archive = zip(&pets());
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let length = archive.len();
    let head = format!(
        "PUT /admin/datasets/slow HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&archive[..1000]).await.unwrap();
    let coming = eventually("the first bytes", async || {
        let answer = server.admin(Method::GET, "/admin/datasets/slow", None).await;
        (answer.status == StatusCode::OK && answer.json()["dataset"]["received_bytes"] == 1000).then(|| answer.json())
    })
    .await;
    let set = &coming["dataset"];
    assert_eq!((&set["state"], &set["stage"], &set["total_bytes"]), (&json!("coming"), &json!("receiving"), &json!(length)));
    put(&server, "slow", archive.clone()).await.refused(409, "conflict");
    let listed = server.admin(Method::GET, "/admin/datasets", None).await.ok();
    assert_eq!(listed["datasets"][0]["state"], "coming");
    // Its sender goes away.
    drop(stream);
    eventually("an end", async || kept(&server).is_empty().then_some(())).await;
    let answer = put(&server, "slow", archive).await;
    assert_eq!(answer.status, StatusCode::CREATED);

    // What a killed server left is gone at the next start.
    let sets = server.data_dir().join("datasets");
    fs::create_dir_all(sets.join(".pets-a1b2.new/set/ant")).unwrap();
    fs::create_dir_all(sets.join(".old.removed")).unwrap();
    let folder = server.stop_and_keep().await;
    let data = folder.path().join("data");
    let server = Server::with(|config| config.data_dir = data).await;
    let left: Vec<String> = fs::read_dir(&sets).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(left, ["slow"]);
    server.stop().await;
}

/// Grey pictures of another size, from a folder, by the command.
/// A grey picture of one shade.
fn grey_png([width, height]: [u32; 2], shade: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&vec![shade; (width * height) as usize]).unwrap();
    bytes
}

#[test]
fn a_network_is_fitted_to_images_only_where_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let write = |part: &str, name: &str, bytes: &[u8]| {
        let path = folder.path().join(part).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    for number in 0..6_u8 {
        for (class, base) in [("dark", 20), ("light", 200)] {
            let bytes = grey_png([40, 36], base + number);
            write("sets", &format!("train/{class}/{number}.png"), &bytes);
            write("sets", &format!("test/{class}/{number}.png"), &bytes);
            write("mixed", &format!("train/{class}/{number}.png"), &bytes);
            for side in [224, 225].into_iter().filter(|_| number < 2) {
                let bytes = grey_png([side, side], base + number);
                for part in ["train", "test"] {
                    write(&format!("{side}"), &format!("{part}/{class}/{number}.png"), &bytes);
                }
            }
        }
    }
    write("mixed", "train/dark/other.png", &file("horse.png"));
    let train = |data: &str, more: &[&str]| {
        let arguments = ["train", "--arch", "lenet5", "--data", data, "--out", "m.safetensors", "--epochs", "1", "--force"];
        convscope_in(folder.path(), &[], &[&arguments[..], more].concat())
    };
    let refused = train("sets", &[]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("`out_features = 2`") && refused.stderr.contains("--fit-data"), "{}", refused.stderr);
    let said = train("sets", &["--fit-data"]).succeeded();
    let fitted = "the network was fitted to the images: its input is 1×36×40 in place of 3×32×32, and `fc5` has `out_features = 2` in place of 10\n";
    assert!(said.contains(fitted), "{said}");
    for part in [
        "training images by class: dark 6, light 6",
        "12 test images are training images too",
        "test/dark/0.png = train/dark/0.png",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let model = convscope::checkpoint::load(&folder.path().join("m.safetensors")).unwrap();
    assert_eq!(
        (model.metadata().architecture.input.channels, &model.metadata().classes[..]),
        (1, &["dark".to_owned(), "light".into()][..])
    );
    let said = train("mixed", &["--fit-data"]).succeeded();
    assert!(said.contains("the images are of several sizes, so they are resized to 32×32"), "{said}");
    let said = train("224", &["--fit-data"]).succeeded();
    assert!(said.contains("its input is 1×224×224 in place of 3×32×32"), "{said}");
    let said = train("225", &["--fit-data"]).succeeded();
    assert!(said.contains("the images are larger than 224×224, so they are resized to 32×32"), "{said}");
    // The same network is found again, and gone on with.
    train("sets", &["--fit-data"]).succeeded();
    let arguments =
        ["train", "--arch", "lenet5", "--data", "sets", "--out", "m.safetensors", "--epochs", "2", "--resume", "--fit-data"];
    convscope_in(folder.path(), &[], &arguments).succeeded();
    assert!(Path::new(&folder.path().join("m.safetensors.state")).exists());
}
