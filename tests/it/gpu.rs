//! What a machine is proven with: `convscope selftest`, and the dry run of `benches/gpu.sh` on the processor.

use std::path::Path;
use std::process::{Command, Stdio};

use convscope::checkpoint;
use convscope::network::spec::KINDS;
use serde_json::Value;

use crate::cli::convscope;
use crate::support::untrained;

/// The checks of a report that passed: every kind forward and backward, whole steps, the stored answer.
fn assert_sound(report: &Value) {
    assert_eq!(report["passed"], true, "{report}");
    let checks = report["checks"].as_array().unwrap();
    let has = |what: &str, pass: &str| checks.iter().any(|check| check["what"] == what && check["pass"] == pass);
    for kind in KINDS {
        assert!(has(kind, "forward") && has(kind, "backward"), "{kind} is not tested: {report}");
    }
    for (what, pass) in [("tutorial", "step"), ("resnet20", "step"), ("tutorial", "answer"), ("speedrun", "answer")] {
        assert!(has(what, pass), "{what} {pass} is not tested: {report}");
    }
    for check in checks {
        let (difference, limit) = (check["difference"].as_f64().unwrap(), check["limit"].as_f64().unwrap());
        assert!(difference.is_finite() && 0.0 < limit && difference <= limit, "{check}");
    }
    let modes: Vec<_> = report["rates"].as_array().unwrap().iter().map(|rate| rate["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["forward", "train"]);
    assert!(report["rates"].as_array().unwrap().iter().all(|rate| rate["images_per_second"].as_f64().unwrap() > 0.0), "{report}");
}

#[test]
fn a_machine_is_tested_with_the_instructions_that_are_asked_for() {
    // A model of one's own hides a bundled one, and says nothing about the machine.
    let folder = tempfile::tempdir().unwrap();
    let (config, models) = (folder.path().join("config.toml"), folder.path().join("models"));
    std::fs::write(&config, format!("[models]\ndir = {models:?}\n")).unwrap();
    checkpoint::save(&models.join("tutorial.safetensors"), &untrained("tutorial", 1)).unwrap();
    let config = config.to_str().unwrap();
    let asked = convscope(&["selftest", "--kernels", "portable", "--device", "cpu", "--json", "--config", config]).succeeded();
    let report: Value = serde_json::from_str(&asked).unwrap();
    assert_eq!((report["kernels"].as_str(), report["device"].as_str()), (Some("portable"), Some("cpu")));
    assert_sound(&report);
    let refused = convscope(&["selftest", "--kernels", "portabel"]);
    assert!(refused.code != 0 && refused.stderr.contains("portable"), "{}", refused.stderr);
}

/// A run of `benches/gpu.sh` on the processor: its exit code, what it printed, its report.
struct DryRun {
    code: i32,
    table: String,
    report: Value,
}

impl DryRun {
    fn of(program: &Path, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("gpu.json");
        let mut script = Command::new("bash");
        script.arg("benches/gpu.sh").arg("--binary").arg(program).arg("--out").arg(&out);
        script.args(["--device", "cpu", "--quick"]).args(more).current_dir(env!("CARGO_MANIFEST_DIR"));
        let done = script.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        let report = std::fs::read(&out).unwrap_or_else(|error| panic!("no report ({error}): {said}"));
        let report = serde_json::from_slice(&report).unwrap_or_else(|error| panic!("no JSON ({error}): {said}"));
        Self { code: done.status.code().unwrap(), table: String::from_utf8(done.stdout).unwrap(), report }
    }

    fn part(&self, name: &str) -> &Value {
        self.report["parts"].as_array().unwrap().iter().find(|part| part["part"] == name).unwrap()
    }

    /// A part that worked.
    fn result(&self, name: &str) -> &Value {
        let part = self.part(name);
        assert!(part.get("error").is_none(), "{part}");
        &part["result"]
    }
}

/// Whether the script can run here; says it if not.
fn can_run() -> bool {
    let starts = |tool: &str| {
        let started = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        started.is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> = ["bash", "python3", "timeout"].into_iter().filter(|tool| !starts(tool)).collect();
    if !missing.is_empty() {
        eprintln!("skipped: benches/gpu.sh needs {}", missing.join(" and "));
    }
    missing.is_empty()
}

#[test]
fn the_script_for_a_card_measures_everything_in_its_dry_run() {
    if !can_run() {
        return;
    }
    let run = DryRun::of(Path::new(env!("CARGO_BIN_EXE_convscope")), &[]);
    assert_eq!(run.code, 0, "{}", run.report);
    assert_sound(run.result("selftest"));
    assert_eq!(run.result("classify")["label"], "horse");

    let data = "tests/data/cifar-10-batches-bin";
    let measured = convscope(&["eval", "--model", "tutorial", "--data", data, "--device", "cpu", "--json"]).succeeded();
    assert_eq!(*run.result("eval"), serde_json::from_str::<Value>(&measured).unwrap());

    for mode in ["forward", "train"] {
        let rates = run.result(mode).as_array().unwrap();
        assert!(!rates.is_empty());
        for rate in rates {
            assert!(rate["mode"] == mode && rate["images_per_second"].as_f64().unwrap() > 0.0, "{rate}");
        }
    }
    let served = run.result("serve");
    assert_eq!(served["label"], "horse");
    let loads = served["loads"].as_array().unwrap();
    assert_eq!(loads.iter().map(|load| load["connections"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 32]);
    for load in loads {
        assert!(load["requests_per_second"].as_f64().unwrap() > 0.0 && load["refused"] == 0, "{load}");
    }
    // With or without PyTorch: figures, or why there are none.
    let pytorch = run.part("pytorch");
    let rates = pytorch["result"]["rates"].as_array().map_or(0, Vec::len);
    assert!(rates > 0 || pytorch["error"].as_str().is_some_and(|error| error.contains("PyTorch")), "{pytorch}");

    assert_eq!(run.report["convscope"], concat!("convscope ", env!("CARGO_PKG_VERSION")));
    assert!(!run.report["machine"]["cpu"].as_str().unwrap().is_empty() && run.report["date"].is_string(), "{}", run.report);
    for shown in ["selftest", "horse", "of 200 images right", "requests/s over 32", "forward 4", "train 4"] {
        assert!(run.table.contains(shown), "{shown} is not in the table:\n{}", run.table);
    }
}

#[test]
fn a_part_that_fails_is_recorded_and_the_others_run() {
    if !can_run() {
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_convscope"));
    let run = DryRun::of(program, &["--parts", "eval,classify", "--data", "no/such/folder"]);
    assert_eq!(run.code, 0, "{}", run.report);
    let failed = run.part("eval");
    assert!(failed["error"].as_str().unwrap().contains("no/such/folder") && failed.get("result").is_none(), "{failed}");
    assert!(run.table.contains("FAILED"), "{}", run.table);
    assert_eq!(run.result("classify")["label"], "horse");
}

#[test]
fn a_packed_program_is_unpacked_and_one_that_never_works_is_an_error() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("broken");
    std::fs::write(&program, "#!/bin/sh\necho 'no libcuda.so.1 here' >&2\nexit 127\n").unwrap();
    let packed = Command::new("gzip").arg(&program).status();
    if !packed.is_ok_and(|status| status.success()) {
        eprintln!("skipped: gzip is missing");
        return;
    }
    let run = DryRun::of(&folder.path().join("broken.gz"), &["--parts", "selftest,classify,serve"]);
    assert_eq!(run.code, 1, "{}", run.report);
    for name in ["selftest", "classify", "serve"] {
        assert!(run.part(name)["error"].as_str().unwrap().contains("no libcuda.so.1 here"), "{}", run.report);
    }
}
