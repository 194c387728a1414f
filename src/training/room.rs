//! What a run needs of disk and memory, and what there is of them: asked before a start, so that nothing is begun that cannot end.
//!
//! What is needed is counted from below, by what any run holds at the same time: one that could go on is not refused. This knows
//! neither who asks nor what else is going on.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::recipe::Recipe;
use crate::network::{Architecture, LayerShape, Memory};

/// Bytes of a number.
const NUMBER: u64 = size_of::<f32>() as u64;
/// Files that are counted at most.
const FILES: u64 = 1_000_000;
/// Bytes of an image, and its label, in CIFAR-10's files.
const RECORD: u64 = 3073;

/// What a run needs, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    /// Bytes of a model's file.
    pub(super) model: u64,
    /// Bytes of a state's file.
    pub(super) state: u64,
    /// Bytes of memory that a step holds.
    pub(super) memory: u64,
    /// Bytes of the images, which are in memory too.
    pub(super) images: u64,
}

impl Needs {
    /// Of training `architecture`, of these layers, by `recipe` on so many images.
    pub(super) fn of(architecture: &Architecture, layers: &[LayerShape], recipe: &Recipe, images: u64) -> Self {
        let model = NUMBER * layers.iter().map(|layer| layer.parameter_count() as u64).sum::<u64>();
        // Values and momentum; the average.
        let state = model * if recipe.ema_decay > 0.0 { 3 } else { 2 };
        let pixels = layers.first().map_or(0, |first| first.input.elements() as u64);
        let batch = images.min(recipe.batch_size as u64);
        // With one thread: more of them hold more.
        let step = Memory::of(architecture, layers, batch as usize, 1).training_bytes;
        Self { model, state, memory: step + NUMBER * batch * pixels, images: images * pixels }
    }

    /// Bytes that a run has yet to write which keeps so many models and has `there` of them: its state is there twice while the
    /// next one is written.
    pub(super) fn disk(&self, models: u64, there: u64) -> u64 {
        self.model * models.saturating_sub(there) + self.state * if there > 0 { 1 } else { 2 }
    }

    /// What is needed once the images are read.
    pub(super) fn after_reading(self) -> Self {
        Self { images: 0, ..self }
    }

    /// Whether so much memory is enough; yes, where nobody knows how much there is.
    pub(super) fn check_memory(&self, there: Option<Available>) -> Result<(), Error> {
        let needed = self.memory + self.images;
        match there {
            Some(there) if there.free < needed => Err(Error::memory(needed, there.free)),
            _ => Ok(()),
        }
    }
}

/// Images at `data`, a dataset's folder, counted by their files: no fewer than there are. None where that would take reading them.
pub(super) fn images(data: &Path) -> Option<u64> {
    let mut open: Vec<PathBuf> = vec![data.into()];
    let (mut images, mut seen) = (0, 0);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            seen += 1;
            let kind = entry.file_type().ok()?;
            if seen > FILES {
                return None;
            } else if kind.is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().is_some_and(|ending| ending == "bin") {
                images += entry.metadata().ok()?.len().div_ceil(RECORD);
            } else {
                images += 1;
            }
        }
    }
    Some(images)
}

/// Memory that this process may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Available {
    /// Bytes that it could take now.
    pub(super) free: u64,
    /// Bytes that there would be if nobody else took any.
    pub(super) all: u64,
}

impl Available {
    /// The less of both.
    fn and(self, other: Self) -> Self {
        Self { free: self.free.min(other.free), all: self.all.min(other.all) }
    }
}

/// Memory there is, as Linux tells it: the machine's, or less where a control group (a container) allows less. None elsewhere.
pub(super) fn memory() -> Option<Available> {
    let machine = of_machine(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(of_groups(Path::new("/sys/fs/cgroup"), &groups).into_iter().fold(machine, Available::and))
}

/// Of `/proc/meminfo`.
fn of_machine(text: &str) -> Option<Available> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Available { free: bytes("MemAvailable")?, all: bytes("MemTotal")? })
}

