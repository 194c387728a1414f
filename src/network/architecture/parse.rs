//! From an architecture file or JSON to a layer list, or to every fault in it with its layer, line and key.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::draft::{Derived, Draft, LayerDraft, Reads};
use super::fault::Fault;
use super::spec::{Architecture, Input, KINDS, parse_kind};
use super::written::{self, DERIVED, Item, Value, Wrong};
use crate::network::error::Error;
use crate::words::nearest;

impl Architecture {
    /// Reads an architecture file. Whether it is a network, [`super::check`] says.
    ///
    /// # Errors
    /// Names the line, layer and key of everything that cannot be read.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        read(&Item::from_toml(text).map_err(Error::Architecture)?).map_err(Error::Architecture)
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(&Item::deserialize(deserializer)?).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
            D::Error::custom(faults.join("; "))
        })
    }
}

/// The list alone, without asking whether its layers fit.
fn read(document: &Item) -> Result<Architecture, Vec<Fault>> {
    let mut draft = draft(document);
    let mut faults = std::mem::take(&mut draft.faults);
    for (index, layer) in draft.layers.iter().enumerate() {
        faults.extend(layer.derived.iter().map(|Derived { key, .. }| Fault {
            line: layer.line_of(Some(key)),
            index: Some(index),
            layer: layer.name.clone(),
            kind: layer.kind_name,
            error: format!("`{key}` follows from the layer before; leave it out"),
        }));
    }
    match draft.architecture() {
        Some(architecture) if faults.is_empty() => Ok(architecture),
        _ => Err(sorted(faults)),
    }
}

/// In the order of the file, or of the list.
pub(super) fn sorted(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| (fault.line, fault.index));
    faults
}

const KEYS: [&str; 3] = ["name", "input", "layers"];

