//! A folder of images looked at without decoding it: which classes, how many images, of which size.

use std::path::Path;

use super::files::LeftOut;
use super::layout::Layout;
use super::{Labelled, list, test_images, within};
use crate::dataset::census::{self, Part, fingerprint};
use crate::dataset::error::Error;
use crate::dataset::listed;
use crate::dataset::survey::{ClassCount, Kind, Look, Survey};
use crate::picture::header;

/// What the images' headers say.
#[derive(Default)]
struct Seen {
    /// Columns and rows of all of them, while they agree.
    size: Option<(u32, u32)>,
    mixed: bool,
    colour: bool,
    faults: Vec<String>,
    files: usize,
}

/// Looks at the folder at `path`; `goes_on` is asked before each file.
pub(in crate::dataset) fn survey(path: &Path, goes_on: &mut Look<'_>) -> Result<Survey, Error> {
    let mut layout = Layout::find(path)?;
    let mut notes = std::mem::take(&mut layout.notes);
    let mut left_out = LeftOut::new(path);
    let classes = layout.train.names();
    if classes.len() < 2 {
        let reason = format!("expected a folder for each of two classes or more, found {}", classes.len());
        return Err(Error::Folder { path: layout.train.folder, reason });
    }
    let by_class = list(&layout.train, &mut left_out)?;
    let train: Vec<Labelled> = by_class.into_iter().zip(0..).flat_map(|(files, class)| super::label_all(files, class)).collect();
    let test = if let Some(test) = &layout.test {
        test_images(test, &classes, &mut left_out)?
    } else {
        notes.push("there is no test set: a tenth of every class will be held out".into());
        Vec::new()
    };
    notes.extend(left_out.notes());
    let mut seen = Seen::default();
    let train = seen.part(path, &train, goes_on)?;
    let test = seen.part(path, &test, goes_on)?;
    if !seen.faults.is_empty() {
        seen.faults.sort_unstable();
        let (one, several) = ("image cannot be read", "images cannot be read");
        notes.push(listed(seen.faults.len(), one, several, &seen.faults));
    }
    notes.extend(census::notes(&classes, &train, &test));
    let counts = train.counts(classes.len()).into_iter().zip(test.counts(classes.len()));
    let count = |(name, (train, test))| ClassCount { name, train, test };
    Ok(Survey {
        kind: Kind::Folder,
        classes: classes.into_iter().zip(counts).map(count).collect(),
        train_images: train.labels.len(),
        test_images: test.labels.len(),
        size: seen.size.filter(|_| !seen.mixed).map(|(width, height)| [height as usize, width as usize]),
        grey: !seen.colour && seen.files > 0,
        notes,
    })
}

impl Seen {
    fn part(&mut self, root: &Path, files: &[Labelled], goes_on: &mut Look<'_>) -> Result<Part, Error> {
        let mut part = Part::default();
        for (file, label) in files {
            if goes_on().is_break() {
                return Err(Error::Stopped);
            }
            let name = within(root, file);
            let bytes = match std::fs::read(file) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.faults.push(format!("{name}: {error}"));
                    continue;
                }
            };
            match header::probe(&bytes) {
                Err(error) => self.faults.push(format!("{name}: {error}")),
                Ok(header) => {
                    let size = (header.width, header.height);
                    self.mixed |= self.size.is_some_and(|known| known != size);
                    self.size = Some(size);
                    self.colour |= !header.grey;
                    self.files += 1;
                    part.labels.push(*label);
                    part.prints.push(fingerprint(&bytes));
                    part.names.push(name);
                }
            }
        }
        Ok(part)
    }
}