/// What the control groups that `/proc/self/cgroup` names allow, and those above them, as they are mounted at `root`: version 2, and
/// 1 where that has memory.
fn of_groups(root: &Path, groups: &str) -> Vec<Available> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, names) = match controllers {
            "" => (root.to_owned(), ["memory.max", "memory.current", "inactive_file"]),
            "memory" => (root.join("memory"), ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"]),
            _ => continue,
        };
        let inner = Path::new(path.trim_start_matches('/'));
        // In a container the group's own path is often the mount itself.
        found.extend(inner.ancestors().filter_map(|inner| of_group(&mount.join(inner), names)));
    }
    found
}

/// None where the group has no limit.
fn of_group(folder: &Path, [limit, used, cached]: [&str; 3]) -> Option<Available> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let all: u64 = read(limit)?.trim().parse().ok()?;
    let used: u64 = read(used)?.trim().parse().ok()?;
    // Pages of files that the kernel gives back when they are asked for.
    let cached = read("memory.stat")
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix(cached)?.strip_prefix(' ')?.trim().parse::<u64>().ok()));
    Some(Available { free: all.saturating_sub(used.saturating_sub(cached.unwrap_or(0))), all })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{infer, presets};

    fn tutorial(batch: usize, images: u64) -> Needs {
        let architecture = presets::named("tutorial").unwrap();
        let layers = infer(&architecture).unwrap();
        let mut recipe = Recipe::named("published").unwrap();
        recipe.batch_size = batch;
        Needs::of(&architecture, &layers, &recipe, images)
    }

    #[test]
    fn what_is_needed_follows_from_the_network_and_the_batch() {
        let needs = tutorial(32, 50_000);
        // 4,210,090 parameters.
        assert_eq!((needs.model, needs.state), (16_840_360, 2 * 16_840_360));
        assert_eq!(needs.disk(22, 0), 22 * needs.model + 2 * needs.state);
        assert_eq!(needs.disk(22, 20), 2 * needs.model + needs.state, "what is there is there");
        let more = tutorial(64, 50_000);
        assert!(more.memory > needs.memory && tutorial(64, 32).memory == needs.memory, "no batch is larger than the set");
    }

    #[test]
    fn too_little_memory_is_refused_with_both_numbers() {
        let needs = tutorial(32, 50_000);
        let there = |free| Some(Available { free, all: u64::MAX });
        assert!(needs.check_memory(None).is_ok() && needs.check_memory(there(needs.memory + needs.images)).is_ok());
        assert!(needs.after_reading().check_memory(there(needs.memory)).is_ok());
        let sentence = needs.check_memory(there(10 << 20)).unwrap_err().to_string();
        let needed = format!("{:.1} MiB", (needs.memory + needs.images) as f64 / f64::from(1 << 20));
        assert!(sentence.contains(&needed) && sentence.contains("10.0 MiB are available"), "{sentence}");
    }

    #[test]
    fn memory_is_the_machines_or_what_a_container_allows() {
        let machine = of_machine("MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:   1024 kB\n").unwrap();
        assert_eq!(machine, Available { free: 1 << 20, all: 2 << 20 });
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "1000\n");
        write("a/memory.current", "700\n");
        write("a/memory.stat", "anon 600\ninactive_file 100\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "700\n");
        assert_eq!(of_groups(root.path(), "0::/a/b\n"), [Available { free: 400, all: 1000 }]);
        write("memory/memory.limit_in_bytes", "500\n");
        write("memory/memory.usage_in_bytes", "600\n");
        // Its own path is not there: the mount is the group.
        assert_eq!(of_groups(root.path(), "4:memory:/x\n3:cpuset:/\n"), [Available { free: 0, all: 500 }]);
        assert_eq!(of_groups(root.path(), "nonsense\n"), []);
    }

    #[test]
    fn images_are_counted_by_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let cat = folder.path().join("train/cat");
        fs::create_dir_all(&cat).unwrap();
        fs::write(cat.join("1.png"), "").unwrap();
        fs::write(folder.path().join("data_batch_1.bin"), vec![0; 3 * 3073]).unwrap();
        assert_eq!(images(folder.path()), Some(4));
        assert_eq!(images(&folder.path().join("data_batch_1.bin")), None);
    }
}
