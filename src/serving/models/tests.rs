//! Versions that come, go, break and are replaced while others ask.

use std::path::Path;

use super::*;
use crate::serving::catalog::{FRESH, GRACE, Key};
use crate::serving::testing::{models, overflowing, small, tiny, write};

/// Keeps house and asks until `wanted` is true of the answer.
async fn until(models: &Arc<Models>, wanted: impl Fn(&Served) -> bool) -> Arc<Served> {
    for _ in 0..400 {
        models.refresh().await.unwrap();
        let served = models.find(Some("m"), None).await.unwrap();
        if wanted(&served) {
            return served;
        }
        tokio::time::sleep(FRESH / 20).await;
    }
    panic!("it never came");
}

/// Asks through several looks at the folders; the same version of the same file must answer all the time.
async fn stays(models: &Arc<Models>, expected: &Arc<Served>) {
    for _ in 0..20 {
        models.refresh().await.unwrap();
        let served = models.find(Some("m"), None).await.unwrap();
        assert!(Arc::ptr_eq(&served, expected), "version {} answers", served.version);
        let by_number = models.find(Some("m"), Some(expected.version)).await.unwrap();
        assert!(Arc::ptr_eq(&by_number, expected));
        tokio::time::sleep(FRESH / 5).await;
    }
}

fn file(folder: &Path, version: u64) -> std::path::PathBuf {
    folder.join(format!("m/{version}.safetensors"))
}

#[tokio::test]
async fn a_version_answers_after_its_own_canary_and_never_for_another_s() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m/1", &tiny(1));
    let models = models(folder.path(), "m");
    let first = models.find(None, None).await.unwrap();
    assert_eq!((first.name.as_str(), first.version), ("m", 1));

    // Finite weights, whole file, and no probabilities: it is left out, by its own canary.
    write(folder.path(), "m/2", &overflowing());
    stays(&models, &first).await;
    let fault = models.find(Some("m"), Some(2)).await.unwrap_err().to_string();
    assert_eq!(fault, "the model `m` has no version 2; it has 1");
    assert_eq!(models.list().await.unwrap().iter().find(|listed| listed.name == "m").unwrap().active, 1);

    write(folder.path(), "m/3", &tiny(3));
    let third = until(&models, |served| served.version == 3).await;
    assert_eq!(third.model.weights(), tiny(3).weights());
    assert!(!third.canary.is_empty() && third.canary != first.canary);
}

#[tokio::test]
async fn a_version_that_cannot_answer_is_named_once_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m/1", &overflowing());
    let models = models(folder.path(), "m");
    let fault = models.find(None, Some(1)).await.unwrap_err();
    assert!(matches!(&fault, Error::Broken { name, version: 1 } if name == "m"), "{fault}");
    let fault = models.find(None, None).await.unwrap_err();
    assert!(matches!(&fault, Error::Unusable { name } if name == "m"), "{fault}");
    assert!(matches!(models.find(Some("n"), None).await.unwrap_err(), Error::Unknown(_)));
    write(folder.path(), "m/1", &tiny(1));
    models.refresh().await.unwrap();
    models.find(None, None).await.unwrap();
}

#[tokio::test]
async fn the_model_in_memory_serves_on_until_a_whole_file_is_there() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m/1", &tiny(1));
    let models = models(folder.path(), "m");
    let path = file(folder.path(), 1);
    let first = models.find(None, None).await.unwrap();
    let whole = checkpoint::write(&tiny(2), checkpoint::Dtype::F32);

    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    stays(&models, &first).await;
    std::fs::write(&path, b"").unwrap();
    stays(&models, &first).await;
    let mut no_model = whole.clone();
    no_model[8..16].fill(b'x');
    std::fs::write(&path, &no_model).unwrap();
    stays(&models, &first).await;
    std::fs::write(&path, checkpoint::write(&overflowing(), checkpoint::Dtype::F32)).unwrap();
    stays(&models, &first).await;

    std::fs::write(&path, &whole).unwrap();
    let second = until(&models, |served| !std::ptr::eq(&raw const *served, Arc::as_ptr(&first))).await;
    assert_eq!(second.model.weights(), tiny(2).weights());
    std::fs::remove_file(&path).unwrap();
    models.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&models.find(None, None).await.unwrap(), &second), "its next one may be on its way");
    tokio::time::sleep(GRACE).await;
    models.refresh().await.unwrap();
    assert!(models.find(None, None).await.is_err(), "what is gone is gone");
}

