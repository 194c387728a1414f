//! The invariants of the house, held by reading its source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 400;

/// One source file: its path under the repository, and its lines.
struct Source {
    path: String,
    lines: Vec<String>,
}

impl Source {
    /// Lines outside test modules, numbered from 1, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.lines.iter().position(|line| line.trim() == "#[cfg(test)]" && !line.starts_with(' '));
        let lines = self.lines.iter().take(tests.unwrap_or(self.lines.len())).enumerate();
        lines.map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
                let lines = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path, lines });
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// Every line of the rooms `within` (paths under src) where one of `words` stands.
fn uses(within: &[&str], words: &[&str]) -> Vec<String> {
    let in_room = |source: &&Source| within.iter().any(|room| source.path.starts_with(&format!("src/{room}")));
    let mut found = Vec::new();
    for source in sources("src").iter().filter(in_room) {
        for (number, line) in source.code() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    found
}

fn none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn nothing_below_http_knows_a_status_code_and_nothing_in_http_a_tensor() {
    let below = ["serving", "training", "network", "ops", "kernels", "picture", "dataset", "optim", "checkpoint", "config"];
    let mut found = uses(&below, &["StatusCode", "axum", "crate::http", "use http::"]);
    // As a client, the download reads the status that another server sent.
    found.retain(|line| !line.starts_with("src/dataset/download"));
    none(&found, "HTTP is known only to http and cli");
    none(&uses(&["http"], &["candle_core", "candle_nn", "crate::ops", "crate::kernels"]), "no tensor in http");
}

#[test]
fn nothing_below_serving_and_training_knows_tokio_or_the_config_file() {
    let below = ["network", "ops", "kernels", "picture", "dataset", "optim", "checkpoint"];
    let above = ["tokio", "crate::config", "crate::serving", "crate::training", "crate::http", "crate::cli"];
    none(&uses(&below, &above), "these rooms are called, they call nobody above");
    none(&uses(&["kernels"], &["candle", "crate::network", "crate::ops"]), "kernels work on slices");
    none(&uses(&["picture", "config"], &["crate::checkpoint", "crate::serving", "crate::training"]), "leaves");
}

#[test]
fn serving_and_training_do_not_know_each_other() {
    none(&uses(&["serving"], &["crate::training"]), "serving reads models from files, whoever wrote them");
    none(&uses(&["training"], &["crate::serving"]), "training writes models to files, whoever reads them");
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
        let count = |wanted: &dyn Fn(&str) -> bool| source.lines.iter().filter(|line| wanted(line.trim())).count();
        let blocks = count(&|line| !line.starts_with("//") && (line.contains("unsafe {") || line.starts_with("unsafe impl")));
        let reasons = count(&|line| line.contains("// SAFETY:"));
        assert!(reasons >= blocks, "{}: {blocks} unsafe blocks and {reasons} SAFETY reasons", source.path);
        assert!(blocks == 0 || source.path.starts_with("src/kernels") || source.path.starts_with("src/ops"), "{}", source.path);
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
            let Source { path, lines } = source;
            lines.into_iter().enumerate().map(move |(i, line)| format!("{path}:{}: {line}", i + 1)).collect::<Vec<_>>()
        })
        .filter(|line| line.contains(concat!("/wo", "rk/")))
        .collect();
    none(&found, "sources name no path of the machine they were written on");
}

#[test]
fn nothing_is_printed_that_panics_when_nobody_reads() {
    none(&uses(&[""], &["println!", "eprint!", "print!("]), "`cli::print` writes results, `console` everything else");
}
