//! The command line as it is typed: what it prints where, and its exit codes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use convscope::checkpoint;
use serde_json::Value;

use crate::support;

/// What a run of the program left.
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// What it printed; it must have succeeded.
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    /// What it complained of; it must have ended with `code` and printed no result.
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
        self.stderr
    }
}

/// The program with these arguments, in this package's folder, without what the caller's environment sets.
pub(crate) fn convscope(arguments: &[&str]) -> Output {
    convscope_in(Path::new(env!("CARGO_MANIFEST_DIR")), &[], arguments)
}

/// As [`convscope`], in `folder` and with these variables.
pub(crate) fn convscope_in(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convscope"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONVSCOPE_")) {
        command.env_remove(name);
    }
    let output = command.current_dir(folder).envs(variables.iter().copied()).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The tutorial's network with random weights, as `NAME.safetensors` in `folder`.
fn untrained(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{name}.safetensors"));
    checkpoint::save(&path, &support::untrained("tutorial", 1)).unwrap();
    path
}

#[test]
fn images_are_classified_as_the_server_would() {
    let folder = tempfile::tempdir().unwrap();
    let model = untrained(folder.path(), "mine");
    let horse = "tests/data/horse.png";
    let one = convscope(&["classify", horse, "--model", model.to_str().unwrap(), "--json", "--top-k", "2"]).succeeded();
    let answer: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(answer["model"], serde_json::json!({"name": "mine", "version": 1}));
    assert_eq!(answer["top"].as_array().unwrap().len(), 2);
    assert_eq!(answer["top"][0]["label"], answer["label"]);
    assert_eq!(answer["probabilities"].as_object().unwrap().len(), 10);
    let sum: f64 = answer["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5);
    assert!(answer["timing_ms"]["inference"].as_f64().unwrap() >= 0.0);
    // In class order, not sorted.
    let position = |class: &str| one.rfind(&format!("\"{class}\":")).unwrap();
    assert!(position("truck") > position("ship") && position("horse") > position("frog") && position("deer") > position("cat"));

    let two = convscope(&["classify", horse, horse, "--model", model.to_str().unwrap(), "--json"]).succeeded();
    let answers: Value = serde_json::from_str(&two).unwrap();
    assert_eq!(answers["results"].as_array().unwrap().len(), 2);
    assert_eq!(answers["results"][1]["probabilities"], answer["probabilities"]);

    let text = convscope(&["classify", horse, "--model", model.to_str().unwrap()]).succeeded();
    assert!(text.starts_with("tests/data/horse.png: ") && text.matches(" %").count() == 5, "{text}");
}

#[test]
fn a_model_is_found_by_name_where_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    untrained(&folder.path().join("data/models"), "mine");
    untrained(&folder.path().join("else"), "other");
    let horse = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/horse.png");
    let run = |model: &str, variables: &[(&str, &str)]| {
        convscope_in(folder.path(), variables, &["classify", horse.to_str().unwrap(), "--model", model])
    };
    run("mine", &[]).succeeded();
    run("other", &[("CONVSCOPE_MODELS__DIR", "else")]).succeeded();
    let message = run("other", &[]).failed(1);
    assert!(message.contains("there is no model `other`; there ") && message.contains("`mine`"), "{message}");
    let message = run("no/such.safetensors", &[]).failed(1);
    assert!(message.contains("cannot read no/such.safetensors"), "{message}");
}