/// Whatever can be read of `document`.
pub(super) fn draft(document: &Item) -> Draft {
    let top = |line, error| Fault { line, error, ..Fault::default() };
    let mut draft = Draft { name: None, input: None, layers: Vec::new(), faults: Vec::new() };
    let faults = &mut draft.faults;
    let Value::Table(table) = &document.value else {
        faults.push(top(document.line, "a network is a table with `name`, `input` and `layers`".into()));
        return draft;
    };
    let mut add = |Wrong(wrong): Wrong| faults.extend(wrong.into_iter().map(|(line, error)| top(line, error)));
    draft.name = one::<String>(table, "name").map_err(&mut add).ok();
    draft.input = one::<Input>(table, "input").map_err(&mut add).ok();
    faults.extend(table.iter().filter(|(key, _)| !KEYS.contains(&key.as_str())).map(|(key, item)| {
        let hint = nearest(key, &KEYS).map_or_else(|| "name, input and layers".into(), |near| format!("did you mean `{near}`?"));
        top(item.line, format!("there is no key `{key}` in a network; {hint}"))
    }));
    match table.iter().find(|(key, _)| key == "layers").map(|(_, item)| item) {
        None if faults.is_empty() => faults.push(top(None, "it has no layers: write one `[[layers]]` for each".into())),
        None => {}
        Some(Item { value: Value::List(items), .. }) => {
            for (index, item) in items.iter().enumerate() {
                // A hostile list is cut off where inference would be.
                let (layer, wrong) = if index > super::infer::MAX_LAYERS || faults.len() >= super::infer::MOST_FAULTS {
                    (LayerDraft::default(), Vec::new())
                } else {
                    layer(item)
                };
                faults.extend(wrong.into_iter().map(|fault| Fault { index: Some(index), ..fault }));
                draft.layers.push(layer);
            }
        }
        Some(item) => faults.push(top(item.line, "`layers` must be a list: write one `[[layers]]` for each".into())),
    }
    draft
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
const COMMON: [&str; 3] = ["name", "kind", "from"];

/// Whatever can be read of a layer, and what cannot.
fn layer(item: &Item) -> (LayerDraft, Vec<Fault>) {
    let mut draft = LayerDraft { line: item.line, ..LayerDraft::default() };
    let mut wrong = Vec::new();
    let Value::Table(table) = &item.value else {
        let error = "must be a table with `name`, `kind` and its arguments".into();
        return (draft, vec![Fault { line: item.line, error, ..Fault::default() }]);
    };
    draft.lines = table.iter().map(|(key, item)| (key.clone(), item.line)).collect();
    let mut add = |Wrong(faults): Wrong| wrong.extend(faults);
    draft.name = one::<String>(table, "name").map_err(&mut add).ok();
    let kind = one::<String>(table, "kind").map_err(|Wrong(faults)| {
        let instead = ["type", "op", "layer"].into_iter().find(|word| table.iter().any(|(key, _)| key == word));
        let hint = instead.map_or_else(String::new, |word| format!("; write it for `{word}`"));
        add(Wrong(faults.into_iter().map(|(line, error)| (line, error + &hint)).collect()));
    });
    if let Ok(kind) = &kind {
        let own = |key: &str| !COMMON.contains(&key) && !DERIVED.contains(&key);
        let arguments: Vec<(String, Item)> = table.iter().filter(|(key, _)| own(key)).cloned().collect();
        draft.kind_name = KINDS.into_iter().find(|known| known == kind);
        draft.kind = parse_kind(kind, &arguments).map_err(&mut add).ok();
    }
    draft.from = match table.iter().find(|(key, _)| key == "from") {
        None => Reads::Before,
        Some(_) => match one::<Option<String>>(table, "from").map_err(&mut add) {
            Ok(from) => from.map_or(Reads::Before, Reads::Named),
            Err(()) => Reads::Unreadable,
        },
    };
    // Of a kind that is not known, nothing is known to follow.
    if draft.kind_name.is_some() {
        let written =
            DERIVED.into_iter().filter_map(|key| table.iter().find(|(known, _)| known == key).map(|(_, item)| (key, item)));
        draft.derived = written.map(|(key, item)| Derived { key, given: item.shown() }).collect();
    }
    let place = |(line, error): (Option<usize>, String)| Fault {
        line: line.or(draft.line),
        index: None,
        layer: draft.name.clone(),
        kind: draft.kind_name,
        error,
    };
    let wrong = wrong.into_iter().map(place).collect();
    (draft, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = 'x'\ninput = { channels = 3, height = 9, width = 7 }\n";

    fn faults(text: &str) -> Vec<String> {
        match Architecture::from_toml(text) {
            Err(Error::Architecture(faults)) => faults.iter().map(Fault::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fault_names_the_line_the_layer_and_the_key() {
        for (layer, expected) in [
            (
                "kind = 'linear'\nout_feature = 10",
                "line 6: layer `l` (linear): there is no argument `out_feature`; did you mean `out_features`?",
            ),
            (
                "kind = 'linear'\nin_features = 3\nout_features = 2",
                "line 6: layer `l` (linear): `in_features` follows from the layer before; leave it out",
            ),
            (
                "kind = 'batch_norm2d'\nnum_features = 3",
                "line 6: layer `l` (batch_norm2d): `num_features` follows from the layer before; leave it out",
            ),
            (
                "kind = 'conv2d'\nin_channels = 3\nout_channels = 2\nkernel_size = 3",
                "line 6: layer `l` (conv2d): `in_channels` follows from",
            ),
            (
                "kind = 'conv2d'\nout_channels = -3\nkernel_size = 3",
                "line 6: layer `l` (conv2d): `out_channels` must be a whole number of at least 0, not -3",
            ),
            (
                "kind = 'conv2d'\nout_channels = 3\nkernel_size = 2.5",
                "line 7: layer `l` (conv2d): `kernel_size` must be a whole number, not 2.5",
            ),
            (
                "kind = 'conv2d'\nout_channels = 3\nkernel_size = [\n3, 3]",
                "line 7: layer `l` (conv2d): `kernel_size` must be a whole number, not a list",
            ),
            (
                "kind = 'conv2d'\nout_channels = 3\nkernel_size = 3\npadding = 'same'",
                "line 8: layer `l` (conv2d): `padding` must be a whole number, not \"same\"",
            ),
            (
                "kind = 'conv2d'\nout_channels = 3\nkernel_size = 3\nbias = 1",
                "line 8: layer `l` (conv2d): `bias` must be true or false, not 1",
            ),
            (
                "kind = 'conv2d'\nout_channels = 99999999999999999999\nkernel_size = 3",
                "`out_channels` must be a smaller whole number, not",
            ),
            ("kind = 'conv2d'\nkernel_size = 3", "line 3: layer `l` (conv2d): `out_channels` is missing"),
            ("kind = 'dropout'\np = true", "line 6: layer `l` (dropout): `p` must be a number, not true"),
            (
                "kind = 'max_pool2d'\nkernel_size = 2\nstride = 1979-05-27",
                "line 7: layer `l` (max_pool2d): `stride` must be a whole number, not a date",
            ),
            ("kind = 'relu'\ninplace = true", "line 6: layer `l` (relu): there is no argument `inplace`; it takes none"),
            (
                "kind = 'con2d'\nout_channels = 3",
                "line 3: layer `l`: there is no layer kind `con2d`; did you mean `conv2d`? The kinds are",
            ),
            ("type = 'conv2d'", "line 3: layer `l`: `kind` is missing; write it for `type`"),
            ("kind = 7", "line 5: layer `l`: `kind` must be a text in quotes, not 7"),
            ("kind = 'add'\nfrom = 3", "line 6: layer `l` (add): `from` must be a text in quotes, not 3"),
        ] {
            let found = faults(&format!("{HEAD}[[layers]]\nname = 'l'\n{layer}\n"));
            assert!(found.len() == 1 && found[0].starts_with(expected) || found[0].contains(expected), "{found:#?}");
        }
        assert_eq!(faults(&format!("{HEAD}[[layers]]\nkind = 'relu'\n")), ["line 3: layer 1 (relu): `name` is missing"]);
        assert_eq!(
            faults(&format!("{HEAD}layers = [3]")),
            ["line 3: layer 1: must be a table with `name`, `kind` and its arguments"]
        );
    }

    #[test]
    fn every_argument_that_is_a_number_is_read() {
        let text =
            "kind = 'leaky_relu'\nnegative_slope = 0.2\n[[layers]]\nname = 'm'\nkind = 'batch_norm2d'\neps = 1e-3\nmomentum = 1";
        let read = Architecture::from_toml(&format!("{HEAD}[[layers]]\nname = 'l'\n{text}\n")).unwrap();
        let json = serde_json::to_value(&read).unwrap();
        assert!((json["layers"][0]["negative_slope"].as_f64().unwrap() - 0.2).abs() < 1e-7, "{json}");
        assert_eq!((json["layers"][1]["eps"].as_f64(), json["layers"][1]["momentum"].as_f64()), (Some(1e-3), Some(1.0)));
        assert_eq!(serde_json::from_value::<Architecture>(json).unwrap(), read);
        let found = faults(&format!("{HEAD}[[layers]]\nname = 'l'\nkind = 'leaky_relu'\nnegative_slope = 'steep'\n"));
        assert_eq!(found, ["line 6: layer `l` (leaky_relu): `negative_slope` must be a number, not \"steep\""]);
    }

    #[test]
    fn all_faults_of_a_list_are_found_at_once() {
        let text = format!(
            "{HEAD}[[layers]]\nname = 'a'\nkind = 'conv2d'\nout_chanels = 3\nkernel_sise = 3\n\
             [[layers]]\nname = 'b'\nkind = 'relu'\n[[layers]]\nname = 'c'\nkind = 'linear'\n"
        );
        let found = faults(&text);
        assert_eq!(
            found,
            [
                "line 6: layer `a` (conv2d): there is no argument `out_chanels`; did you mean `out_channels`?",
                "line 7: layer `a` (conv2d): there is no argument `kernel_sise`; did you mean `kernel_size`?",
                "line 11: layer `c` (linear): `out_features` is missing",
            ]
        );
        let message = Architecture::from_toml(&text).unwrap_err().to_string();
        assert!(message.starts_with("the network cannot be used, for 3 faults:\n  line 6: "), "{message}");
    }

    #[test]
    fn a_fault_of_no_layer_names_its_key() {
        for (text, expected) in [
            (
                "nam = 'x'\nlayers = []\ninput = { channels = 3, height = 9, width = 7 }",
                "line 1: there is no key `nam` in a network; did you mean `name`?",
            ),
            (
                "name = 'x'\nlayers = []\ninput = { channels = 3, hight = 9, width = 7 }",
                "line 3: `input`: there is no argument `hight`; did you mean `height`?",
            ),
            ("name = 'x'\nlayers = []\ninput = { channels = 3, height = 9 }", "line 3: `input`: `width` is missing"),
            ("name = 'x'\nlayers = []\ninput = [3, 9, 7]", "line 3: `input` must be a table of keys and values, not a list"),
            (
                "name = 3\nlayers = []\ninput = { channels = 3, height = 9, width = 7 }",
                "line 1: `name` must be a text in quotes, not 3",
            ),
            ("name = 'x'\nlayers = 3\ninput = { channels = 3, height = 9, width = 7 }", "line 2: `layers` must be a list"),
            (
                "name = 'x'\ninput = { channels = 3, height = 9, width = 7 }\n[[layer]]\nname = 'a'",
                "line 3: there is no key `layer` in a network; did you mean `layers`?",
            ),
            ("name = 'x'\ninput = { channels = 3, height = 9, width = 7 }", "it has no layers: write one `[[layers]]` for each"),
            ("name = 'x'\n[[layers]\n", "line 2: this is no TOML: "),
        ] {
            let found = faults(text);
            assert!(found.iter().any(|fault| fault.starts_with(expected)), "{found:#?}");
        }
    }

    #[test]
    fn json_says_the_same_without_lines() {
        let json = serde_json::json!({
            "name": "x", "input": {"channels": 3, "height": 9, "width": 7},
            "layers": [{"name": "a", "kind": "linear", "out_feature": 3}, {"name": "b", "kind": "conv2d", "out_channels": -1, "kernel_size": 3}],
        });
        let message = serde_json::from_value::<Architecture>(json).unwrap_err().to_string();
        for part in [
            "layer `a` (linear): there is no argument `out_feature`; did you mean `out_features`?; ",
            "layer `b` (conv2d): `out_channels` must be a whole number of at least 0, not -1",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
