//! What the README promises, held to what the program does.

use std::collections::BTreeMap;
use std::path::Path;

use convscope::network::{LayerShape, infer, presets};

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// `key -> default` of the README's table of settings: rows of "| `key` | `default` | … |", the default empty for none.
fn described() -> BTreeMap<String, String> {
    let readme = read("README.md");
    let table = readme.lines().skip_while(|line| !line.starts_with("| key | default |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        (cell(cells[1]), cell(cells[2]))
    })
    .collect()
}

/// `key -> default` of config.toml, sections before the dot.
fn shipped() -> BTreeMap<String, String> {
    fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(section) => flatten(&key, section, into),
                toml::Value::String(text) => drop(into.insert(key, text.clone())),
                other => drop(into.insert(key, other.to_string())),
            }
        }
    }
    let mut settings = BTreeMap::new();
    flatten("", &read("config.toml").parse().unwrap(), &mut settings);
    settings
}

#[test]
fn the_table_of_settings_is_the_shipped_configuration() {
    assert_eq!(described(), shipped());
}

#[test]
fn the_size_of_the_network_is_what_it_says() {
    let layers = infer(&presets::named("tutorial").unwrap()).unwrap();
    let parameters: usize = layers.iter().map(LayerShape::parameter_count).sum();
    let thousands = format!("{},{:03},{:03}", parameters / 1_000_000, parameters / 1000 % 1000, parameters % 1000);
    let millions = layers.iter().map(|layer| layer.multiply_adds).sum::<u64>() as f64 / 1e6;
    let readme = read("README.md").replace('\n', " ");
    assert!(readme.contains(&format!("has {thousands} learned numbers")), "{thousands} parameters");
    assert!(readme.contains(&format!("needs {millions:.1} million multiply-adds")), "{millions:.1} million multiply-adds");
}

#[test]
fn every_file_it_links_to_is_there() {
    for page in ["README.md", "CONTRIBUTING.md"] {
        for target in read(page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let local = !target.starts_with("http") && !target.starts_with('#');
            assert!(!local || Path::new(env!("CARGO_MANIFEST_DIR")).join(target).exists(), "{page} links to {target}");
        }
    }
}
