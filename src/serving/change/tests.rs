//! Versions that are activated, copied and removed, and what a restart finds of it.

use candle_core::Device;

use super::*;
use crate::checkpoint::Store;
use crate::serving::models::Settings;
use crate::serving::testing::{overflowing, tiny, write as put};

/// What is under `folder`: `models`, which may be written to, and `shipped`.
fn open(folder: &Path) -> Arc<Models> {
    let store = Store::new(vec![folder.join("models"), folder.join("shipped")]);
    let settings = Settings { store, data_dir: folder.into(), default_name: "m".into(), device: Device::Cpu, bytes: 64 << 20 };
    Arc::new(Models::open(settings))
}

async fn answers(models: &Arc<Models>, name: &str) -> u64 {
    models.find(Some(name), None).await.unwrap().version
}

fn versions(folder: &Path, name: &str) -> Vec<u64> {
    let entries = fs::read_dir(folder.join("models").join(name)).into_iter().flatten();
    let mut found: Vec<u64> = entries.filter_map(|entry| entry.unwrap().path().file_stem()?.to_str()?.parse().ok()).collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn what_is_activated_answers_at_once_and_after_a_restart_until_another_is() {
    let folder = tempfile::tempdir().unwrap();
    for version in 1..=3 {
        put(&folder.path().join("models"), &format!("m/{version}"), &tiny(version));
    }
    let models = open(folder.path());
    assert_eq!(answers(&models, "m").await, 3);
    let listed = models.activate("m", Choice::Version(1)).await.unwrap();
    assert_eq!((listed.active, listed.chosen.unwrap().version), (1, 1));
    assert_eq!(answers(&models, "m").await, 1);
    // A newer one is there, and changes nothing.
    put(&folder.path().join("models"), "m/4", &tiny(4));
    models.refresh().await.unwrap();
    assert_eq!(answers(&models, "m").await, 1);
    let models = open(folder.path());
    assert_eq!(answers(&models, "m").await, 1, "after a restart");

    // What was activated and is gone leaves the highest, and is said.
    fs::remove_file(version_path(&folder.path().join("models"), "m", 1)).unwrap();
    let models = open(folder.path());
    assert_eq!(answers(&models, "m").await, 4);
    let faults = models.faults();
    assert!(faults.len() == 1 && faults[0].version == Some(1) && faults[0].reason.contains("the highest"), "{faults:?}");
    put(&folder.path().join("models"), "m/1", &tiny(1));
    models.refresh().await.unwrap();
    assert_eq!(answers(&models, "m").await, 1, "it is back");
    let listed = models.activate("m", Choice::Highest).await.unwrap();
    assert_eq!((listed.active, listed.chosen), (4, None));
    assert_eq!(answers(&models, "m").await, 4);
    assert_eq!(answers(&open(folder.path()), "m").await, 4);
}

#[tokio::test]
async fn what_cannot_answer_is_refused_by_name_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("models");
    put(&own, "m/1", &tiny(1));
    put(&own, "m/2", &overflowing());
    fs::write(own.join("m/3.safetensors"), "no model").unwrap();
    let models = open(folder.path());
    assert_eq!(answers(&models, "m").await, 1);
    for (version, reason) in [(2, "canary"), (3, "no whole safetensors file")] {
        let refusal = models.activate("m", Choice::Version(version)).await.unwrap_err();
        assert!(matches!(refusal, Error::Refused { .. }), "{refusal}");
        let sentence = refusal.to_string();
        assert!(sentence.contains(&format!("version {version} of the model `m`")) && sentence.contains(reason), "{sentence}");
    }
    let unknown = models.activate("m", Choice::Version(9)).await.unwrap_err().to_string();
    assert!(unknown.contains("no version 9; it has 1"), "{unknown}");
    let copied = models.activate("n", Choice::Copy { from: "m".into(), version: Some(3) }).await.unwrap_err();
    assert!(matches!(copied, Error::Refused { .. }), "{copied}");
    assert_eq!((answers(&models, "m").await, versions(folder.path(), "n")), (1, vec![]));
    assert_eq!(models.active.choices().len(), 0);
}

