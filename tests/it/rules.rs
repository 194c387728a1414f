//! The invariants of the house, held by reading its source.

mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use source::{Source, sources};

const LONGEST_FILE: usize = 400;

/// A network as data: what may be known of it without knowing how it is computed.
const NETWORK_AS_DATA: &[&str] = &[
    "network::architecture",
    "network::parameters",
    "network::spec",
    "network::shape",
    "network::presets",
    "network::weights",
    "network::model",
    "network::preprocessing",
    "network::error",
    "network::Architecture",
    "network::Error",
    "network::Metadata",
    "network::Model",
    "network::Parameter",
    "network::Preprocessing",
    "network::Weights",
    "network::infer",
];

/// What each room may name of the others: a room, or a path in one. [`NETWORK_AS_DATA`] is `network/data`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("words", &[]),
    ("kernels", &["words"]),
    ("optim", &[]),
    ("classification", &[]),
    ("picture", &[]),
    ("console", &[]),
    ("selftest", &["network", "kernels", "optim", "training::learner"]),
    ("config", &["words"]),
    ("ops", &["kernels", "optim"]),
    ("network", &["ops", "kernels", "optim", "picture", "words"]),
    ("checkpoint", &["network/data"]),
    ("dataset", &["picture", "network/data"]),
    ("evaluation", &["network", "dataset"]),
    ("serving", &["network", "checkpoint", "picture", "classification"]),
    ("training", &["network", "checkpoint", "dataset", "evaluation", "optim", "kernels::Tier", "picture::Pixels", "words"]),
    (
        "http",
        &[
            "serving",
            "training",
            "network",
            "checkpoint",
            "dataset",
            "evaluation",
            "classification",
            "picture",
            "config",
            "console",
            "words",
        ],
    ),
    (
        "cli",
        &[
            "http",
            "serving",
            "training",
            "network",
            "checkpoint",
            "dataset",
            "evaluation",
            "classification",
            "picture",
            "config",
            "optim",
            "kernels",
            "selftest",
            "console",
            "words",
        ],
    ),
    ("src/main.rs", &["cli"]),
    ("src/lib.rs", &[]),
];

