//! What is on the disk of a run at its moments: what a kill may leave.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use convscope::dataset::Rules;
use convscope::network::DeviceChoice;
use convscope::training::event::{Event, Outcome};
use convscope::training::folder::RunFolder;
use convscope::training::journal::Journal;
use convscope::training::trainer::{Finish, train};

use super::{ID, PART, asked, put, write};

/// Which epoch answers for the run.
pub(super) const PREFERRED: &str = "preferred.json";

/// A run's files after some epochs: its state, its models in order and which is preferred, its journal.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(super) state: Option<Vec<u8>>,
    pub(crate) models: Vec<Vec<u8>>,
    pub(super) preferred: Option<Vec<u8>>,
    pub(super) journal: Vec<u8>,
    /// Files that are not whole, by their place under the data folder.
    pub(super) parts: Vec<(PathBuf, Vec<u8>)>,
}

impl Disk {
    pub(crate) fn write(&self, folder: &RunFolder) {
        if let Some(state) = &self.state {
            write(&folder.state(), state);
        }
        for (model, epoch) in self.models.iter().zip(1..) {
            write(&folder.models().join(format!("{epoch}.safetensors")), model);
        }
        if let Some(preferred) = &self.preferred {
            write(&folder.models().join(PREFERRED), preferred);
        }
        if !self.journal.is_empty() {
            write(&folder.events(), &self.journal);
        }
        for (path, bytes) in &self.parts {
            write(&folder.data_dir().join(path), bytes);
        }
    }

    pub(super) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut disk = self.clone();
        change(&mut disk);
        disk
    }

    /// Every state that this becomes on the way to `next`, in the order in which a run writes; `word` is its journal's new line.
    pub(super) fn way_to(&self, next: &Self) -> Vec<Self> {
        let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
        let (model, state) = (next.models.last().unwrap(), next.state.as_ref().unwrap());
        let models = PathBuf::from(format!("models/run-{ID}"));
        let saved = self.with(|disk| disk.models.push(model.clone()));
        let measured = saved.with(|disk| disk.preferred.clone_from(&next.preferred));
        let kept = measured.with(|disk| disk.state = Some(state.clone()));
        let line = self.journal.len() + (next.journal.len() - self.journal.len()) / 2;
        vec![
            self.clone(),
            self.with(|disk| disk.parts.push((models.join(PART), half(model)))),
            saved.with(|disk| disk.parts.push((models.join(PART), half(next.preferred.as_ref().unwrap())))),
            saved,
            measured.with(|disk| disk.parts.push((Path::new("runs").join(ID).join(PART), half(state)))),
            measured,
            kept.with(|disk| disk.journal = next.journal[..line].to_vec()),
            kept,
        ]
    }
}

/// A run that nothing disturbed: its files before the first epoch, after each, and at its end.
pub(crate) fn undisturbed(epochs: u32) -> Vec<Disk> {
    let data = tempfile::tempdir().unwrap();
    let folder = put(data.path(), epochs);
    let run = asked(epochs).run(&folder, DeviceChoice::Cpu, Rules::default()).unwrap();
    let mut journal = Journal::open(&folder.events()).unwrap();
    let mut disks = vec![Disk::default()];
    let finish = train(&run, &mut |event| {
        if !matches!(event, Event::Step(_) | Event::Data(_)) {
            journal.append(event).unwrap();
            let models = (1..=disks.len()).map(|epoch| fs::read(folder.models().join(format!("{epoch}.safetensors"))).unwrap());
            let (state, journal) = (fs::read(folder.state()).ok(), fs::read(folder.events()).unwrap());
            let preferred = Some(fs::read(folder.models().join(PREFERRED)).unwrap());
            disks.push(Disk { state, models: models.collect(), preferred, journal, parts: Vec::new() });
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(finish.unwrap(), Finish::Done(Outcome { epochs: over, .. }) if over == epochs));
    disks
}
