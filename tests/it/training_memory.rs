//! What a whole run holds of memory beside what was said of it before its start, by which it would have been refused.

use std::ops::ControlFlow;

use convscope::checkpoint::Dtype;
use convscope::network::{DeviceChoice, infer, presets};
use convscope::training::Recipe;
use convscope::training::room::Needs;
use convscope::training::trainer::{Models, Output, Run, train};

use crate::allocations::peak_of;
use crate::training::images;

/// The same copies are in memory and in the state, and count in both.
const COPIES: &str = "ema_decay = 0.9\nvalidation_share = 0.1\n[lookahead]\nevery = 5\n";

#[test]
fn a_run_holds_what_was_said_of_it_whatever_its_recipe_remembers() {
    let architecture = presets::named("tutorial").unwrap();
    let layers = infer(&architecture).unwrap();
    let mut all = Vec::new();
    for (what, keys) in [("SGD", ""), ("AdamW", "optimizer = 'adamw'\nlearning_rate = 0.001\n"), ("SGD and copies", COPIES)] {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe::from_toml(&format!("epochs = 1\nbatch_size = 32\n{keys}")).unwrap();
        let needs = Needs::of(&architecture, &layers, &recipe, 520);
        let path = folder.path().join("m.safetensors");
        let run = Run {
            architecture: architecture.clone(),
            data: images(),
            rules: convscope::dataset::Rules::default(),
            recipe,
            device: DeviceChoice::Cpu,
            output: Output {
                name: "m".into(),
                state: folder.path().join("m.state"),
                models: Models::Last { path, dtype: Dtype::F32 },
            },
            resume: false,
            fit_data: false,
        };
        let (_, held) = peak_of(|| train(&run, &mut |_| ControlFlow::Continue(())).unwrap());
        let said = (needs.memory + needs.images) as usize;
        println!("{what}: {held} held, {said} said");
        // Never more than is held: a run that could go on must not be refused. Nor much less.
        assert!(said <= held + (8 << 20) && 4 * said >= 3 * held, "{what}: {held} held, {said} said");
        all.push(said);
    }
    assert!(all[0] + (45 << 20) < all[1] && all[0] + (140 << 20) < all[2], "a copy of the parameters is 16 MiB: {all:?}");
}