/// Words of other crates that rooms must not know, and who is excused.
const NOT_KNOWN: &[(&str, &[&str], &[&str])] = &[
    (
        "HTTP is known only to http and cli; but as a client the download reads the status that another server sent",
        &["StatusCode", "axum", "tower", "tower_http", "hyper"],
        &["http", "cli", "dataset/download"],
    ),
    (
        "below serving and training nothing knows tokio",
        &["tokio", "tokio_util", "tokio_stream"],
        &["http", "cli", "serving", "training"],
    ),
    (
        "http knows no tensor, and neither do kernels, pictures, data and rules of update",
        &["candle_core", "candle_nn"],
        &["network", "ops", "checkpoint", "serving", "training", "selftest", "cli"],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// The paths of `source` that its room must not name.
fn forbidden(source: &Source) -> Vec<String> {
    let room = source.room();
    let allowed = MAY_USE.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed);
    let Some(allowed) = allowed else { return vec![format!("{}: the room `{room}` has no rule in MAY_USE", source.path)] };
    let allowed: Vec<&str> = allowed
        .iter()
        .flat_map(|path| if *path == "network/data" { NETWORK_AS_DATA } else { std::slice::from_ref(path) })
        .copied()
        .collect();
    // A room's bare name only brings the name in: what is then named with it counts.
    let fits = |path: &[String], allowed: &str| allowed.split("::").zip(path).all(|(a, b)| a == b);
    let mut found = Vec::new();
    for (line, path) in source.paths() {
        let own = path.first().is_none_or(|first| *first == room);
        if !own && !allowed.iter().any(|allowed| fits(&path, allowed)) {
            found.push(format!("{}:{line}: {room} names {}", source.path, path.join("::")));
        }
    }
    found
}

#[test]
fn rooms_depend_on_one_another_only_as_the_design_says() {
    let sources = sources("src");
    let rooms: BTreeSet<String> = sources.iter().map(Source::room).collect();
    let gone: Vec<_> = MAY_USE.iter().filter(|(room, _)| !rooms.contains(*room)).collect();
    assert!(gone.is_empty(), "rules for rooms that are not there: {gone:?}");
    let found: Vec<String> = sources.iter().flat_map(forbidden).collect();
    none(&found, "main → cli → http → {serving, training} → network → ops → kernels; see MAY_USE");
}

#[test]
fn rooms_know_no_crate_that_is_not_theirs() {
    for (rule, words, excused) in NOT_KNOWN {
        let mut found = Vec::new();
        for source in sources("src") {
            if excused.iter().any(|room| source.path.starts_with(&format!("src/{room}"))) {
                continue;
            }
            let known = source.code.iter().filter(|token| words.contains(&&token.text[..]));
            found.extend(known.map(|token| format!("{}:{}: {}", source.path, token.line, token.text)));
        }
        none(&found, rule);
    }
    let trainer = sources("src").into_iter().find(|source| source.path == "src/training/trainer.rs").unwrap();
    assert!(
        trainer.code.iter().all(|token| token.text != "tokio"),
        "the trainer takes a closure: progress and cancellation in one"
    );
}

/// What the rules above are read by: neither fooled by a comment or a string nor blind to groups and `super`.
#[test]
fn code_is_told_from_comments_strings_and_tests() {
    let names = |path: &str, text: &str| -> Vec<String> {
        Source::new(path, text).paths().into_iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect()
    };
    let none_of_it = r##"
        //! [`crate::http`] and axum
        /* crate::http /* crate::cli */ crate::serving */
        const TEXT: &str = "crate::http \" crate::http";
        const RAW: (&str, &[u8], char, char) = (r#"crate::http " crate::http"#, b"crate::http", '"', '\'');
        fn f<'a>(x: &'a str) -> &'a str { x }
        #[cfg(test)]
        #[allow(dead_code)]
        mod tests { use crate::http::Error; fn g() { let _ = [1; 3]; } }
        #[cfg(test)]
        pub(crate) mod testing;
        pub(crate) fn after() {}
    "##;
    assert_eq!(names("src/kernels/x.rs", none_of_it), Vec::<String>::new());
    assert!(Source::new("src/kernels/x.rs", none_of_it).code.iter().all(|token| token.text != "axum"));
    assert!(Source::new("src/kernels/x.rs", none_of_it).code.iter().any(|token| token.text == "after"));
    let all_of_it =
        "use crate::{a::b::{self, C}, d as e,\n f::*};\nfn f() { super::super::g::h::<T>(); }\n let x: crate::i::J = 1;";
    assert_eq!(names("src/kernels/x.rs", all_of_it), ["1 a::b", "1 a::b::C", "1 d", "1 f::*", "3 g::h", "4 i::J"]);
    assert_eq!(names("src/kernels/mod.rs", "use super::network::Step;"), ["1 network::Step"]);
    let faults = |path: &str, text: &str| forbidden(&Source::new(path, text)).len();
    assert_eq!(faults("src/kernels/x.rs", "use crate::optim::Sgd; use super::buffer::Buffer;"), 1);
    assert_eq!(faults("src/ops/x.rs", "use crate::kernels::window; use crate::{network::spec, optim};"), 1);
    assert_eq!(
        faults("src/config/x.rs", "use crate::words::nearest; use crate::network::DeviceChoice; use crate::kernels::Tier;"),
        2
    );
    assert_eq!(faults("src/serving/x.rs", "fn f() { crate::training::run() }"), 1);
    assert_eq!(faults("src/checkpoint/x.rs", "use crate::network::{Model, Plan};"), 1);
    assert_eq!(faults("src/checkpoint/x.rs", "use crate::network::{self, Model}; fn f() -> network::Step { network::infer() }"), 1);
    assert_eq!(faults("src/checkpoint/x.rs", "use crate::network::*;"), 1);
    assert_eq!(faults("src/training/x.rs", "use crate::kernels::{Team, Tier};"), 1);
}

#[test]
fn no_file_is_long() {
    let long = ["src", "tests", "benches"].iter().filter(|folder| root().join(folder).is_dir()).flat_map(|folder| sources(folder));
    let long: Vec<String> = long
        .filter(|source| source.lines.len() > LONGEST_FILE)
        .map(|source| format!("{}: {} lines", source.path, source.lines.len()))
        .collect();
    none(&long, "a file holds one noun in at most 400 lines");
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    for source in sources("src") {
        let begins = |pair: &[source::Token]| pair[0].text == "unsafe" && matches!(&pair[1].text[..], "{" | "impl");
        let blocks = source.code.windows(2).filter(|pair| begins(pair)).count();
        let reasons = source.lines.iter().filter(|line| line.contains("// SAFETY:")).count();
        assert!(reasons >= blocks, "{}: {blocks} unsafe blocks and {reasons} SAFETY reasons", source.path);
        assert!(blocks == 0 || source.path.starts_with("src/kernels"), "{}: unsafe is only in kernels", source.path);
    }
}

#[test]
fn every_row_of_the_error_table_is_provoked_by_a_test() {
    let table = fs::read_to_string(root().join("src/http/error.rs")).unwrap();
    let codes: BTreeSet<&str> = table
        .lines()
        .filter(|line| line.contains("=> (\"") && line.contains("StatusCode::"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert!(codes.len() > 20, "the table was read");
    let tests: String = sources("tests/it").into_iter().flat_map(|source| source.lines).collect();
    let missing: Vec<_> = codes
        .iter()
        .filter(|code| !tests.contains(&format!("\"{code}\"")))
        .filter(|code| !tests.contains(&format!("\"code\":\"{code}\"")))
        .collect();
    assert!(missing.is_empty(), "no test provokes {missing:?}");
}

#[test]
fn no_place_of_the_workshop_is_named() {
    let found: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|folder| sources(folder))
        .flat_map(|source| {
            let Source { path, lines, .. } = source;
            lines.into_iter().enumerate().map(move |(i, line)| format!("{path}:{}: {line}", i + 1)).collect::<Vec<_>>()
        })
        .filter(|line| line.contains(concat!("/wo", "rk/")))
        .collect();
    none(&found, "sources name no path of the machine they were written on");
}

#[test]
fn nothing_is_printed_that_panics_when_nobody_reads() {
    let prints = |line: &str| ["println!", "eprint!", "print!("].iter().any(|print| line.contains(print));
    let found: Vec<String> = sources("src")
        .into_iter()
        .flat_map(|Source { path, lines, .. }| lines.into_iter().map(move |line| format!("{path}: {line}")))
        .filter(|line| prints(line) && !line.contains("//"))
        .collect();
    none(&found, "`cli::print` writes results, `console` everything else");
}