#[tokio::test]
async fn a_run_s_epoch_becomes_the_next_version_of_another_model_whole() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("models");
    put(&own, "run-1/7", &tiny(7));
    put(&own, "m/4", &tiny(4));
    put(&folder.path().join("shipped"), "s/3", &tiny(3));
    put(&own, "single", &tiny(1));
    let models = open(folder.path());
    let copy = |version| Choice::Copy { from: "run-1".into(), version };
    let listed = models.activate("m", copy(Some(7))).await.unwrap();
    let chosen = listed.chosen.unwrap();
    assert_eq!((listed.active, chosen.from), (5, Some(Origin { name: "run-1".into(), version: 7 })));
    let bytes = |name: &str, version| fs::read(version_path(&own, name, version)).unwrap();
    assert_eq!(bytes("m", 5), bytes("run-1", 7));
    assert_eq!(models.find(Some("m"), None).await.unwrap().model.weights(), tiny(7).weights());

    // A shipped model's versions stay within reach, and so do those inside the program.
    assert_eq!(models.activate("s", copy(None)).await.unwrap().active, 4);
    assert_eq!(versions(folder.path(), "s"), [3, 4]);
    assert_eq!(models.activate("tutorial", copy(None)).await.unwrap().active, 2);
    assert_eq!(models.activate("tutorial", Choice::Version(1)).await.unwrap().active, 1);
    let listed = models.activate("new", copy(None)).await.unwrap();
    assert_eq!((listed.active, listed.read_only.len()), (1, 0));

    let refusals = [("run-2", "the runs' own"), ("single", "single/1.safetensors"), ("../m", "cannot be a model's name")];
    for (name, words) in refusals {
        let sentence = models.activate(name, copy(None)).await.unwrap_err().to_string();
        assert!(sentence.contains(words), "{sentence}");
    }
    assert!(!folder.path().join("models/run-2").exists() && !folder.path().join("m").exists());
    // The run can be removed with all it has: the copy is a file of its own.
    fs::remove_dir_all(own.join("run-1")).unwrap();
    let models = open(folder.path());
    assert_eq!(answers(&models, "m").await, 5);
}

#[tokio::test]
async fn only_what_does_not_answer_and_is_ours_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("models");
    for version in 1..=3 {
        put(&own, &format!("m/{version}"), &tiny(version));
    }
    fs::write(own.join("m/4.safetensors"), "no model").unwrap();
    put(&folder.path().join("shipped"), "s/1", &tiny(1));
    put(&folder.path().join("shipped"), "s/2", &tiny(1));
    let models = open(folder.path());
    assert_eq!(answers(&models, "m").await, 3);
    assert!(matches!(models.remove("m", 3).await.unwrap_err(), Error::Active { version: 3, .. }));
    models.activate("m", Choice::Version(2)).await.unwrap();
    assert!(matches!(models.remove("m", 2).await.unwrap_err(), Error::Active { version: 2, .. }));
    models.find(Some("m"), Some(3)).await.unwrap();
    for version in [3, 4] {
        models.remove("m", version).await.unwrap();
    }
    assert_eq!(versions(folder.path(), "m"), [1, 2]);
    let gone = models.find(Some("m"), Some(3)).await.unwrap_err().to_string();
    assert!(gone.contains("no version 3; it has 1, 2"), "at once, though it was in memory: {gone}");
    assert!(matches!(models.remove("m", 3).await.unwrap_err(), Error::Models(models::Error::Unknown(_))));
    assert!(matches!(models.remove("none", 3).await.unwrap_err(), Error::Models(models::Error::Unknown(_))));
    let shipped = models.remove("s", 1).await.unwrap_err().to_string();
    assert!(shipped.contains("only read"), "{shipped}");
    models.activate("s", Choice::Version(1)).await.unwrap();
    assert!(matches!(models.remove("s", 2).await.unwrap_err(), Error::ReadOnly { .. }));
    assert!(matches!(models.remove("../m", 1).await.unwrap_err(), Error::Checkpoint(checkpoint::Error::Name(_))));
}

#[tokio::test]
async fn thinning_spares_what_answers_what_is_in_memory_and_what_is_newer() {
    let folder = tempfile::tempdir().unwrap();
    for version in 1..=8 {
        put(&folder.path().join("models"), &format!("run-1/{version}"), &tiny(version));
    }
    let models = open(folder.path());
    models.activate("run-1", Choice::Version(3)).await.unwrap();
    models.find(Some("run-1"), Some(5)).await.unwrap();
    let kept = BTreeSet::from([2, 6]);
    assert_eq!(models.thin("run-1", &kept).await.unwrap(), 2);
    assert_eq!(versions(folder.path(), "run-1"), [2, 3, 5, 6, 7, 8]);
    models.refresh().await.unwrap();
    assert_eq!(models.thin("run-1", &kept).await.unwrap(), 0);
    assert_eq!(models.thin("none", &kept).await.unwrap(), 0);
    assert!(models.in_use("run-1") && models.in_use("m") && !models.in_use("run-2"));
}
