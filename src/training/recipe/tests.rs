//! Recipes as they are read, checked and fitted to a network.

use super::keys::KEYS;
use super::*;
use crate::network::LayerKind;

/// The keys of a table.
fn keys(table: &Value) -> Vec<&String> {
    let mut keys: Vec<&String> = table.as_object().unwrap().keys().collect();
    keys.sort();
    keys
}

fn tutorial() -> Architecture {
    presets::named("tutorial").unwrap()
}

#[test]
fn every_recipe_has_every_key_and_is_valid() {
    for name in Recipe::names() {
        let recipe = Recipe::named(name).unwrap();
        assert!(recipe.faults().is_empty(), "{name}: {:?}", recipe.faults());
        let text = toml::to_string(&recipe).unwrap();
        let written: Map<String, Value> = toml::from_str(RECIPES.iter().find(|(known, _)| *known == name).unwrap().1).unwrap();
        assert_eq!(keys(&Value::Object(written)), keys(&serde_json::to_value(&recipe).unwrap()), "{name}");
        assert_eq!(Recipe::from_toml(&text).unwrap(), recipe, "{name}: written and read again");
    }
}

#[test]
fn the_published_recipe_is_the_tutorials() {
    let recipe = Recipe::named("published").unwrap();
    assert_eq!((recipe.learning_rate, recipe.momentum, recipe.batch_size, recipe.epochs), (0.001, 0.9, 32, 20));
    assert_eq!(recipe.schedule(9.0), Schedule::of(Shape::Constant));
    assert_eq!((recipe.init(), recipe.normalize), (Init::Pytorch, Normalize::Unit));
    assert_eq!(recipe.augmentation, Augmentation::default());
    assert!(!recipe.nesterov && recipe.weight_decay == 0.0 && recipe.label_smoothing == 0.0 && recipe.dropout.is_empty());
}

#[test]
fn a_presets_own_recipe_is_the_default() {
    for name in presets::names() {
        let preset = presets::named(name).unwrap();
        let recipe = Recipe::of(&preset).unwrap();
        assert_eq!(recipe, Recipe::named(name).or_else(|_| Recipe::named("default")).unwrap());
        recipe.prepare(&preset).unwrap();
    }
    let mut mine = tutorial();
    mine.layers.remove(2);
    assert_eq!(Recipe::of(&mine).unwrap(), Recipe::named("default").unwrap());
    let message = Recipe::named("fast").unwrap_err().to_string();
    assert!(message.contains("`fast`") && message.contains("default, published, tutorial"), "{message}");
}

#[test]
fn dropout_is_changed_for_training_only_where_there_is_some() {
    let recipe = Recipe::of(&tutorial()).unwrap();
    let p = |network: &Architecture, at: usize| match &network.layers[at].kind {
        LayerKind::Dropout(dropout) => dropout.p,
        other => panic!("{other:?}"),
    };
    let prepared = recipe.prepare(&tutorial()).unwrap();
    assert_eq!([p(&prepared, 2), p(&prepared, 9)], [0.0, 0.3]);
    assert_eq!([p(&tutorial(), 2), p(&tutorial(), 9)], [0.3, 0.5]);
    let changes = serde_json::json!({"dropout": {"act1": 0.2}, "augmentation": {"crop_padding": 32}});
    let message = recipe.fitted(&tutorial(), changes.as_object().unwrap()).unwrap_err().to_string();
    assert!(message.contains("`dropout.act1`") && message.contains("below 32"), "{message}");
}

#[test]
fn every_number_outside_its_range_is_named() {
    let changes = serde_json::json!({"learning_rate": 0, "epochs": 0, "label_smoothing": 1.0, "dropout": {"drop1": 1.5}});
    let message = Recipe::of(&tutorial()).unwrap().with(changes.as_object().unwrap()).unwrap_err().to_string();
    for part in ["`learning_rate` is 0:", "`epochs` is 0:", "`label_smoothing` is 1:", "`dropout` is 1.5:"] {
        assert!(message.contains(part), "{message}");
    }
    let changes = serde_json::json!({"momentum": 0});
    let message = Recipe::of(&tutorial()).unwrap().with(changes.as_object().unwrap()).unwrap_err().to_string();
    assert!(message.contains("`nesterov`"), "{message}");
}

