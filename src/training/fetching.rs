//! CIFAR-10 for a run that asks for it where it is not there yet: downloaded, while whoever follows the run sees how far that is,
//! and may end it. What was downloaded before an end is gone on with.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::error::Error;
use super::event::{DataStage, Event};
use super::trainer::OnEvent;
use crate::dataset::cifar10;
use crate::dataset::fetch::{Progress, Source, fetch};

/// How often somebody who wants the run to end is listened to while nothing comes.
const LISTEN_EVERY: Duration = Duration::from_millis(50);

/// What the thread says that downloads.
enum Said {
    Stage(DataStage),
    Over(Result<(), crate::dataset::Error>),
}

/// Brings CIFAR-10 to `data` from `source`, where that is its folder in `datasets` and is not there; breaks where `on_event` ended
/// it. A thread of its own downloads, so that a server which does not answer keeps nobody waiting.
pub fn fetch_missing(data: &Path, datasets: &Path, source: &Source, on_event: &mut OnEvent<'_>) -> Result<ControlFlow<()>, Error> {
    if data.exists() || !is_ours(data, datasets) {
        return Ok(ControlFlow::Continue(()));
    }
    let (folder, source) = (datasets.to_owned(), source.clone());
    let (says, heard) = channel();
    let download = move || {
        let fetched = fetch(&folder, &source, &mut |progress| tell(&says, progress));
        // Nobody waits any more where the run was ended.
        let _ = says.send(Said::Over(fetched.map(drop)));
    };
    let downloader = thread::Builder::new().name("download".into()).spawn(download);
    let downloader = downloader.map_err(Error::io("start a thread that downloads", data))?;
    let mut stage = DataStage::Downloading { bytes: 0, total_bytes: None };
    loop {
        if on_event(&Event::Data(stage.clone())).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        match heard.recv_timeout(LISTEN_EVERY) {
            Ok(Said::Stage(next)) => stage = next,
            Ok(Said::Over(fetched)) => {
                let failed = |fault| Error::Fetch { folder: data.into(), fault };
                return fetched.map(ControlFlow::Continue).map_err(failed);
            }
            Err(RecvTimeoutError::Timeout) => {}
            // It panicked, and so does whoever waited for it.
            Err(RecvTimeoutError::Disconnected) => match downloader.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(Error::Mismatch("the images were not fetched to their end".into())),
            },
        }
    }
}

fn tell(says: &Sender<Said>, progress: Progress) {
    let stage = match progress {
        Progress::Present => return,
        Progress::Downloading { bytes, total } => DataStage::Downloading { bytes, total_bytes: total },
        Progress::Retrying { reason } => DataStage::Retrying { reason },
        Progress::Unpacking => DataStage::Unpacking,
    };
    let _ = says.send(Said::Stage(stage));
}

/// Nothing is downloaded to where somebody only mistyped a path.
fn is_ours(data: &Path, datasets: &Path) -> bool {
    let place = datasets.join(cifar10::FOLDER);
    matches!((std::path::absolute(data), std::path::absolute(place)), (Ok(asked), Ok(place)) if asked == place)
}
