//! What the README promises, held to what the program does.

use std::collections::BTreeMap;
use std::path::Path;

use convscope::checkpoint::Contents;
use convscope::config::Config;
use convscope::network::{LayerShape, infer, presets};
use reqwest::Method;
use reqwest::multipart::{Form, Part};

use crate::support::{Answer, Server};

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

/// A `curl` of the README, and the answer that is shown below it, if one is.
struct Example {
    words: Vec<String>,
    shown: Option<String>,
}

/// The words of a shell's line, up to a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (None, '#') if word.is_empty() => break,
            (None, ' ') if word.is_empty() => {}
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (_, c) => word.push(c),
        }
    }
    words
}

fn examples() -> Vec<Example> {
    let readme = read("README.md").replace("\\\n", " ");
    let mut lines = readme.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("$ curl ") {
            let shown = lines.next_if(|line| line.starts_with('{')).map(str::to_owned);
            found.push(Example { words: words(command), shown });
        }
    }
    found
}

/// Sends what curl would send, and gives the name of the file that the answer is kept in.
async fn run(server: &Server, words: &[String]) -> (Answer, Option<String>) {
    let (mut path, mut body, mut form, mut kept) = (None, None, None::<Form>, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap().as_str();
        match word.as_str() {
            "--data-binary" => body = Some(sent(server, value().strip_prefix('@').unwrap()).await),
            "-F" => {
                let (field, name) = value().split_once("=@").unwrap();
                let part = Part::bytes(sent(server, name).await).file_name(name.to_owned());
                form = Some(form.unwrap_or_default().part(field.to_owned(), part));
            }
            "-o" => kept = Some(value().to_owned()),
            url => path = Some(url.strip_prefix("localhost:8080").unwrap_or_else(|| panic!("curl has no {url} here")).to_owned()),
        }
    }
    let method = if body.is_some() || form.is_some() { Method::POST } else { Method::GET };
    let request = server.request(method, &path.unwrap());
    let request = if let Some(body) = body { request.body(body) } else { request };
    let request = if let Some(form) = form { request.multipart(form) } else { request };
    (Answer::of(request).await, kept)
}

/// `cat.png` is the sample of that name.
async fn sent(server: &Server, name: &str) -> Vec<u8> {
    server.get(&format!("/samples/{}", name.strip_suffix(".png").unwrap())).await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_it_shows_is_answered_as_it_says() {
    // With the model in the program, as one who tries it has.
    let server = Server::with(|config| {
        config.models = Config::default().models;
        config.models.dir = config.data_dir.join("none");
    })
    .await;
    let mut tried = 0;
    for Example { words, shown } in examples() {
        if words.iter().any(|word| word.contains("$TOKEN")) {
            continue;
        }
        let (answer, kept) = run(&server, &words).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{words:?}: {text}");
        match kept.as_deref().and_then(|name| name.rsplit_once('.')) {
            Some((_, "png")) => assert!(answer.body.starts_with(b"\x89PNG"), "{words:?}"),
            Some((_, "npy")) => assert!(answer.body.starts_with(b"\x93NUMPY"), "{words:?}"),
            Some((_, "safetensors")) => drop(Contents::read(&answer.body).unwrap()),
            _ => assert!(text.starts_with('{'), "{words:?} would fill the terminal"),
        }
        // The keys shown are there, in this order.
        let quoted: Vec<&str> = shown.as_deref().unwrap_or_default().split('"').collect();
        let keys = quoted.windows(2).filter(|pair| pair[1].starts_with(':')).map(|pair| format!("\"{}\":", pair[0]));
        let mut rest = text.as_ref();
        for key in keys {
            let at = rest.find(&key).unwrap_or_else(|| panic!("{words:?}: no {key} where the README has it: {text}"));
            rest = &rest[at + key.len()..];
        }
        tried += 1;
    }
    assert!(tried >= 10, "{tried} examples were found");
    server.stop().await;
}

#[test]
fn every_route_is_named() {
    let (router, readme) = (read("src/http/router.rs"), read("README.md"));
    let routes =
        router.lines().filter(|line| line.contains("get(") || line.contains("post(")).filter_map(|line| line.split('"').nth(1));
    let (known, missing): (Vec<&str>, Vec<&str>) = routes.partition(|path| {
        // The protocol's routes are told of once, with and without a version.
        let path = path.replace("/versions/{version}", "");
        let path = match &*path {
            path if path.starts_with("/admin/jobs") => "/admin/jobs/…",
            path if path.starts_with("/admin/models") => "/admin/models/…",
            path => path,
        };
        readme.contains(&format!(" {path}`")) || readme.contains(&format!("`{path}`"))
    });
    assert!(missing.is_empty() && known.len() > 10, "README does not name {missing:?}");
}
