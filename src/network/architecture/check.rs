//! The whole way from what somebody wrote to a network, or to everything that is wrong with it: what cannot be read and what does
//! not fit, in one list.

use serde::Deserialize;
use serde_json::Value as Json;

use super::fault::Fault;
use super::infer::{MOST_FAULTS, examine};
use super::parse::{draft, sorted};
use super::shape::LayerShape;
use super::spec::Architecture;
use super::written::{Item, Value};
use crate::network::error::Error;

/// A layer list as it was written; nothing is known of it yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Written(Item);

/// A list that is a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The list.
    pub architecture: Architecture,
    /// What follows from it.
    pub layers: Vec<LayerShape>,
}

impl Written {
    /// The text of an architecture file.
    ///
    /// # Errors
    /// Every line where it is no TOML.
    pub fn toml(text: &str) -> Result<Self, Error> {
        Item::from_toml(text).map(Self).map_err(Error::Architecture)
    }

    /// The same as JSON.
    pub fn json(value: Json) -> Self {
        // It describes itself, and so can always be read as what it is.
        Self(Item::deserialize(value).unwrap_or_else(|e| unreachable!("JSON is JSON: {e}")))
    }

    /// Takes out the whole number at the top under `key`, where there is one: what stands beside a list is none of its keys.
    ///
    /// # Errors
    /// Where something else stands there.
    pub fn take_number(&mut self, key: &str) -> Result<Option<u64>, Error> {
        let Value::Table(table) = &mut self.0.value else { return Ok(None) };
        let Some(at) = table.iter().position(|(known, _)| known == key) else { return Ok(None) };
        let (_, item) = table.remove(at);
        match item.value {
            Value::Whole(number) if u64::try_from(number).is_ok() => Ok(Some(number as u64)),
            _ => {
                let error = format!("`{key}` must be a whole number, not {}", item.shown());
                Err(Error::Architecture(vec![Fault { line: item.line, error, ..Fault::default() }]))
            }
        }
    }

    /// Reads and infers it.
    ///
    /// # Errors
    /// All faults, in their order.
    pub fn check(&self) -> Result<Checked, Error> {
        let mut draft = draft(&self.0);
        let (layers, wrong) = examine(&draft);
        let mut faults = std::mem::take(&mut draft.faults);
        faults.extend(wrong);
        if faults.is_empty()
            && let Some(architecture) = draft.architecture()
        {
            return Ok(Checked { architecture, layers });
        }
        let mut faults = sorted(faults);
        if faults.len() > MOST_FAULTS {
            let more = faults.len() - MOST_FAULTS;
            faults.truncate(MOST_FAULTS);
            faults.push(Fault { error: format!("and {more} more: mend these first"), ..Fault::default() });
        }
        Err(Error::Architecture(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &str = "name = 'mine'
input = { channels = 3, height = 32, width = 32 }
[[layers]]
name = 'conv1'
kind = 'conv2d'
out_chanels = 32
kernel_size = 3
[[layers]]
name = 'conv2'
kind = 'conv2d'
out_channels = 8
kernel_size = 5
from = 'imput'
[[layers]]
name = 'pool2'
kind = 'max_pool2d'
kernel_size = 64
from = 'input'
[[layers]]
name = 'conv3'
kind = 'convd'
[[layers]]
name = 'act3'
kind = 'relu'
[[layers]]
name = 'flat'
kind = 'flatten'
from = 'input'
[[layers]]
name = 'fc3'
kind = 'linear'
in_features = 8192
out_features = 10
";

    fn faults(text: &str) -> Vec<Fault> {
        match Written::toml(text).and_then(|written| written.check()) {
            Err(Error::Architecture(faults)) => faults,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_read_and_what_does_not_fit_are_told_together_with_lines() {
        let found: Vec<String> = faults(THREE).iter().map(Fault::to_string).collect();
        let expected = [
            "line 6: layer `conv1` (conv2d): there is no argument `out_chanels`; did you mean `out_channels`?",
            "line 13: layer `conv2` (conv2d): `from` names `imput`, which is not an earlier layer; did you mean `input`?",
            "line 14: layer `pool2` (max_pool2d): cannot take 3×32×32 from `input`: its 64×64 window does not fit 32×32 planes with padding 0",
            "line 19: layer `conv3`: there is no layer kind `convd`; did you mean `conv2d`? The kinds are",
            "line 32: layer `fc3` (linear): `in_features` is 8192, and the layer needs 3072 = 3·32·32 inputs; it follows from the layer before, leave it out",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn json_has_the_same_faults_without_lines_and_they_are_written_as_promised() {
        let table: toml::Table = THREE.parse().unwrap();
        let written = Written::json(serde_json::to_value(table).unwrap());
        let Err(Error::Architecture(found)) = written.check() else { panic!() };
        let without_line = |fault: Fault| Fault { line: None, ..fault };
        assert_eq!(found, faults(THREE).into_iter().map(without_line).collect::<Vec<_>>());
        let json = serde_json::to_value(&found[0]).unwrap();
        let error = "there is no argument `out_chanels`; did you mean `out_channels`?";
        assert_eq!(json, serde_json::json!({"layer": "conv1", "index": 0, "error": error}));
    }

    #[test]
    fn numbers_beside_a_list_are_taken_out_of_it() {
        let text = format!("batch_size = 32\n{}", include_str!("presets/tutorial.toml"));
        let mut written = Written::toml(&text).unwrap();
        assert!(written.check().is_err());
        assert_eq!(written.take_number("batch_size").unwrap(), Some(32));
        assert_eq!(written.take_number("batch_size").unwrap(), None);
        assert_eq!(written.check().unwrap().architecture.name, "tutorial");
        let mut wrong = Written::json(serde_json::json!({"batch_size": -3}));
        assert!(wrong.take_number("batch_size").unwrap_err().to_string().contains("`batch_size` must be a whole number, not -3"));
    }

    #[test]
    fn every_place_that_is_no_toml_is_told() {
        let found = faults("name = 'x\ninput = 3\nlayers = [\n");
        assert!(found.len() >= 2 && found.iter().all(|fault| fault.line.is_some()), "{found:?}");
    }
}
