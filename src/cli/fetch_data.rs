//! `convscope fetch-data`: CIFAR-10 onto this machine, whole and verified.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Globals, print};
use crate::console;
use crate::dataset::fetch::{Progress, Source, URL, fetch};

/// Arguments of `fetch-data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to put the data in [default: datasets in the data folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where to get the archive
    #[arg(long, value_name = "URL", default_value = URL)]
    url: String,
}

/// Downloads what is not there yet and prints the folder to stdout, for `--data`.
pub fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let out = args.out.unwrap_or_else(|| globals.config.data_dir.join("datasets"));
    let mut report = Report::default();
    let folder = fetch(&out, &Source::cifar10(&args.url), &mut |progress| report.show(progress))?;
    if let Some(bar) = report.bar {
        bar.finish_and_clear();
    }
    console::line(if report.present { "CIFAR-10 is there and verified:" } else { "CIFAR-10 was downloaded and verified:" });
    console::flush();
    Ok(print(&format!("{}\n", folder.display()))?)
}

/// A bar where there is a terminal, lines where there is none.
#[derive(Default)]
struct Report {
    bar: Option<ProgressBar>,
    present: bool,
}

impl Report {
    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Present => self.present = true,
            Progress::Downloading { bytes, total } => {
                let bar = self.bar.get_or_insert_with(|| start(bytes));
                if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
                    bar.set_length(total);
                }
                bar.set_position(bytes);
            }
            Progress::Retrying { reason } => self.say(&format!("{reason}; trying again")),
            Progress::Unpacking => self.say("unpacking and verifying"),
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            // Above the bar, which would be written into otherwise.
            Some(bar) if !bar.is_hidden() => bar.println(line),
            _ => console::line(line),
        }
    }
}

/// A bar from `bytes` on: what an earlier run left is no part of the speed.
fn start(bytes: u64) -> ProgressBar {
    let template = "{bytes} of {total_bytes} [{bar:30}] {bytes_per_sec}, {eta} left";
    let bar = ProgressBar::no_length()
        .with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_position(bytes);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(250));
    if bar.is_hidden() {
        console::line("downloading CIFAR-10 (170 MB)");
    }
    bar
}
