//! Gives written settings their types: each key is asked for once, with its default and its range. What nobody asked for is
//! unknown, so the list of keys is the code that reads them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::sources::{Setting, Value, Written};
use super::token::Token;
use crate::words::nearest;

/// Settings not yet asked for, and the faults found so far.
pub(super) struct Reader {
    settings: BTreeMap<String, Setting>,
    token: Option<String>,
    known: Vec<&'static str>,
    faults: Vec<String>,
}

impl Reader {
    /// Starts from what was written and the faults found in collecting it.
    pub(super) fn new(written: Written, faults: Vec<String>) -> Self {
        Self { settings: written.settings, token: written.token, known: Vec::new(), faults }
    }

    /// The text at `key`, as `parse` understands it; `parse` says what is allowed otherwise.
    pub(super) fn text<T>(&mut self, key: &'static str, default: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let found = self.take(key).and_then(|setting| match &setting.value {
            Value::Text(text) | Value::Untyped(text) => match parse(text) {
                Ok(value) => Some(value),
                Err(reason) => self.fault(key, &setting, &reason),
            },
            _ => self.fault(key, &setting, &"must be text in quotes"),
        });
        // Defaults are this program's own; a test reads them all.
        found.unwrap_or_else(|| parse(default).unwrap_or_else(|e| unreachable!("default of {key}: {e}")))
    }

    /// The path at `key`.
    pub(super) fn path(&mut self, key: &'static str, default: &str) -> PathBuf {
        self.text(key, default, |text| if text.is_empty() { Err("must be a path".into()) } else { Ok(PathBuf::from(text)) })
    }

    /// The whole number at `key`, within `range`.
    pub(super) fn number(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let found = self.take(key).and_then(|setting| {
            let parsed = match &setting.value {
                Value::Number(text) | Value::Untyped(text) => text.parse().ok(),
                Value::Text(_) | Value::Switch(_) | Value::Other(_) => None,
            };
            let allowed = parsed.filter(|number| range.contains(number));
            let reason = || format!("must be a whole number from {} to {}", range.start(), range.end());
            allowed.or_else(|| self.fault(key, &setting, &reason()))
        });
        found.unwrap_or(default)
    }

    /// Whether `key` is on.
    pub(super) fn switch(&mut self, key: &'static str, default: bool) -> bool {
        let found = self.take(key).and_then(|setting| {
            let parsed = match &setting.value {
                Value::Switch(on) => Some(*on),
                Value::Untyped(text) => text.parse().ok(),
                Value::Number(_) | Value::Text(_) | Value::Other(_) => None,
            };
            parsed.or_else(|| self.fault(key, &setting, &"must be true or false"))
        });
        found.unwrap_or(default)
    }

    /// `CONVSCOPE_ADMIN_TOKEN`, else the content of the file at `key`, where no text means no file.
    pub(super) fn token(&mut self, key: &'static str) -> Option<Token> {
        let file = self.take(key).and_then(|setting| match &setting.value {
            Value::Text(text) | Value::Untyped(text) => Some((text.clone(), setting)),
            _ => self.fault(key, &setting, &"must be a path in quotes"),
        });
        let secret = match (self.token.take(), file) {
            (Some(secret), _) => Token::new(&secret).map_err(|reason| format!("CONVSCOPE_ADMIN_TOKEN: {reason}")),
            (None, Some((path, setting))) if !path.is_empty() => std::fs::read_to_string(&path)
                .map_err(|e| format!("cannot be read: {e}"))
                .and_then(|text| Token::new(&text))
                .map_err(|reason| format!("{}: `{key}` = {path}: {reason}", setting.origin)),
            _ => return None,
        };
        secret.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// All faults: those of known keys in the order of the keys, then each unknown key with the nearest known one.
    pub(super) fn finish(mut self) -> Vec<String> {
        for (key, setting) in &self.settings {
            let inner = key.rsplit('.').next().unwrap_or(key);
            let same_name = self.known.iter().copied().find(|known| known.rsplit('.').next() == Some(inner));
            let near = same_name.or_else(|| nearest(key, &self.known));
            let hint = match near {
                Some(near) if setting.origin.starts_with("CONVSCOPE_") => {
                    format!("; did you mean `CONVSCOPE_{}`?", near.to_ascii_uppercase().replace('.', "__"))
                }
                Some(near) => format!("; did you mean `{near}`?"),
                None => format!("; the keys are {}", self.known.join(", ")),
            };
            self.faults.push(format!("{}: there is no key `{key}`{hint}", setting.origin));
        }
        self.faults
    }

    fn take(&mut self, key: &'static str) -> Option<Setting> {
        self.known.push(key);
        self.settings.remove(key)
    }

    fn fault<T>(&mut self, key: &str, setting: &Setting, reason: &dyn Display) -> Option<T> {
        let value = match &setting.value {
            Value::Text(text) => format!("\"{text}\""),
            Value::Number(text) | Value::Untyped(text) => text.clone(),
            Value::Switch(on) => on.to_string(),
            Value::Other(kind) => format!("of type {kind}"),
        };
        self.faults.push(format!("{}: `{key}` is {value}: {reason}", setting.origin));
        None
    }
}
