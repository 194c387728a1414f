//! From an architecture file or JSON to a layer list, or to every fault in it with its layer, line and key.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::fault::Fault;
use super::spec::{Architecture, Input, KINDS, Layer, LayerKind};
use super::written::{self, Item, Value, Wrong, unknown_key};
use crate::network::error::{Error, nearest};

impl Architecture {
    /// Reads an architecture file.
    ///
    /// # Errors
    /// Names the line, layer and key of everything that cannot be read.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let document = Item::from_toml(text).map_err(|error| Error::Architecture(vec![Fault { error, ..Fault::default() }]))?;
        architecture(&document).map_err(Error::Architecture)
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        architecture(&Item::deserialize(deserializer)?).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
            D::Error::custom(faults.join("; "))
        })
    }
}

const KEYS: [&str; 3] = ["name", "input", "layers"];

fn architecture(document: &Item) -> Result<Architecture, Vec<Fault>> {
    let top = |line, error| Fault { line, error, ..Fault::default() };
    let Value::Table(table) = &document.value else {
        return Err(vec![top(document.line, "a network is a table with `name`, `input` and `layers`".into())]);
    };
    let mut faults: Vec<Fault> = Vec::new();
    let mut add = |Wrong(wrong): Wrong| faults.extend(wrong.into_iter().map(|(line, error)| top(line, error)));
    let name = one::<String>(table, "name").map_err(&mut add);
    let input = one::<Input>(table, "input").map_err(&mut add);
    faults.extend(table.iter().filter(|(key, _)| !KEYS.contains(&key.as_str())).map(|(key, item)| {
        let hint = nearest(key, &KEYS).map_or_else(|| "name, input and layers".into(), |near| format!("did you mean `{near}`?"));
        top(item.line, format!("there is no key `{key}` in a network; {hint}"))
    }));
    let mut layers = Vec::new();
    match table.iter().find(|(key, _)| key == "layers").map(|(_, item)| item) {
        None if faults.is_empty() => faults.push(top(None, "it has no layers: write one `[[layers]]` for each".into())),
        None => {}
        Some(Item { value: Value::List(items), .. }) => {
            for (index, item) in items.iter().enumerate() {
                match layer(item) {
                    Ok(layer) => layers.push(layer),
                    Err(wrong) => faults.extend(wrong.into_iter().map(|fault| Fault { index: Some(index), ..fault })),
                }
            }
        }
        Some(item) => faults.push(top(item.line, "`layers` must be a list: write one `[[layers]]` for each".into())),
    }
    match (name, input) {
        (Ok(name), Ok(input)) if faults.is_empty() => Ok(Architecture { name, input, layers }),
        _ => {
            faults.sort_by_key(|fault| fault.line);
            Err(faults)
        }
    }
}

/// What stands under `key`.
fn one<T: serde::de::DeserializeOwned>(table: &[(String, Item)], key: &'static str) -> Result<T, Wrong> {
    let Some((_, item)) = table.iter().find(|(other, _)| other == key) else {
        return Err(serde::de::Error::missing_field(key));
    };
    let named = |(line, sentence): (Option<usize>, String)| {
        // A fault of a key inside names that key.
        let sentence = if sentence.starts_with("must") { format!("`{key}` {sentence}") } else { format!("`{key}`: {sentence}") };
        (line.or(item.line), sentence)
    };
    written::read_item(item).map_err(|Wrong(wrong)| Wrong(wrong.into_iter().map(named).collect()))
}

/// The keys of every layer, whatever its kind.
const COMMON: [&str; 2] = ["name", "kind"];

fn layer(item: &Item) -> Result<Layer, Vec<Fault>> {
    let mut place = Fault { line: item.line, ..Fault::default() };
    let Value::Table(table) = &item.value else {
        return Err(vec![Fault { error: "must be a table with `name`, `kind` and its arguments".into(), ..place }]);
    };
    let faults = |place: &Fault, Wrong(wrong): Wrong| -> Vec<Fault> {
        wrong.into_iter().map(|(line, error)| Fault { line: line.or(place.line), error, ..place.clone() }).collect()
    };
    let name = one::<String>(table, "name").map_err(|wrong| faults(&place, wrong))?;
    place.layer = Some(name.clone());
    let kind = one::<String>(table, "kind").map_err(|wrong| {
        let instead = ["type", "op", "layer"].into_iter().find(|word| table.iter().any(|(key, _)| key == word));
        let hint = instead.map_or_else(String::new, |word| format!("; write it for `{word}`"));
        faults(&place, Wrong(wrong.0.into_iter().map(|(line, error)| (line, error + &hint)).collect()))
    })?;
    let arguments: Vec<(String, Item)> = table.iter().filter(|(key, _)| !COMMON.contains(&key.as_str())).cloned().collect();
    place.kind = KINDS.into_iter().find(|known| *known == kind);
    let kind = LayerKind::read(&kind, &arguments).map_err(|wrong| faults(&place, wrong))?;
    Ok(Layer { name, kind })
}