#[test]
fn a_test_set_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let model = untrained(folder.path(), "mine");
    let arguments = ["eval", "--model", model.to_str().unwrap(), "--data", "tests/data/cifar-10-batches-bin"];
    let report: Value = serde_json::from_str(&convscope(&[&arguments[..], &["--json"]].concat()).succeeded()).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap();
    assert_eq!(number("images"), 200.0);
    let confusion = report["confusion"].as_array().unwrap();
    let cell = |row: usize, column: usize| confusion[row][column].as_f64().unwrap();
    assert_eq!((0..10).flat_map(|row| (0..10).map(move |column| (row, column))).map(|(r, c)| cell(r, c)).sum::<f64>(), 200.0);
    assert_eq!((0..10).map(|class| cell(class, class)).sum::<f64>(), number("correct"));
    assert_eq!(number("accuracy"), number("correct") / 200.0);
    let [low, high] = [0, 1].map(|bound| report["interval95"][bound].as_f64().unwrap());
    assert!(low < number("accuracy") && number("accuracy") < high);
    // Of each class, what the confusion's row has.
    let rows = report["per_class"].as_array().unwrap();
    let sum = |class: usize| (0..10).map(|said| cell(class, said)).sum::<f64>();
    for (class, row) in rows.iter().enumerate() {
        assert_eq!((row["images"].as_f64(), row["correct"].as_f64()), (Some(sum(class)), Some(cell(class, class))));
        let accuracy = row["accuracy"].as_f64().unwrap();
        assert_eq!(accuracy, cell(class, class) / sum(class));
        assert!(row["interval95"][0].as_f64() <= Some(accuracy) && Some(accuracy) <= row["interval95"][1].as_f64());
    }
    assert_eq!((rows.len(), &rows[3]["label"]), (10, &Value::from("cat")));
    let bins = report["calibration"]["bins"].as_array().unwrap();
    let of = |bin: &Value, key: &str| bin[key].as_f64().unwrap();
    let distance = |bin: &Value| of(bin, "images") * (of(bin, "confidence") - of(bin, "accuracy")).abs() / 200.0;
    assert_eq!((bins.len(), bins.iter().map(|bin| of(bin, "images")).sum::<f64>()), (15, 200.0));
    let error = report["calibration"]["expected_error"].as_f64().unwrap();
    assert!((error - bins.iter().map(distance).sum::<f64>()).abs() < 1e-9, "{report}");
    // Untrained: every class about as probable as any other.
    assert!((number("loss") - 10f64.ln()).abs() < 0.5, "{report}");
    // Several views of each image are a figure of their own: the plain ones stay.
    for (views, words) in
        [("mirror", "By each image and its mirror image together: "), ("translate", "By six views of each image together: ")]
    {
        let both: Value =
            serde_json::from_str(&convscope(&[&arguments[..], &["--json", "--tta", views]].concat()).succeeded()).unwrap();
        let mut plain = both.clone();
        let tta = plain.as_object_mut().unwrap().remove("tta").unwrap();
        assert_eq!(plain, report);
        assert_eq!((&tta["views"], &tta["images"]), (&Value::from(views), &Value::from(200)));
        assert!(tta["loss"] != report["loss"], "{both}");
        let text = convscope(&[&arguments[..], &["--tta", views]].concat()).succeeded();
        assert!(text.contains(&format!("{words}{:.2} % of 200 images right", 100.0 * tta["accuracy"].as_f64().unwrap())), "{text}");
    }
    let text = convscope(&arguments).succeeded();
    assert!(text.contains(&format!("{:.2} % of 200 images right", 100.0 * number("accuracy"))), "{text}");
    assert!(text.contains(&format!("(expected calibration error {:.2} %, 15 bins):\n", 100.0 * error)), "{text}");
    let cats = 100.0 * rows[3]["accuracy"].as_f64().unwrap();
    assert!(text.contains(&format!("\ncat        {cats:6.2} % of {} images, ", sum(3))), "{text}");
}

