//! What was written, where: the file, the environment and the flags as dotted keys (`server.listen`), before any has a type.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

/// Prefix of every variable of this program.
const PREFIX: &str = "CONVSCOPE_";

/// What Kubernetes and Docker links put beside our variables when the service is itself called `convscope`.
const NOT_OURS: [&str; 2] = ["SERVICE_", "PORT"];

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file.
    pub file: FileSource,
    /// Name and value of environment variables; those without the prefix `CONVSCOPE_` are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// Key and value of flags that were given.
    pub flags: Vec<(&'static str, String)>,
}

/// Which file is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileSource {
    /// None.
    #[default]
    None,
    /// This one, if it is there.
    IfThere(PathBuf),
    /// This one; that it is missing is a fault.
    Required(PathBuf),
}

/// Every key that was written. Where a key was written twice, the stronger source has stayed.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    /// By dotted key.
    pub(super) settings: BTreeMap<String, Setting>,
    /// `CONVSCOPE_ADMIN_TOKEN`: not a setting, so that no message repeats its value.
    pub(super) token: Option<String>,
}

/// One value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The value.
    pub(super) value: Value,
    /// `config.toml:3:10`, `CONVSCOPE_SERVER__LISTEN`, `--listen`.
    pub(super) origin: String,
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// From the environment or a flag: its type is whatever its key needs.
    Untyped(String),
    /// TOML text.
    Text(String),
    /// A TOML number.
    Number(String),
    /// A TOML boolean.
    Switch(bool),
    /// TOML of a kind that no key takes.
    Other(&'static str),
}

impl Sources {
    /// What a process started from a shell has: `file`, or ./config.toml if it is there, and the process's environment.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        let file = file.map_or_else(|| FileSource::IfThere("config.toml".into()), FileSource::Required);
        Self { file, environment: std::env::vars_os().collect(), flags }
    }

    /// Joins the sources. Faults of one do not keep the others from being read.
    pub(super) fn collect(&self) -> (Written, Vec<String>) {
        let (mut written, mut faults) = (Written::default(), Vec::new());
        self.read_file(&mut written, &mut faults);
        self.read_environment(&mut written, &mut faults);
        for (key, value) in &self.flags {
            let flag = key.rsplit('.').next().unwrap_or(key).replace('_', "-");
            // `log.format` is `--log`; every other flag has its key's name.
            let origin = format!("--{}", if *key == "log.format" { "log" } else { &flag });
            written.settings.insert((*key).to_owned(), Setting { value: Value::Untyped(value.clone()), origin });
        }
        (written, faults)
    }

    fn read_file(&self, written: &mut Written, faults: &mut Vec<String>) {
        let (path, required) = match &self.file {
            FileSource::None => return,
            FileSource::IfThere(path) => (path, false),
            FileSource::Required(path) => (path, true),
        };
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => read_toml(&name, &text, written, faults),
            Err(e) if e.kind() == ErrorKind::NotFound && !required => {}
            Err(e) => faults.push(format!("cannot read {name}: {e}")),
        }
    }

    fn read_environment(&self, written: &mut Written, faults: &mut Vec<String>) {
        for (name, value) in &self.environment {
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
            if NOT_OURS.iter().any(|other| rest.starts_with(other)) || value.is_empty() {
                continue;
            }
            let origin = format!("{PREFIX}{rest}");
            let Some(value) = value.to_str() else {
                faults.push(format!("{origin} is not UTF-8"));
                continue;
            };
            if rest == "ADMIN_TOKEN" {
                written.token = Some(value.to_owned());
            } else {
                let key = rest.to_ascii_lowercase().replace("__", ".");
                written.settings.insert(key, Setting { value: Value::Untyped(value.to_owned()), origin });
            }
        }
    }
}

fn read_toml(name: &str, text: &str, written: &mut Written, faults: &mut Vec<String>) {
    let at = |offset: usize| format!("{name}:{}", position(text, offset));
    let (table, errors) = DeTable::parse_recoverable(text);
    faults.extend(errors.iter().map(|e| format!("{}: {}", e.span().map_or(name.to_owned(), |span| at(span.start)), e.message())));
    let mut open = vec![(String::new(), table.get_ref())];
    while let Some((prefix, table)) = open.pop() {
        for (key, value) in table {
            let path = format!("{prefix}{}", key.get_ref());
            let kind = match value.get_ref() {
                DeValue::Table(inner) => {
                    open.push((format!("{path}."), inner));
                    continue;
                }
                DeValue::String(text) => Value::Text(text.to_string()),
                DeValue::Integer(number) if number.radix() == 10 => Value::Number(number.as_str().to_owned()),
                DeValue::Boolean(on) => Value::Switch(*on),
                other => Value::Other(other.type_str()),
            };
            written.settings.insert(path, Setting { value: kind, origin: at(key.span().start) });
        }
    }
}

/// `line:column`, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    format!("{}:{}", before.matches('\n').count() + 1, line.chars().count() + 1)
}
