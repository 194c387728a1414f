//! Many image files decoded at once, on threads of their own: the decoders share rayon's, and one that waits there would be given
//! another image to hold.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::goes_on;
use crate::dataset::error::Error;
use crate::dataset::{Progress, Reading};
use crate::picture::decode::decode;

/// A file and its class.
pub(super) type Labelled = (PathBuf, u32);

/// How often whoever follows is told.
const TOLD: Duration = Duration::from_millis(100);

/// Lists of images, those that cannot be read left out.
pub(super) struct Read<const LISTS: usize> {
    /// image × height × width × channel.
    pub(super) pixels: [Vec<u8>; LISTS],
    pub(super) labels: [Vec<u32>; LISTS],
    /// Their files.
    pub(super) files: [Vec<PathBuf>; LISTS],
    /// File and reason, in the order of the paths.
    pub(super) faults: Vec<String>,
}

/// Decodes all files of all `lists`.
pub(super) fn read<const LISTS: usize>(
    lists: &[&[Labelled]; LISTS],
    reading: &Reading,
    progress: &mut Progress<'_>,
) -> Result<Read<LISTS>, Error> {
    let size = reading.target.dimensions().samples();
    let mut pixels = lists.map(|files| vec![0; files.len() * size]);
    let total = lists.iter().map(|files| files.len()).sum();
    let (faults, done, stopped) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicBool::new(false));
    {
        let places = lists.iter().zip(&mut pixels).enumerate().flat_map(|(list, (files, pixels))| {
            files.iter().zip(pixels.chunks_exact_mut(size)).enumerate().map(move |(index, (file, out))| (list, index, &file.0, out))
        });
        let places = Mutex::new(places);
        let work = || {
            while !stopped.load(Ordering::Relaxed)
                && let Some((list, index, file, out)) = places.lock().unwrap_or_else(PoisonError::into_inner).next()
            {
                if let Err(reason) = one(file, reading, out) {
                    let fault = (list, index, format!("{}: {reason}", file.display()));
                    faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(total);
        std::thread::scope(|scope| {
            let (alive, all_gone) = mpsc::channel::<()>();
            for _ in 0..threads {
                let alive = alive.clone();
                scope.spawn(move || {
                    work();
                    drop(alive);
                });
            }
            drop(alive);
            // Ends when the last thread has dropped its sender.
            while all_gone.recv_timeout(TOLD) == Err(mpsc::RecvTimeoutError::Timeout) {
                if progress(done.load(Ordering::Relaxed), total).is_break() {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
        });
    }
    if stopped.into_inner() {
        return Err(Error::Stopped);
    }
    goes_on(progress(total, total))?;
    let mut faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut labels = lists.map(|files| files.iter().map(|(_, class)| *class).collect::<Vec<u32>>());
    let mut files = lists.map(|files| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>());
    for list in 0..LISTS {
        let without: Vec<usize> = faults.iter().filter(|(of, ..)| *of == list).map(|(_, index, _)| *index).collect();
        remove(&mut pixels[list], size, &without);
        remove(&mut labels[list], 1, &without);
        let mut index = 0..;
        files[list].retain(|_| index.next().is_none_or(|index| !without.contains(&index)));
    }
    faults.sort_unstable_by(|one, other| one.2.cmp(&other.2));
    Ok(Read { pixels, labels, files, faults: faults.into_iter().map(|(.., fault)| fault).collect() })
}

fn one(file: &Path, reading: &Reading, out: &mut [u8]) -> Result<(), String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let picture = decode(&bytes, &reading.target, &reading.rules.limits).map_err(|error| error.to_string())?;
    out.copy_from_slice(picture.pixels.values());
    Ok(())
}

/// Takes the items `without`, of `size` values each, out of `values`.
fn remove<T: Copy>(values: &mut Vec<T>, size: usize, without: &[usize]) {
    if without.is_empty() {
        return;
    }
    let mut end = 0;
    for index in (0..values.len() / size).filter(|index| !without.contains(index)) {
        values.copy_within(index * size..(index + 1) * size, end);
        end += size;
    }
    values.truncate(end);
}
