//! `convscope eval`: how good a model is on a test set.

use std::fmt::Write;
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use super::{Globals, print};
use crate::dataset::{self, Reading, Rules};
use crate::evaluation::findings::Calibration;
use crate::evaluation::views::{self, Views};
use crate::evaluation::{ClassReport, Report, evaluate};
use crate::network::Evaluator;
use crate::picture::decode::Limits;

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model's name or file [default: the configured one]
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// CIFAR-10 (its folder or .tar.gz), or a folder of images
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Decides which images of a folder without test/ are held out [default: the seed that the model was trained with]
    #[arg(long)]
    seed: Option<u64>,
    /// Leave out images that cannot be read, as training with this flag did
    #[arg(long)]
    skip_unreadable: bool,
    /// Also measure by several views of each image together: `mirror`, its mirror image too; `translate`, six
    #[arg(long, value_name = "VIEWS")]
    tta: Option<TtaViews>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is looked at of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum TtaViews {
    /// The image and its mirror image.
    Mirror,
    /// The same, and both moved by a pixel either way.
    Translate,
}

/// What was found by the views of `--tta`, apart from the model's own figures.
#[derive(Serialize)]
struct Together {
    views: TtaViews,
    #[serde(flatten)]
    report: Report,
}

/// The report as JSON.
#[derive(Serialize)]
struct Measured<'a> {
    #[serde(flatten)]
    report: &'a Report,
    per_class: Vec<Class<'a>>,
    calibration: &'a Calibration,
    #[serde(skip_serializing_if = "Option::is_none")]
    tta: Option<&'a Together>,
}

/// How many images of a class are right.
#[derive(Serialize)]
struct Class<'a> {
    label: &'a str,
    #[serde(flatten)]
    report: ClassReport,
}

/// Measures, and prints the report.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let found = globals.model(args.model.as_deref())?;
    let (metadata, device) = (found.model.metadata(), globals.device()?);
    // Another seed would hold other images out, and measure the model on some that it was trained on.
    let trained_with = metadata.recipe.as_ref().and_then(|recipe| recipe.get("seed")?.as_u64());
    let seed = args.seed.or(trained_with).unwrap_or_default();
    let rules = Rules { limits: Limits::of(globals.config.limits.pixels), skip_unreadable: args.skip_unreadable };
    let data = dataset::open_at(&args.data, &Reading { seed, target: metadata.preprocessing.target(), rules })?;
    for note in &data.notes {
        tracing::warn!("{note}");
    }
    if data.classes != metadata.classes {
        tracing::warn!(
            "the classes of the images ({}) are called otherwise by the model ({})",
            data.classes.join(", "),
            metadata.classes.join(", ")
        );
    }
    let mut evaluator = Evaluator::new(&found.model, &device)?;
    let hidden = args.json || !std::io::stderr().is_terminal();
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(data.test.len() as u64), target);
    let report = evaluate(&mut evaluator, &found.model, &data.test, &mut |done| bar.set_position(done as u64));
    let cannot = || format!("cannot measure `{}` on {}", found.name, args.data.display());
    let report = report.with_context(cannot)?;
    let mut together = |views: TtaViews| {
        let of = if views == TtaViews::Mirror { Views::Mirror } else { Views::Translate };
        let report = views::evaluate(&mut evaluator, &found.model, &data.test, of, &mut |done| bar.set_position(done as u64));
        report.map(|report| Together { views, report })
    };
    let tta = args.tta.map(&mut together).transpose().with_context(cannot)?;
    bar.finish_and_clear();
    let text = if args.json {
        let labels = metadata.classes.iter().zip(report.per_class());
        let per_class = labels.map(|(label, report)| Class { label, report }).collect();
        let calibration = &report.findings.calibration;
        serde_json::to_string(&Measured { report: &report, per_class, calibration, tta: tta.as_ref() })? + "\n"
    } else {
        sentences(&found.name, &metadata.classes, &report)? + &tta.map_or_else(String::new, |tta| tta.sentence())
    };
    Ok(print(&text)?)
}

impl Together {
    fn sentence(&self) -> String {
        let Report { images, accuracy, interval95, loss, .. } = self.report;
        let [low, high] = interval95.map(|bound| 100.0 * bound);
        let views = match self.views {
            TtaViews::Mirror => "each image and its mirror image",
            TtaViews::Translate => "six views of each image",
        };
        let accuracy = 100.0 * accuracy;
        let interval = format!("95 % interval {low:.2} to {high:.2} %, mean loss {loss:.4}");
        format!("\nBy {views} together: {accuracy:.2} % of {images} images right ({interval})\n")
    }
}

fn sentences(name: &str, classes: &[String], report: &Report) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let [low, high] = report.interval95.map(|bound| 100.0 * bound);
    writeln!(text, "{name}: {:.2} % of {} images right", 100.0 * report.accuracy, report.images)?;
    writeln!(text, "95 % interval {low:.2} to {high:.2} %, mean loss {:.4}", report.loss)?;
    writeln!(text, "\nRows are what the images show, columns what the model says:")?;
    let width = classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    let column = report.confusion.iter().flatten().max().map_or(1, |most| most.to_string().len()).max(5) + 1;
    let short = |class: &String| class.chars().take(column - 1).collect::<String>();
    let cell = |row: String, text: &dyn std::fmt::Display| row + &format!("{text:>column$}");
    let heads = classes.iter().fold(String::new(), |row, class| cell(row, &short(class)));
    writeln!(text, "{:width$}{heads}", "")?;
    for (class, counts) in classes.iter().zip(&report.confusion) {
        let counts = counts.iter().fold(String::new(), |row, count| cell(row, count));
        writeln!(text, "{class:width$}{counts}")?;
    }
    writeln!(text, "\nOf each class so many are right, with the 95 % interval:")?;
    for (class, of) in classes.iter().zip(report.per_class()) {
        match (of.accuracy, of.interval95.map(|interval| interval.map(|bound| 100.0 * bound))) {
            (Some(accuracy), Some([low, high])) => {
                let accuracy = 100.0 * accuracy;
                writeln!(text, "{class:width$} {accuracy:6.2} % of {} images, {low:.2} to {high:.2} %", of.images)?;
            }
            _ => writeln!(text, "{class:width$} no images")?,
        }
    }
    Ok(text + &sureness(&report.findings.calibration)?)
}

/// How sure the model is, and how often it is right then.
fn sureness(calibration: &Calibration) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let error = 100.0 * calibration.expected_error;
    writeln!(
        text,
        "\nHow sure it is, and how often it is right then (expected calibration error {error:.2} %, {} bins):",
        calibration.bins.len()
    )?;
    for bin in calibration.bins.iter().filter(|bin| bin.images > 0) {
        let (sure, right) = (100.0 * bin.confidence, 100.0 * bin.accuracy);
        writeln!(text, "{sure:6.2} % sure, {right:6.2} % right, of {} images", bin.images)?;
    }
    Ok(text)
}