#[test]
fn every_key_has_its_line_in_the_help() {
    let recipe = serde_json::to_value(Recipe::named("default").unwrap()).unwrap();
    let mut expected = Vec::new();
    for (key, value) in recipe.as_object().unwrap() {
        match value {
            Value::Object(table) if key != "dropout" => expected.extend(table.keys().map(|inner| format!("{key}.{inner}"))),
            _ => expected.push(key.clone()),
        }
    }
    expected.extend(["groups.layers", "groups.roles", "groups.frozen_until", "groups.frozen_from"].map(String::from));
    let mut listed: Vec<String> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
    assert!(help().lines().all(|line| line.chars().count() <= 100), "{}", help());
}

#[test]
fn schedules_count_epochs_in_steps() {
    let changes = serde_json::json!({"schedule": "step", "milestones": [1, 2.5], "warmup_epochs": 0.5});
    let recipe = Recipe::named("default").unwrap().with(changes.as_object().unwrap()).unwrap();
    let schedule = recipe.schedule(10.0);
    assert_eq!((schedule.shape, schedule.warmup_steps), (Shape::Step { milestones: vec![10.0, 25.0], gamma: 0.1 }, 5.0));
    let changes = serde_json::json!({"milestones": [1], "schedule": "cosine"});
    let message = Recipe::of(&tutorial()).unwrap().fitted(&tutorial(), changes.as_object().unwrap()).unwrap_err().to_string();
    assert!(message.contains("`milestones` are a step schedule's"), "{message}");
    let changes = serde_json::json!({"warmup_epochs": 1, "schedule": "one_cycle"});
    let message = Recipe::of(&tutorial()).unwrap().with(changes.as_object().unwrap()).unwrap_err().to_string();
    assert!(message.contains("`warmup_epochs` is of the other schedules"), "{message}");
}

#[test]
fn recipes_of_before_have_what_they_had() {
    let mut old = serde_json::to_value(Recipe::named("default").unwrap()).unwrap();
    let table = old.as_object_mut().unwrap();
    for key in ["betas", "eps", "ns_steps", "groups", "warmup_epochs", "milestones", "reduction", "lookahead", "whitening", "dirac"]
        .into_iter()
        .chain(["mixup", "validation_share", "restore_best", "patience", "calibrate", "fit"])
    {
        table.remove(key).unwrap();
    }
    for key in ["alternating", "rotation", "brightness", "contrast", "cutout"] {
        table["augmentation"].as_object_mut().unwrap().remove(key).unwrap();
    }
    assert_eq!(serde_json::from_value::<Recipe>(old).unwrap(), Recipe::named("default").unwrap());
}

#[test]
fn bundled_groups_fit_the_bundled_networks() {
    for name in ["adamw", "muon"] {
        Recipe::named(name).unwrap().prepare(&tutorial()).unwrap();
    }
}

#[test]
fn augmentations_and_the_choice_of_an_epoch_are_held_to_what_makes_sense() {
    let refusal = |changes: serde_json::Value| {
        Recipe::named("default").unwrap().fitted(&tutorial(), changes.as_object().unwrap()).unwrap_err().to_string()
    };
    let message = refusal(serde_json::json!({
        "augmentation": {"flip": false, "alternating": true, "rotation": 200, "brightness": -0.1, "contrast": 1.5},
        "mixup": 5, "validation_share": 1, "patience": 100_001
    }));
    for part in [
        "`augmentation.alternating` says when images are mirrored: set `augmentation.flip` to true",
        "`augmentation.rotation` is 200: it must be between 0 and 180",
        "`augmentation.brightness` is -0.1:",
        "`augmentation.contrast` is 1.5:",
        "`mixup` is 5: it must be between 0 and 4",
        "`validation_share` is 1: it must be at least 0 and below 1",
        "`patience` is 100001: it must be at most 100000",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(refusal(serde_json::json!({"patience": 3})).contains("set `validation_share` above 0"));
    assert!(
        refusal(serde_json::json!({"calibrate": true})).contains("`calibrate` fits a temperature to the validation images: set")
    );
    assert!(refusal(serde_json::json!({"augmentation": {"cutout": 33}})).contains("`augmentation.cutout` must be at most 32"));
}
