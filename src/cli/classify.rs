//! `convscope classify`: what images show, without a server.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::globals::{Found, Globals};
use super::print;
use crate::classification::{Answer, Answers, Classification, ModelVersion, Timing};
use crate::network::{Evaluation, Evaluator, Probe};
use crate::picture::decode::{self, Limits};

/// Arguments of `classify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// PNG, JPEG, GIF, WebP or BMP files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// A model's name or file [default: the configured one]
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// How many classes are listed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: u32,
    /// Print the JSON that the server answers with
    #[arg(long)]
    json: bool,
}

/// Classifies every image, in order; one that cannot be read fails the command.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let found = globals.model(args.model.as_deref())?;
    let mut evaluator = Evaluator::new(&found.model, &globals.device()?)?;
    let mut seen = Vec::with_capacity(args.images.len());
    for image in &args.images {
        seen.push(look(image, &found, &mut evaluator, globals.config.limits.pixels)?);
    }
    let classes = &found.model.metadata().classes;
    let answers = seen.iter().map(|(evaluation, timing_ms)| Answer {
        model: ModelVersion { name: &found.name, version: found.version },
        classification: Classification::new(classes, &evaluation.probabilities, args.top_k as usize),
        familiarity: evaluation.familiarity.first().copied(),
        timing_ms: *timing_ms,
    });
    let answers: Vec<Answer<'_>> = answers.collect();
    let text = match answers.as_slice() {
        [only] if args.json => serde_json::to_string(only)? + "\n",
        several if args.json => serde_json::to_string(&Answers { results: several })? + "\n",
        plain => sentences(&args.images, plain)?,
    };
    Ok(print(&text)?)
}

/// What comes of one image, and what that took.
fn look(image: &PathBuf, found: &Found, evaluator: &mut Evaluator, pixels: u64) -> anyhow::Result<(Evaluation, Timing)> {
    let name = || image.display().to_string();
    let bytes = std::fs::read(image).with_context(|| format!("cannot read {}", name()))?;
    let preprocessing = &found.model.metadata().preprocessing;
    let start = Instant::now();
    let picture = decode::decode(&bytes, &preprocessing.target(), &Limits::of(pixels)).with_context(name)?;
    let mut input = Vec::new();
    preprocessing.normalize(&picture.pixels, &mut input)?;
    let decoded = Instant::now();
    let evaluation = evaluator.evaluate(&input, &Probe::default())?;
    // Nothing waits in a queue here.
    let timing = Timing::new(decoded - start, Duration::ZERO, decoded.elapsed());
    Ok((evaluation, timing))
}

fn sentences(images: &[PathBuf], answers: &[Answer<'_>]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for (image, answer) in images.iter().zip(answers) {
        let top = answer.classification.top.iter().map(|r| format!("{} {:.1} %", r.label, 100.0 * r.probability));
        let familiarity = answer.familiarity.map_or_else(String::new, |share| format!("; familiarity {share:.3}"));
        writeln!(text, "{}: {}{familiarity}", image.display(), top.collect::<Vec<_>>().join(", "))?;
    }
    Ok(text)
}