#[test]
fn a_wrong_argument_or_setting_is_exit_code_2_and_a_failure_1() {
    assert!(convscope(&["clasify"]).failed(2).contains("classify"));
    assert!(convscope(&["classify", "x.png", "--top-k", "0"]).failed(2).contains("--top-k"));
    let message = convscope(&["--device", "tpu", "health"]).failed(2);
    assert_eq!(message, "error: --device: `device` is tpu: there is no device `tpu`: use auto, cpu, cuda or cuda:N\n");
    let message = convscope(&["--config", "none.toml", "health"]).failed(2);
    assert!(message.starts_with("error: cannot read none.toml: "), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let large = [("CONVSCOPE_LIMITS__MEGAPIXELS", "1000")];
    let message = convscope_in(folder.path(), &large, &["serve", "--listen", "127.0.0.1:0"]).failed(2);
    let needed = "a picture of 1000 million pixels (`limits.megapixels`) may need 15308";
    assert!(message.starts_with("error: `limits.decode_mib` is 1024, ") && message.contains(needed), "{message}");
    assert!(!folder.path().join("data").exists());
    let model = untrained(folder.path(), "mine");
    let message = convscope(&["classify", "Cargo.toml", "--model", model.to_str().unwrap()]).failed(1);
    assert!(message.starts_with("error: Cargo.toml: ") && message.lines().count() == 1, "{message}");
}

#[test]
fn every_command_has_its_help() {
    let help = convscope_in(Path::new("."), &[("COLUMNS", "100")], &["--help"]).succeeded();
    insta::assert_snapshot!(help, @r"
    Classifies images with convolutional networks, shows what every layer sees, and trains new ones
    while you watch.

    Without a command it serves.

    Usage: convscope [OPTIONS] [COMMAND]

    Commands:
      serve        Answer over HTTP and show the page (the default)
      train        Train a network
      eval         Measure a model on the test images of a dataset
      calibrate    Make a model's probabilities as often right as they say
      classify     Say what images show
      import       Turn PyTorch's weights into a model
      familiarize  Let a model tell how familiar an image is
      fetch-data   Download CIFAR-10
      health       Ask a running server whether it is ready
      bench        Time a model on this machine
      selftest     Find out whether this machine computes what it should
      help         Print this message or the help of the given subcommand(s)

    Options:
          --listen <ADDR>
              Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Global options:
          --config <FILE>
              Configuration file [default: ./config.toml if it is there]

          --device <DEVICE>
              Where arithmetic runs: auto, cpu, cuda or cuda:N [default: auto]

          --log <FORMAT>
              How the log on stderr is written: pretty or json [default: pretty]
    ");
    for command in
        ["serve", "train", "eval", "calibrate", "classify", "import", "familiarize", "fetch-data", "health", "bench", "selftest"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let own = convscope(&[command, "--help"]).succeeded();
        assert!(own.contains(&format!("Usage: convscope {command} ")) && own.contains("--config <FILE>"), "{own}");
    }
    assert_eq!(convscope(&["-V"]).succeeded(), concat!("convscope ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn options_of_the_server_are_not_taken_for_another_command_s() {
    assert!(convscope(&["--listen", "127.0.0.1:0", "health"]).failed(2).contains("options of `serve` stand after it"));
    let faulty = "error: --listen: `server.listen` is nowhere: must be an address and a port, such as 127.0.0.1:8080, localhost:8080 or [::1]:8080\n";
    assert_eq!(convscope(&["--listen", "nowhere"]).failed(2), faulty);
    assert_eq!(convscope(&["serve", "--listen", "nowhere"]).failed(2), faulty);
}

#[test]
fn a_model_is_timed_on_real_images() {
    let folder = tempfile::tempdir().unwrap();
    let model = untrained(folder.path(), "mine");
    for (mode, extra) in [("forward", vec![]), ("train", vec!["--train", "--data", "tests/data/cifar-10-batches-bin"])] {
        let arguments = ["bench", "--model", model.to_str().unwrap(), "--batch", "1,3", "--threads", "1", "--json"];
        let rows: Value = serde_json::from_str(&convscope(&[&arguments[..], &extra].concat()).succeeded()).unwrap();
        for (row, batch) in rows.as_array().unwrap().iter().zip([1, 3]) {
            assert_eq!((row["batch"].as_u64(), row["mode"].as_str()), (Some(batch), Some(mode)));
            let number = |key: &str| row[key].as_f64().unwrap();
            assert!(number("images_per_second") > 0.0 && number("p50_ms") > 0.0 && number("p99_ms") >= number("p50_ms"), "{row}");
        }
        assert_eq!(rows.as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_benchmarks_answers_can_be_compared() {
    let folder = tempfile::tempdir().unwrap();
    let model = untrained(folder.path(), "mine");
    let answers = |extra: &[&str]| {
        let arguments = ["bench", "--model", model.to_str().unwrap(), "--batch", "2,3", "--answers"];
        let rows: Value = serde_json::from_str(&convscope(&[&arguments[..], extra].concat()).succeeded()).unwrap();
        let numbers = |row: &Value| row["values"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
        rows.as_array().unwrap().iter().map(numbers).collect::<Vec<_>>()
    };
    let probabilities = answers(&[]);
    assert_eq!(probabilities.iter().map(Vec::len).collect::<Vec<_>>(), [20, 30]);
    for image in probabilities.iter().flat_map(|batch| batch.chunks(10)) {
        assert!((image.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{image:?}");
    }
    // Without dropout nothing is drawn: each step on the same images has a lower loss, and the same in every run.
    let losses = answers(&["--train"]);
    assert!(losses.iter().all(|steps| steps.len() == 3 && steps.is_sorted_by(|before, after| before > after)), "{losses:?}");
    assert_eq!(losses, answers(&["--train"]));
}

#[test]
#[cfg(not(feature = "cuda"))]
fn an_explicit_card_is_an_error_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let model = untrained(folder.path(), "mine");
    let arguments = ["classify", "tests/data/horse.png", "--model", model.to_str().unwrap(), "--device", "cuda"];
    assert!(convscope(&arguments).failed(1).contains("built without CUDA"));
}

#[test]
fn health_is_what_the_server_says() {
    let nobody = convscope(&["health", "http://127.0.0.1:9"]).failed(1);
    assert!(nobody.contains("no answer from http://127.0.0.1:9/health/ready"), "{nobody}");
    let (ready, url) = answer_once("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(convscope(&["health", &url]).succeeded(), "ready\n");
    assert!(ready.join().unwrap().starts_with("GET /health/ready HTTP/1.1\r\n"));
    let (loading, url) = answer_once("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 7\r\n\r\nloading");
    let proxy = [("http_proxy", "http://127.0.0.1:9"), ("CONVSCOPE_SERVER__LISTEN", url.strip_prefix("http://").unwrap())];
    let message = convscope_in(Path::new("."), &proxy, &["health"]).failed(1);
    assert!(message.contains("503 Service Unavailable: loading"), "{message}");
    loading.join().unwrap();
}

/// A server for one request: its thread gives the request, `url` is where it is.
fn answer_once(response: &'static str) -> (std::thread::JoinHandle<String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(response.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (thread, url)
}
