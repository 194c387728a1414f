//! From an architecture file or JSON to a layer list, or to every fault in it with its layer, line and key.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::fault::Fault;
use super::spec::{Architecture, Input, KINDS, Layer, parse_kind};
use super::written::{self, Item, Value, Wrong};
use crate::network::error::Error;
use crate::words::nearest;

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
const COMMON: [&str; 3] = ["name", "kind", "from"];

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
    let from = if table.iter().any(|(key, _)| key == "from") { one::<Option<String>>(table, "from") } else { Ok(None) };
    match (parse_kind(&kind, &arguments), from) {
        (Ok(kind), Ok(from)) => Ok(Layer { name, kind, from }),
        (kind, from) => Err([kind.err(), from.err()].into_iter().flatten().flat_map(|wrong| faults(&place, wrong)).collect()),
    }
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
        assert_eq!(faults(&format!("{HEAD}[[layers]]\nkind = 'relu'\n")), ["line 3: layer 1: `name` is missing"]);
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
        assert!(message.starts_with("the architecture cannot be read:\n  line 6: "), "{message}");
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
            ("name = 'x'\n[[layers]\n", "TOML parse error at line 2"),
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