#[tokio::test]
async fn a_file_of_equal_length_and_time_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m/1", &tiny(1));
    let models = models(folder.path(), "m");
    models.find(None, None).await.unwrap();
    let path = file(folder.path(), 1);
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    write(folder.path(), "m/1", &tiny(2));
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let now = std::fs::metadata(&path).unwrap();
    assert_eq!((now.modified().unwrap(), now.len()), (time, length));
    until(&models, |served| served.model.weights() == tiny(2).weights()).await;
}

#[tokio::test]
async fn whoever_asks_at_the_same_time_gets_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m/1", &small(1));
    let models = models(folder.path(), "m");
    let mut asking = tokio::task::JoinSet::new();
    for i in 0..32 {
        let models = Arc::clone(&models);
        asking.spawn(async move { models.find(None, (i % 2 == 0).then_some(1)).await.unwrap() });
    }
    let found = asking.join_all().await;
    assert!(found.iter().all(|served| Arc::ptr_eq(served, &found[0])), "loaded once");
}

#[tokio::test]
async fn memory_is_bounded_by_bytes_and_the_one_asked_for_longest_ago_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    for version in 1..=4 {
        write(folder.path(), &format!("m/{version}"), &small(version));
    }
    let store = Store::new(vec![folder.path().into()]);
    let one = crate::serving::testing::prepared(small(1)).bytes();
    let settings = |bytes| {
        let data_dir = folder.path().join("data");
        Settings { store: store.clone(), data_dir, default_name: "m".into(), device: Device::Cpu, bytes }
    };
    let models = Arc::new(Models::open(settings(one * 5 / 2)));
    let at = async |version| models.find(None, Some(version)).await.unwrap();
    let first = at(1).await;
    let second = at(2).await;
    at(1).await;
    at(3).await;
    assert!(Arc::ptr_eq(&first, &at(1).await), "two fit, and it was asked for after the second");
    let weak = Arc::downgrade(&second);
    drop(second);
    // The thread that loaded it may still be letting go of it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while weak.upgrade().is_some() && std::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(weak.upgrade().is_none(), "its memory is free once nobody has it");
    at(2).await;

    // A single one that is larger than all that is allowed is served all the same.
    let models = Arc::new(Models::open(settings(1)));
    let only = models.find(None, None).await.unwrap();
    assert!(Arc::ptr_eq(&only, &models.find(None, None).await.unwrap()));
}

#[tokio::test]
async fn what_is_new_is_brought_in_and_answers_before_anybody_asks() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m/1", &tiny(1));
    write(folder.path(), "other/1", &tiny(1));
    let models = models(folder.path(), "m");
    models.find(None, None).await.unwrap();
    write(folder.path(), "m/2", &tiny(2));
    write(folder.path(), "other/2", &tiny(2));
    models.refresh().await.unwrap();
    let key = |name: &str, version| Key { name: name.into(), version };
    assert!(models.cache.peek(&key("m", 2)).is_some() && models.cache.peek(&key("m", 1)).is_none());
    assert_eq!(models.active.answering(&models.catalog.found(), "m").unwrap().key.version, 2);
    assert!(models.cache.peek(&key("other", 2)).is_none(), "nobody asked for it");
    // Asked for by number it is another matter: it is kept, and replaced where it is.
    models.find(Some("m"), Some(1)).await.unwrap();
    write(folder.path(), "m/1", &tiny(3));
    write(folder.path(), "m/3", &tiny(3));
    models.refresh().await.unwrap();
    assert_eq!(models.cache.peek(&key("m", 1)).unwrap().model.weights(), tiny(3).weights());
    assert!(models.cache.peek(&key("m", 2)).is_none() && models.cache.peek(&key("m", 3)).is_some());
}

