//! Rust source as a reader sees it: no comments, no strings, no test modules; and which paths of this crate it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A word, `::`, or one other character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) text: String,
}

/// One source file.
pub(super) struct Source {
    /// Under the repository.
    pub(super) path: String,
    pub(super) lines: Vec<String>,
    /// Outside test modules; nothing where the whole file is one.
    pub(super) code: Vec<Token>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, _) = without_tests(&tokens(text));
        Self { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect(), code }
    }

    /// The file's module: the room it is in, then its place there.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let names = path.split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main"));
        names.map(str::to_owned).collect()
    }

    pub(super) fn room(&self) -> String {
        self.module().into_iter().next().unwrap_or_else(|| self.path.clone())
    }

    /// Every path of this crate that the code names, as its names from the crate's root, and the line; also those that begin with
    /// a room which was imported by its name.
    pub(super) fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = self.paths_from(&["crate", "convscope", "super"]);
        let rooms: BTreeSet<String> = found.iter().filter(|(_, path)| path.len() == 1).map(|(_, path)| path[0].clone()).collect();
        let further = self.paths_from(&rooms.iter().map(String::as_str).collect::<Vec<_>>());
        found.extend(further);
        found
    }

    fn paths_from(&self, beginnings: &[&str]) -> Vec<(usize, Vec<String>)> {
        let (module, mut found) = (self.module(), Vec::new());
        let text = |at: usize| self.code.get(at).map_or("", |token| &token.text[..]);
        let mut at = 0;
        while at < self.code.len() {
            let (first, line) = (at, self.code[at].line);
            at += 1;
            let begins = beginnings.contains(&text(first)) && text(at) == "::";
            if !begins || (first > 0 && text(first - 1) == "::") {
                continue;
            }
            let mut base = Vec::new();
            if !matches!(text(first), "crate" | "convscope" | "super") {
                base.push(text(first).to_owned());
            }
            if text(first) == "super" {
                let mut ups = 1;
                while text(at) == "::" && text(at + 1) == "super" {
                    (ups, at) = (ups + 1, at + 2);
                }
                base = module[..module.len().saturating_sub(ups)].to_vec();
            }
            at += 1;
            self.tree(&mut at, &base, &mut |path| found.push((line, path)));
        }
        found
    }

    /// Reads what follows a `::`: a name and what follows it, or several in braces.
    fn tree(&self, at: &mut usize, before: &[String], found: &mut dyn FnMut(Vec<String>)) {
        let text = |at: usize| self.code.get(at).map_or("", |token| &token.text[..]);
        if text(*at) == "{" {
            *at += 1;
            while !matches!(text(*at), "}" | "") {
                self.tree(at, before, found);
                // Over `as name` and the comma.
                while !matches!(text(*at), "," | "}" | "") {
                    *at += 1;
                }
                *at += usize::from(text(*at) == ",");
            }
            *at += 1;
            return;
        }
        let mut path = before.to_vec();
        if text(*at).starts_with(|c: char| c.is_alphabetic() || c == '_') {
            path.extend((text(*at) != "self").then(|| text(*at).to_owned()));
            *at += 1;
            if text(*at) == "::" && text(*at + 1) != "<" {
                *at += 1;
                return self.tree(at, &path, found);
            }
        }
        path.extend((text(*at) == "*" && text(at.saturating_sub(1)) == "::").then(|| "*".to_owned()));
        found(path);
    }
}

/// The files under `folder` of the repository.
pub(super) fn sources(folder: &str) -> Vec<Source> {
    let (mut found, mut tests, mut folders) = (Vec::new(), BTreeSet::new(), vec![super::root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
                let text = fs::read_to_string(&path).unwrap();
                if path.extension().is_some_and(|extension| extension == "py") {
                    let lines = text.lines().map(str::to_owned).collect();
                    found.push(Source { path: relative(&path), lines, code: Vec::new() });
                    continue;
                }
                let (_, modules) = without_tests(&tokens(&text));
                let beside = match path.file_stem().and_then(|stem| stem.to_str()) {
                    Some("mod" | "lib" | "main") | None => path.with_file_name(""),
                    Some(_) => path.with_extension(""),
                };
                tests.extend(modules.into_iter().map(|module| relative(&beside.join(module))));
                found.push(Source::new(&relative(&path), &text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    for source in &mut found {
        let path = source.path.trim_end_matches(".rs");
        if tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/"))) {
            source.code.clear();
        }
    }
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(super::root()).unwrap().to_str().unwrap().trim_end_matches('/').to_owned()
}

/// Words and signs; comments, strings and lifetimes are none.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut line) = (Vec::new(), 1);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word: usize = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            '"' => string(rest),
            '\'' => character(rest),
            _ if matches!(&rest[..word], "r" | "br" | "cr") && raw(&rest[word..]).is_some() => word + raw(&rest[word..]).unwrap(),
            'b' | 'c' if word == 1 && rest[1..].starts_with('"') => 1 + string(&rest[1..]),
            'b' if word == 1 && rest[1..].starts_with('\'') => 1 + character(&rest[1..]),
            _ if word > 0 => {
                found.push(Token { line, text: rest[..word].to_owned() });
                word
            }
            ':' if rest.starts_with("::") => {
                found.push(Token { line, text: "::".to_owned() });
                2
            }
            _ => {
                if !first.is_whitespace() {
                    found.push(Token { line, text: first.to_string() });
                }
                first.len_utf8()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// Length of a comment that may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// Length of a raw string from its first `#` or quote on, where there is one.
fn raw(text: &str) -> Option<usize> {
    let signs = text.len() - text.trim_start_matches('#').len();
    text[signs..].starts_with('"').then_some(())?;
    let end = format!("\"{}", "#".repeat(signs));
    text[signs + 1..].find(&end).map(|at| signs + 1 + at + end.len())
}

/// Length of a character, or of a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => text[3..].find('\'').map_or(text.len(), |at| at + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1 + text[1..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum::<usize>(),
    }
}

/// The tokens outside items for tests, and the names of test modules that are files of their own.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| &token.text[..]);
    while at < tokens.len() {
        let for_tests = ["#", "[", "cfg", "("].iter().enumerate().all(|(i, sign)| text(at + i) == *sign)
            && (text(at + 4) == "test" || (text(at + 4) == "all" && text(at + 6) == "test"));
        if !for_tests {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0usize;
        loop {
            match text(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" => depth -= 1,
                "}" => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                "mod" if depth == 0 && text(at + 2) == ";" => modules.push(text(at + 1).to_owned()),
                ";" if depth == 0 => break,
                "" => break,
                _ => {}
            }
            at += 1;
        }
        at += 1;
    }
    (kept, modules)
}
