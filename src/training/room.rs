//! What a run needs of disk and memory, and what there is of them: asked before a start, so that nothing is begun that cannot end.
//!
//! What is needed is counted from below, by what any run holds at the same time: one that could go on is not refused. This knows
//! neither who asks nor what else is going on.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::recipe::Recipe;
use super::updates::Updates;
use crate::network::weights::specs;
use crate::network::{Architecture, LayerShape, Memory, Rules};
use crate::optim::Rule;

/// Bytes of a number.
const NUMBER: u64 = size_of::<f32>() as u64;
/// Files that are counted at most.
const FILES: u64 = 1_000_000;
/// Bytes of an image, and its label, in CIFAR-10's files.
const RECORD: u64 = 3073;

/// Batches in memory at the same time, at least: one that is learned and one that is made.
const BATCHES: u64 = 2;

/// What a run needs, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Bytes of a model's file.
    pub(super) model: u64,
    /// Bytes of a state's file.
    pub(super) state: u64,
    /// Bytes of memory that are held beside the images: a step's, copies of the parameters, and what an epoch ends with.
    pub memory: u64,
    /// Bytes of the images, which are in memory too.
    pub images: u64,
}

impl Needs {
    /// Of training `architecture`, of these layers, by `recipe` on so many images.
    pub fn of(architecture: &Architecture, layers: &[LayerShape], recipe: &Recipe, images: u64) -> Self {
        let batch = images.min(recipe.batch_size as u64);
        let rules = Updates::new(recipe, layers, images.div_ceil(batch.max(1)).max(1)).first();
        let bytes = |parameters: u64| NUMBER * parameters;
        let model = bytes(layers.iter().map(|layer| layer.parameter_count() as u64).sum());
        let trained = specs(layers).filter(|spec| spec.role.trained()).map(|spec| spec.shape.iter().product::<usize>() as u64);
        let trained: Vec<u64> = trained.collect();
        let squares = trained.iter().zip(&rules).filter(|(_, rule)| matches!(rule, Rule::AdamW(_))).map(|(numbers, _)| *numbers);
        // The average, the slow parameters and the best epoch's, where there are such: in memory and in the state.
        let copies = [recipe.ema_decay > 0.0, recipe.lookahead.every > 0, recipe.restores_best()];
        let copies = model * copies.into_iter().filter(|there| *there).count() as u64;
        let state = model + bytes(trained.iter().sum()) + bytes(squares.sum()) + copies;
        let pixels = layers.first().map_or(0, |first| first.input.elements() as u64);
        // With one thread: more of them hold more.
        let step = Memory::of_training(architecture, layers, Rules::Each(&rules), batch as usize, 1);
        // At an epoch's end the batches are gone. The state is put together and then written as one file; before that the model is
        // evaluated, as it was made of the parameters.
        let end = (2 * state).max(Memory::of(architecture, layers, 1, 1).forward_bytes);
        Self { model, state, memory: step + copies + end.max(BATCHES * bytes(batch * pixels)), images: images * pixels }
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
    use super::super::state::{DataSummary, Head, State};
    use super::*;
    use crate::network::{Batch, Learner, Preprocessing, Reduction, Step, StepSettings, infer, init, presets};

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

    /// What is said of a state's file is what it takes, whatever it holds.
    #[test]
    fn a_state_takes_what_is_said_of_it_by_any_recipe() {
        let architecture = presets::named("lenet5").unwrap();
        let layers = infer(&architecture).unwrap();
        let copies = "ema_decay = 0.9\nvalidation_share = 0.5\n[lookahead]\nevery = 5\n";
        let half = "optimizer = 'adamw'\n[[groups]]\nroles = ['filters']\noptimizer = 'muon'\n";
        for text in ["", "optimizer = 'adamw'", half, copies] {
            let recipe = Recipe::from_toml(text).unwrap();
            let weights = init::weights(&layers, recipe.init(), 1);
            let mut step = Step::new(&architecture, &weights).unwrap();
            let mut updates = Updates::new(&recipe, &layers, 10);
            let settings =
                StepSettings { rules: Rules::Each(updates.at(0)), label_smoothing: 0.0, reduction: Reduction::Mean, seed: 1 };
            let images = vec![0.5; 2 * layers[0].input.elements()];
            step.step(Batch { images: &images, labels: &[0, 1] }, &settings).unwrap();
            let data = DataSummary {
                preprocessing: Preprocessing::unit(architecture.input),
                classes: Vec::new(),
                train_images: 2,
                train_digest: String::new(),
                test_images: 1,
                test_digest: String::new(),
            };
            let copy = |there: bool| there.then(|| weights.clone());
            let state = State {
                head: Head::new(architecture.clone(), recipe.clone(), data, "avx2".into()),
                weights: step.weights().unwrap(),
                momentum: step.momentum().unwrap(),
                squares: step.squares().unwrap(),
                average: copy(recipe.ema_decay > 0.0),
                slow: copy(recipe.lookahead.every > 0),
                best: copy(recipe.restores_best()),
            };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state");
            state.save(&path).unwrap();
            let (file, said) = (fs::metadata(&path).unwrap().len(), Needs::of(&architecture, &layers, &recipe, 20).state);
            // Names, and what was trained.
            assert!(file > said && file < said + 16_384, "{text}: {file} bytes, {said} said");
        }
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
