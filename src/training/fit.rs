//! A run's network made what its images need, where that was asked for.

use std::borrow::Cow;

use super::error::Error;
use super::images;
use super::trainer::{OnEvent, Run};
use crate::dataset::survey::{Survey, survey};
use crate::network::architecture::fit::fit;
use crate::network::spec::Input;

/// A run, and what was changed of it, in words.
pub(super) type Fitted<'a> = (Cow<'a, Run>, Vec<String>);

/// The largest side that a network's input is fitted to; larger pictures are resized.
const LARGEST: usize = 224;

/// `run` with its network fitted to its images, and what that changed, in words; none where `on_event` ended it. The same images give
/// the same network, so that a run that goes on finds its own.
pub(super) fn fitted<'a>(run: &'a Run, on_event: &mut OnEvent<'_>) -> Result<Option<Fitted<'a>>, Error> {
    if !run.fit_data {
        return Ok(Some((Cow::Borrowed(run), Vec::new())));
    }
    let path = run.data.clone();
    let looked = images::in_background(run, on_event, move |goes_on| survey(&path, &mut || goes_on(0, 0)));
    let Some(seen) = looked? else { return Ok(None) };
    let (input, kept) = input(&seen, run.architecture.input);
    let (architecture, changes) = fit(&run.architecture, input, seen.classes.len())?;
    let what = if changes.is_empty() { "it fits as it is".to_owned() } else { changes.join(", and ") };
    let note = format!("the network was fitted to the images: {what}{}", kept.unwrap_or_default());
    let run = Run { architecture, ..run.clone() };
    Ok(Some((Cow::Owned(run), vec![note])))
}

/// What a network should take, and why it keeps its size where it does.
fn input(seen: &Survey, own: Input) -> (Input, Option<String>) {
    let channels = if seen.grey { 1 } else { 3 };
    let kept = |why: &str| {
        let note = format!("; {why}, so they are resized to {}×{}", own.height, own.width);
        (Input { channels, ..own }, Some(note))
    };
    match seen.size {
        None => kept("the images are of several sizes"),
        Some([height, width]) if height.max(width) > LARGEST => kept(&format!("the images are larger than {LARGEST}×{LARGEST}")),
        Some([height, width]) => (Input { channels, height, width }, None),
    }
}