#[tokio::test]
async fn after_a_hundred_exchanges_only_the_last_one_is_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m/1", &small(1));
    let models = models(folder.path(), "m");
    let mut before = Vec::new();
    for version in 2..=101 {
        before.push(Arc::downgrade(&models.find(None, None).await.unwrap()));
        // By a new version, and by a new file in the place of the old one.
        let name = if version % 2 == 0 { format!("m/{version}") } else { format!("m/{}", version - 1) };
        write(folder.path(), &name, &small(version));
        until(&models, |served| served.model.weights() == small(version).weights()).await;
    }
    assert_eq!(models.cache.all().len(), 1);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while before.iter().any(|served| served.upgrade().is_some()) && std::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(before.iter().filter(|served| served.upgrade().is_some()).count(), 0, "nobody holds an older one");
}

#[tokio::test]
async fn what_makes_a_name_unclear_does_not_take_away_what_answers() {
    let folder = tempfile::tempdir().unwrap();
    let [own, shipped] = ["own", "shipped"].map(|name| folder.path().join(name));
    write(&shipped, "m/1", &tiny(1));
    write(&shipped, "m/2", &tiny(2));
    let settings = Settings {
        store: Store::new(vec![own.clone(), shipped.clone()]),
        data_dir: folder.path().into(),
        default_name: "m".into(),
        device: Device::Cpu,
        bytes: 64 << 20,
    };
    let models = Arc::new(Models::open(settings));
    let second = models.find(None, None).await.unwrap();

    // The name is there twice.
    std::fs::copy(shipped.join("m/1.safetensors"), shipped.join("m.safetensors")).unwrap();
    stays(&models, &second).await;
    let faults = models.faults();
    assert!(
        matches!(&faults[..], [Faulty { name: Some(name), reason, .. }] if name == "m" && reason.contains("move one")),
        "{faults:?}"
    );
    std::fs::remove_file(shipped.join("m.safetensors")).unwrap();
    stays(&models, &second).await;
    assert_eq!(models.faults(), []);

    // Another folder's hides it, which is not whole, and then cannot answer.
    std::fs::create_dir_all(own.join("m")).unwrap();
    std::fs::write(own.join("m/1.safetensors"), b"half of it").unwrap();
    stays(&models, &second).await;
    std::fs::write(own.join("m/1.safetensors"), checkpoint::write(&overflowing(), checkpoint::Dtype::F32)).unwrap();
    stays(&models, &second).await;
    write(&own, "m/1", &tiny(3));
    let third = until(&models, |served| served.model.weights() == tiny(3).weights()).await;
    assert_eq!(third.version, 1, "it hides the higher one once it answers");
    models.refresh().await.unwrap();
    let listed = models.list().await.unwrap().into_iter().find(|listed| listed.name == "m").unwrap();
    assert_eq!(listed.versions.keys().copied().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_file_that_failed_once_is_read_again_and_one_that_failed_twice_when_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m/1", &tiny(1));
    let models = models(folder.path(), "m");
    let first = models.find(None, None).await.unwrap();
    // The right length and head, the numbers of two: only its digest tells.
    let [one, other] = [tiny(1), tiny(2)].map(|model| checkpoint::write(&model, checkpoint::Dtype::F32));
    let mixed = [&other[..other.len() - 4], &one[one.len() - 4..]].concat();
    std::fs::write(file(folder.path(), 1), mixed).unwrap();
    let certain = |models: &Models| models.catalog.found().broken.values().next().map(|fault| fault.certain);
    models.refresh().await.unwrap();
    assert_eq!(certain(&models), Some(false));
    stays(&models, &first).await;
    assert_eq!(certain(&models), Some(true));
    let faults = models.faults();
    let [Faulty { name: Some(name), version: Some(1), reason }] = &faults[..] else { panic!("{faults:?}") };
    assert!(name == "m" && reason.contains("copy it again"), "{reason}");
}
