//! Changes to a recipe, wherever they were written: unknown keys and wrong types are all named at once.

use serde_json::{Map, Value};

use super::recipe::{GROUP_KEYS, Recipe};
use crate::words::nearest;

/// Keys whose tables may name anything: they are checked against the network later.
const OPEN_TABLES: [&str; 1] = ["dropout"];

/// `recipe` with those of `changes` that can be made, a table changed key by key, and one sentence for each of the others.
pub(super) fn apply(recipe: &Recipe, changes: &Map<String, Value>) -> (Recipe, Vec<String>) {
    // A recipe is a struct of plain fields: it always becomes an object.
    let Ok(Value::Object(before)) = serde_json::to_value(recipe) else { unreachable!("a recipe is a table") };
    let mut after = before.clone();
    let mut faults = Vec::new();
    for (key, value) in changes {
        let Some(old) = before.get(key) else {
            faults.push(unknown(key, &before));
            continue;
        };
        let new = merged(key, old, value, &mut faults);
        let mut alone = before.clone();
        alone.insert(key.clone(), new.clone());
        match serde_json::from_value::<Recipe>(Value::Object(alone)) {
            Ok(_) => drop(after.insert(key.clone(), new)),
            Err(reason) => faults.push(format!("`{key}`: {reason}")),
        }
    }
    // Each change was read by itself just above, and fields do not depend on one another.
    let recipe = serde_json::from_value(Value::Object(after)).unwrap_or_else(|e| unreachable!("{e}"));
    (recipe, faults)
}

/// A table keeps what `new` does not say; groups are replaced all at once.
fn merged(key: &str, old: &Value, new: &Value, faults: &mut Vec<String>) -> Value {
    if let ("groups", Value::Array(groups)) = (key, new) {
        return Value::Array(groups.iter().enumerate().map(|(at, group)| group_of(at, group, faults)).collect());
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut table = old.clone();
    for (inner, value) in new {
        if old.contains_key(inner) || OPEN_TABLES.contains(&key) {
            table.insert(inner.clone(), value.clone());
        } else {
            faults.push(unknown(&format!("{key}.{inner}"), &old.keys().map(|k| (format!("{key}.{k}"), Value::Null)).collect()));
        }
    }
    Value::Object(table)
}

/// A group without the keys that there are none of.
fn group_of(at: usize, group: &Value, faults: &mut Vec<String>) -> Value {
    let Value::Object(group) = group else { return group.clone() };
    let mut own = group.clone();
    for key in group.keys().filter(|key| !GROUP_KEYS.contains(&key.as_str())) {
        own.remove(key);
        let known = GROUP_KEYS.map(|known| (format!("groups[{at}].{known}"), Value::Null));
        faults.push(unknown(&format!("groups[{at}].{key}"), &Map::from_iter(known)));
    }
    Value::Object(own)
}

fn unknown(key: &str, known: &Map<String, Value>) -> String {
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    match nearest(key, &known) {
        Some(near) => format!("there is no key `{key}`; did you mean `{near}`?"),
        None => format!("there is no key `{key}`; the keys are {}", known.join(", ")),
    }
}

/// Reads `KEY=VALUE`, as behind `--set`: the value as TOML has it, a word without quotes being text, and `TABLE.KEY` for a key
/// of a table.
pub fn parse(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` sets nothing: write KEY=VALUE"))?;
    let (key, value) = (key.trim(), value.trim());
    let line: Result<Map<String, Value>, _> = toml::from_str(&format!("value = {value}"));
    let value = line.ok().and_then(|mut line| line.remove("value")).unwrap_or_else(|| Value::String(value.into()));
    Ok(match key.split_once('.') {
        Some((table, inner)) => (table.into(), Value::Object(Map::from_iter([(inner.into(), value)]))),
        None => (key.into(), value),
    })
}

/// Joins what [`parse`] read; of two values for one key the later one stands.
pub fn collect(pairs: impl IntoIterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut changes = Map::new();
    for (key, value) in pairs {
        match (changes.get_mut(&key), value) {
            (Some(Value::Object(table)), Value::Object(more)) => table.extend(more),
            (_, value) => drop(changes.insert(key, value)),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Recipe;

    fn set(pairs: &[&str]) -> Result<Recipe, String> {
        let changes = collect(pairs.iter().map(|text| parse(text).unwrap()));
        Recipe::named("tutorial").unwrap().with(&changes).map_err(|e| e.to_string())
    }

    #[test]
    fn values_are_written_as_in_a_file_or_bare() {
        let set = set(&[
            "learning_rate=0.05",
            "schedule=constant",
            "init = \"pytorch\"",
            "nesterov=false",
            "epochs=3",
            "augmentation.flip=false",
            "dropout.drop1=0.2",
            "dropout.drop3=0",
        ])
        .unwrap();
        assert_eq!((set.learning_rate, set.epochs, set.nesterov), (0.05, 3, false));
        assert_eq!((set.augmentation.flip, set.augmentation.crop_padding), (false, 4), "the rest of a table stays");
        assert_eq!((set.dropout["drop1"], set.dropout["drop3"]), (0.2, 0.0));
        assert_eq!(set.schedule(1.0).shape, crate::optim::Shape::Constant);
    }

    #[test]
    fn every_fault_is_named_at_once_with_the_nearest_key() {
        let message = set(&["learning_rat=1", "epochs=many", "augmentation.flop=true", "zzz=1", "momentum=1.5"]).unwrap_err();
        for part in [
            "no key `learning_rat`; did you mean `learning_rate`?",
            "`epochs`: invalid type: string \"many\"",
            "no key `augmentation.flop`; did you mean `augmentation.flip`?",
            "no key `zzz`; the keys are ",
            "`momentum` is 1.5: it must be",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(parse("epochs").unwrap_err().contains("KEY=VALUE"));
        let kinds = set(&["optimizer=adam"]).unwrap_err();
        assert!(kinds.contains("`optimizer`: unknown variant `adam`, expected one of `sgd`, `adamw`, `muon`"), "{kinds}");
    }

    #[test]
    fn groups_are_written_as_a_list_and_their_keys_are_checked_too() {
        let recipe = set(&[
            "groups=[{layers=['conv1'],frozen_from=0},{roles=['bias'],learning_rate=0.5}]",
            "betas=[0.9,0.95]",
            "lookahead.every=5",
        ])
        .unwrap();
        assert_eq!((recipe.groups.len(), recipe.groups[1].learning_rate, recipe.betas[1]), (2, Some(0.5), 0.95));
        assert_eq!((recipe.lookahead.every, recipe.lookahead.alpha), (5, 0.5));
        let message = set(&["groups=[{learning_rat=1},{learning_rate=-1,roles=['biases']},{momentum=2}]"]).unwrap_err();
        for part in [
            "no key `groups[0].learning_rat`; did you mean `groups[0].learning_rate`?",
            "`groups`: unknown variant `biases`, expected one of `filters`",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let message = set(&["groups=[{learning_rate=-1,frozen_until=3,frozen_from=2},{momentum=2}]"]).unwrap_err();
        for part in [
            "`groups[0].learning_rate` is -1: it must be above 0",
            "`groups[0].frozen_until` is 3: it must be below `frozen_from`, which is 2",
            "`groups[1].momentum` is 2: it must be",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
