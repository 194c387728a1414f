//! The configuration: layers, ranges, and all faults at once, each with its place.

use std::time::Duration;

use convscope::config::{Config, FileSource, LogFormat, Sources};
use convscope::words::{DeviceChoice, KernelChoice};

/// A configuration from the text of a file, some variables and some flags.
fn load(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, file).unwrap();
    let sources = Sources {
        file: FileSource::Required(path.clone()),
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
    };
    let short = |fault: String| fault.replace(&path.display().to_string(), "config.toml");
    Config::load(&sources).map_err(|e| e.faults.into_iter().map(short).collect())
}

#[test]
fn the_shipped_file_is_the_defaults_and_lists_every_key() {
    let shipped = include_str!("../../config.toml");
    assert_eq!(load(shipped, &[], &[]).unwrap(), Config::default());
    assert_eq!(load("", &[], &[]).unwrap(), Config::default());
    // A message about an unlike key lists all there are: each must stand in the file.
    let all = load("qqqqqqqqqqqqqqqqqqqq = 1", &[], &[]).unwrap_err().remove(0);
    let keys: Vec<&str> = all.split("the keys are ").nth(1).unwrap().split(", ").collect();
    let written: toml::Table = shipped.parse().unwrap();
    for key in &keys {
        let found = key.split('.').try_fold(&written, |table, part| table.get(part).map(|v| v.as_table().unwrap_or(table)));
        assert!(found.is_some(), "{key} is missing in config.toml");
    }
    assert_eq!(keys.len(), 32);
}

#[test]
fn the_stronger_source_wins() {
    let file = "device = 'cpu'\n[server]\nlisten = '0.0.0.0:1'\ndrain_seconds = 5\n[limits]\nbody_mib = 1\nqueue_images = 1_000\n";
    let environment = [("CONVSCOPE_SERVER__LISTEN", "0.0.0.0:2"), ("CONVSCOPE_LIMITS__BODY_MIB", "2"), ("HOME", "/")];
    let config = load(file, &environment, &[("server.listen", "0.0.0.0:3"), ("log.format", "json")]).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.limits.body_bytes, 2 << 20);
    assert_eq!(config.limits.queue_images, 1000);
    assert_eq!(config.server.drain, Duration::from_secs(5));
    assert_eq!((config.device, config.log.format), (DeviceChoice::Cpu, LogFormat::Json));
    assert_eq!(config.models, Config::default().models);
}

#[test]
fn all_faults_are_told_at_once_with_their_place() {
    let file = "devise = 'cpu'\n\n[server]\nlisten = 8080\n  drain_seconds = -1\n[limits]\nmegapixels = '5'\nserver.listen = ''\n";
    let environment = [("CONVSCOPE_SERVER__LISEN", "x"), ("CONVSCOPE_LOG__LEVEL", "a=b=c"), ("CONVSCOPE_TRAIN__MAX_RUNS", "many")];
    let faults = load(file, &environment, &[("device", "gpu")]).unwrap_err();
    let expected = [
        "config.toml:4:1: `server.listen` is 8080: must be text in quotes",
        "config.toml:5:3: `server.drain_seconds` is -1: must be a whole number from 0 to 3600",
        "CONVSCOPE_TRAIN__MAX_RUNS: `train.max_runs` is many: must be a whole number from 1 to 64",
        "--device: `device` is gpu: there is no device `gpu`: use auto, cpu, cuda or cuda:N",
        "config.toml:7:1: `limits.megapixels` is \"5\": must be a whole number from 1 to 1000",
        "CONVSCOPE_LOG__LEVEL: `log.level` is a=b=c: must be error, warn, info, debug or trace, also per module: info,convscope::http=debug",
        "config.toml:1:1: there is no key `devise`; did you mean `device`?",
        "config.toml:8:8: there is no key `limits.server.listen`; did you mean `server.listen`?",
        "CONVSCOPE_SERVER__LISEN: there is no key `server.lisen`; did you mean `CONVSCOPE_SERVER__LISTEN`?",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn kernels_are_named_and_unknown_ones_are_refused_with_the_choices() {
    assert_eq!(load("", &[], &[]).unwrap().kernels, KernelChoice::Auto);
    // Also one that this processor lacks: what it has is not the configuration's to know.
    for choice in KernelChoice::ALL {
        assert_eq!(load("kernels = 'portable'", &[("CONVSCOPE_KERNELS", &choice.to_string())], &[]).unwrap().kernels, choice);
    }
    let faults = load("kernels = 'sse9'", &[], &[]).unwrap_err();
    let choices = "there are no kernels `sse9`: use auto, avx512, avx2, portable";
    assert_eq!(faults, [format!("config.toml:1:1: `kernels` is \"sse9\": {choices}")]);
}

#[test]
fn a_file_that_is_no_toml_says_where_and_spares_the_rest() {
    let faults = load("[server]\nlisten = \n", &[("CONVSCOPE_DEVICE", "tpu")], &[]).unwrap_err();
    assert!(faults[0].starts_with("config.toml:2:"), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains("no device `tpu`")), "{faults:?}");
}

#[test]
fn a_named_file_must_be_there_and_the_usual_one_need_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let load = |file| Config::load(&Sources { file, ..Sources::default() });
    assert_eq!(load(FileSource::IfThere(path.clone())).unwrap(), Config::default());
    let message = load(FileSource::Required(path)).unwrap_err().to_string();
    assert!(message.starts_with("cannot read ") && message.contains("none.toml"), "{message}");
}

