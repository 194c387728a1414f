//! What the last epoch's evaluation found, for people to look into: two files beside a run's state, which only the run's own process
//! writes, wholly or not at all, and which go when the run goes.
//!
//! `results.json` has the confusion, the calibration and the first ten thousand mistakes; it is replaced after every epoch, before the
//! state is, so that an epoch that counts has its results. `test-images.bin` has the test images as the network takes them, as many as
//! `PICTURES_MOST` bytes hold, behind the digest of the test set; it is written once. So nobody who looks at a mistake has to read a
//! dataset, nor depends on it still being there. Nothing here knows who asks, or how a picture is drawn.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::state::DataSummary;
use crate::checkpoint::atomic;
use crate::dataset::TestSet;
use crate::evaluation::Report;
use crate::evaluation::findings::{Calibration, Mistake};

const RESULTS: &str = "results.json";
const PICTURES: &str = "test-images.bin";
/// The length of a digest, in hexadecimal, with which the images begin.
const DIGEST: usize = 64;
/// Bytes of test images that are kept, of each run: CIFAR-10's take half of it.
const PICTURES_MOST: usize = 64 << 20;

/// What the last epoch's evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The epoch, which is the version of the run's model.
    pub epoch: u32,
    /// What class 0, 1, … is called.
    pub classes: Vec<String>,
    /// Images that every epoch trains on.
    pub train_images: usize,
    /// Test images by what they are (row) and what the model says (column).
    pub confusion: Vec<Vec<usize>>,
    /// How far its probabilities can be believed.
    pub calibration: Calibration,
    /// Images that it takes for something else, in the order of the test set; of very many, the first.
    pub mistakes: Vec<Mistake>,
    /// Height, width and channels of each test image.
    pub dimensions: [usize; 3],
}

impl Results {
    /// Reads those of the run whose state is at `state`; none where no epoch of it left any.
    pub fn read(state: &Path) -> Result<Option<Self>, Error> {
        let path = beside(state, RESULTS);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(Error::io("read", &path)(fault)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|fault| Error::io("read", &path)(fault.into()))
    }

    /// The samples, height × width × channel, of test image `index` of the run whose state is at `state`; none where it is not kept.
    pub fn picture(&self, state: &Path, index: usize) -> Result<Option<Vec<u8>>, Error> {
        let path = beside(state, PICTURES);
        let mut samples = vec![0; self.dimensions.iter().product()];
        let start = DIGEST as u64 + index as u64 * samples.len() as u64;
        let read = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut samples)
        });
        match read {
            Ok(()) => Ok(Some(samples)),
            Err(fault) if matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
            Err(fault) => Err(Error::io("read", &path)(fault)),
        }
    }
}

/// Keeps what an epoch's `report` found of `test`, beside the `state` of its run.
pub(super) fn keep(state: &Path, data: &DataSummary, test: &TestSet, epoch: u32, report: Report) -> Result<(), Error> {
    pictures(&beside(state, PICTURES), &data.test_digest, test)?;
    let given = test.dimensions();
    let results = Results {
        epoch,
        classes: data.classes.clone(),
        train_images: data.train_images,
        confusion: report.confusion,
        calibration: report.findings.calibration,
        mistakes: report.findings.mistakes,
        dimensions: [given.height, given.width, given.channels.count()],
    };
    let text = serde_json::to_vec(&results).unwrap_or_else(|e| unreachable!("plain data: {e}"));
    let path = beside(state, RESULTS);
    atomic::write_file(&path, &text).map_err(Error::io("write", &path))
}

/// Writes the images of `test` to `path`, where those with this `digest` are not there.
fn pictures(path: &Path, digest: &str, test: &TestSet) -> Result<(), Error> {
    let mut there = [0; DIGEST];
    let read: io::Result<()> = File::open(path).and_then(|mut file| file.read_exact(&mut there));
    if read.is_ok() && there == digest.as_bytes() {
        return Ok(());
    }
    let count = test.len().min(PICTURES_MOST / test.dimensions().samples().max(1));
    let mut bytes = digest.as_bytes().to_vec();
    (0..count).for_each(|index| bytes.extend_from_slice(test.pixels(index)));
    atomic::write_file(path, &bytes).map_err(Error::io("write", path))
}

fn beside(state: &Path, name: &str) -> PathBuf {
    state.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset;

    #[test]
    fn pictures_are_written_once_for_a_test_set_and_read_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin");
        let test = dataset::open(&images, 0).unwrap().test;
        let (state, path) = (folder.path().join("state.safetensors"), folder.path().join(PICTURES));
        pictures(&path, &test.digest(), &test).unwrap();
        let results = Results {
            epoch: 1,
            classes: Vec::new(),
            train_images: 1,
            confusion: Vec::new(),
            calibration: Calibration::default(),
            mistakes: Vec::new(),
            dimensions: [32, 32, 3],
        };
        assert_eq!(results.picture(&state, 7).unwrap().unwrap(), test.pixels(7));
        assert_eq!(results.picture(&state, test.len()).unwrap(), None);
        assert_eq!(results.picture(&folder.path().join("other/state"), 0).unwrap(), None);
        // Of the same images they stay; others replace them.
        let mut changed = std::fs::read(&path).unwrap();
        changed[DIGEST] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        pictures(&path, &test.digest(), &test).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), changed);
        pictures(&path, &"0".repeat(DIGEST), &test).unwrap();
        assert_eq!(results.picture(&state, 0).unwrap().unwrap(), test.pixels(0));
        assert_eq!(Results::read(&state).unwrap(), None);
    }
}