#[test]
fn the_admin_token_comes_from_the_environment_or_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "from-file\n").unwrap();
    let file = format!("server.admin_token_file = '{}'", path.display());
    let from_file = load(&file, &[], &[]).unwrap();
    assert_eq!(from_file.server.admin_token.as_ref().unwrap().reveal(), "from-file");
    assert!(!format!("{from_file:?}").contains("from-file"));
    let both = load(&file, &[("CONVSCOPE_ADMIN_TOKEN", "from-environment")], &[]).unwrap();
    assert_eq!(both.server.admin_token.unwrap().reveal(), "from-environment");
    assert_eq!(load("", &[("CONVSCOPE_ADMIN_TOKEN", "")], &[]).unwrap().server.admin_token, None);
    let spaced = load("", &[("CONVSCOPE_ADMIN_TOKEN", "two words")], &[]).unwrap_err();
    assert!(spaced[0].starts_with("CONVSCOPE_ADMIN_TOKEN: ") && !spaced[0].contains("two words"), "{spaced:?}");
    std::fs::remove_file(&path).unwrap();
    assert!(load(&file, &[], &[]).unwrap_err()[0].contains("cannot be read"));
}

#[test]
fn what_follows_from_another_key_follows() {
    assert!(load("", &[], &[]).unwrap().train.allow_paths);
    let open = [("server.listen", "0.0.0.0:80")];
    assert!(!load("", &[], &open).unwrap().train.allow_paths);
    assert!(load("train.allow_paths = 'always'", &[], &open).unwrap().train.allow_paths);
}

#[test]
fn a_server_may_listen_on_a_name() {
    let listen = |text: &str| load("", &[], &[("server.listen", text)]).map(|config| config.server.listen.to_string());
    assert_eq!(listen("localhost:8302").unwrap(), "127.0.0.1:8302");
    assert_eq!(listen("[::1]:80").unwrap(), "[::1]:80");
    for (wrong, reason) in [
        ("8080", "must be an address and a port, such as 127.0.0.1:8080, localhost:8080"),
        ("localhost", "must be an address and a port"),
        ("localhost:http", "must be an address and a port"),
        (":8080", "must be an address and a port"),
        ("no-such-host.invalid:80", "the name is not known here"),
    ] {
        let faults = listen(wrong).unwrap_err();
        assert!(faults[0].contains(reason), "{faults:?}");
    }
}

#[test]
fn a_switch_is_true_or_false_and_an_address_of_the_web_says_so() {
    let on = |text: &str| load(text, &[], &[]).map(|config| config.train.resume_interrupted);
    assert!(on("").unwrap() && on("train.resume_interrupted = true").unwrap() && !on("train.resume_interrupted = false").unwrap());
    assert!(!load("", &[("CONVSCOPE_TRAIN__RESUME_INTERRUPTED", "false")], &[]).unwrap().train.resume_interrupted);
    let fault = "config.toml:1:7: `train.resume_interrupted` is \"yes\": must be true or false";
    assert_eq!(on("train.resume_interrupted = 'yes'").unwrap_err(), [fault]);
    let fault = "config.toml:1:7: `train.max_runs` is true: must be a whole number from 1 to 64";
    assert_eq!(load("train.max_runs = true", &[], &[]).unwrap_err(), [fault]);
    let fault = load("train.cifar10_url = 'example.org'", &[], &[]).unwrap_err().remove(0);
    assert!(fault.ends_with("must begin with http:// or https://"), "{fault}");
}

#[test]
fn origins_are_what_browsers_send() {
    let origins = |text: &str| load(&format!("server.cors_origins = '{text}'"), &[], &[]).map(|config| config.server.cors_origins);
    assert!(origins("").unwrap().is_empty());
    assert_eq!(origins("https://Example.org , http://localhost:3000,").unwrap(), ["https://example.org", "http://localhost:3000"]);
    assert_eq!(origins("*").unwrap(), ["*"]);
    for wrong in ["example.org", "https://example.org/", "https://", "ftp://example.org", "https://a@b", "null"] {
        assert!(origins(wrong).unwrap_err()[0].contains("is no origin"), "{wrong}");
    }
}

#[test]
fn variables_of_a_kubernetes_service_called_convscope_are_not_settings() {
    let injected = [
        ("CONVSCOPE_SERVICE_HOST", "10.0.0.1"),
        ("CONVSCOPE_SERVICE_PORT_HTTP", "80"),
        ("CONVSCOPE_PORT", "tcp://10.0.0.1:80"),
        ("CONVSCOPE_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(load("", &injected, &[]).unwrap(), Config::default());
}

#[test]
fn a_run_is_told_all_that_it_needs_of_its_servers_settings() {
    let file = "kernels = \"portable\"\n[limits]\nmegapixels = 1000\n[log]\nlevel = \"warn\"";
    let server = load(file, &[], &[]).unwrap();
    let told = server.for_runs();
    let told: Vec<(&str, &str)> = told.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let run = load("", &told, &[]).unwrap();
    assert_eq!((run.kernels, &run.limits, &run.log), (server.kernels, &server.limits, &server.log));
    assert_eq!(run.for_runs(), server.for_runs());
}
