//! `convscope bench`: how fast a model is here, on real images.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::globals::{Found, Globals};
use super::print;
use crate::dataset::{self, Reading, Rules};
use crate::http::samples::SAMPLES;
use crate::network::{Batch, Evaluator, LayerKind, Preprocessing, Probe, Reduction, StepSettings, rules};
use crate::optim::{Rule, Sgd};
use crate::picture::decode::{self, Limits};
use crate::training::learner;

/// Batches before the clock starts: caches, buffers and the processor's clock settle.
const WARM_UP: usize = 3;
/// Batches are timed for at least this long, and at least this many.
const DURATION: Duration = Duration::from_secs(2);
const LEAST: usize = 20;
/// For a slow machine's selftest, which is to take less than a minute.
const LEAST_OF_SELFTEST: usize = 1;
/// Steps whose losses are answers: from the second on they also show the gradients and the update. At the learning rate of
/// a real run, so that they move by far more than rounding.
const ANSWER_STEPS: u64 = 3;
const ANSWER_LEARNING_RATE: f32 = 0.001;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model's name or file [default: the configured one]
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// Images in one pass
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,8,32,128", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Vec<u32>,
    /// Time training steps (forward, backward, update) instead of forward passes
    #[arg(long)]
    train: bool,
    /// Threads [default: as many as this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Test images of this dataset [default: the sample images in the program]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// Time nothing: print as JSON the probabilities that each batch gives or, with --train, the losses of three steps
    /// without dropout
    #[arg(long)]
    answers: bool,
}

/// One batch size's figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Figures {
    batch: usize,
    /// `forward` or `train`.
    mode: &'static str,
    images_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// What one batch gives, for others to compare with.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Answers {
    batch: usize,
    /// `forward` or `train`.
    mode: &'static str,
    /// Probabilities, image after image, or each step's loss.
    values: Vec<f32>,
}

/// Images a second of a model on its sample images: forward, and in training.
pub(super) fn rates(found: &Found, device: &candle_core::Device, batch: usize) -> anyhow::Result<[f64; 2]> {
    let (values, labels) = samples(found)?.batch(batch);
    let least = LEAST_OF_SELFTEST;
    let times = [passes(found, device, &values, least)?, steps(found, device, Batch { images: &values, labels: &labels }, least)?];
    Ok(times.map(|times| summary(batch, "", times).images_per_second))
}

/// Preprocessed images and their labels.
struct Images {
    size: usize,
    values: Vec<f32>,
    labels: Vec<u32>,
}

/// Times every batch size and prints the figures.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads as usize);
        pool.build_global().context("the threads cannot be started")?;
    }
    let found = globals.model(args.model.as_deref())?;
    let images = images(args, &found)?;
    let (device, mode) = (globals.device()?, if args.train { "train" } else { "forward" });
    if args.answers {
        return answer(args, &found, &device, &images);
    }
    let mut figures = Vec::new();
    for &batch in &args.batch {
        let (values, labels) = images.batch(batch as usize);
        let times = if args.train {
            steps(&found, &device, Batch { images: &values, labels: &labels }, LEAST)?
        } else {
            passes(&found, &device, &values, LEAST)?
        };
        figures.push(summary(batch as usize, mode, times));
    }
    let text = if args.json { serde_json::to_string(&figures)? + "\n" } else { table(&found.name, globals, &figures)? };
    Ok(print(&text)?)
}

/// Prints what every batch size gives.
fn answer(args: &Args, found: &Found, device: &candle_core::Device, images: &Images) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for &batch in &args.batch {
        let (pixels, labels) = images.batch(batch as usize);
        let (mode, values) = if args.train {
            ("train", losses(found, device, Batch { images: &pixels, labels: &labels })?)
        } else {
            ("forward", Evaluator::new(&found.model, device)?.evaluate(&pixels, &Probe::default())?.probabilities)
        };
        all.push(Answers { batch: batch as usize, mode, values });
    }
    Ok(print(&(serde_json::to_string(&all)? + "\n"))?)
}

/// Forward passes over preprocessed images.
fn passes(found: &Found, device: &candle_core::Device, values: &[f32], least: usize) -> anyhow::Result<Vec<Duration>> {
    let mut evaluator = Evaluator::new(&found.model, device)?;
    let probe = Probe::default();
    let first = evaluator.evaluate(values, &probe)?;
    ensure!(
        first.probabilities.iter().all(|p| p.is_finite()),
        "the model's probabilities are no numbers: there is nothing to time"
    );
    time(least, || {
        evaluator.evaluate(values, &probe)?;
        Ok(())
    })
}

/// Training steps, at a learning rate too small to lead anywhere.
fn steps(found: &Found, device: &candle_core::Device, batch: Batch<'_>, least: usize) -> anyhow::Result<Vec<Duration>> {
    let mut learner = learner::create(&found.model.metadata().architecture, found.model.weights(), device)?;
    let mut settings = settings(1e-6);
    time(least, || {
        settings.seed += 1;
        let report = learner.step(batch, &settings)?;
        ensure!(report.loss.is_finite(), "the loss is no number: there is nothing to time");
        Ok(())
    })
}

/// The losses of the first steps. Without dropout, whose masks are every program's own.
fn losses(found: &Found, device: &candle_core::Device, batch: Batch<'_>) -> anyhow::Result<Vec<f32>> {
    let mut architecture = found.model.metadata().architecture.clone();
    for layer in &mut architecture.layers {
        if let LayerKind::Dropout(dropout) = &mut layer.kind {
            dropout.p = 0.0;
        }
    }
    let mut learner = learner::create(&architecture, found.model.weights(), device)?;
    let settings = settings(ANSWER_LEARNING_RATE);
    (0..ANSWER_STEPS).map(|_| Ok(learner.step(batch, &settings)?.loss)).collect()
}

fn settings(learning_rate: f32) -> StepSettings<'static> {
    let sgd = Sgd { learning_rate, momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
    StepSettings { rules: rules::Rules::All(Rule::Sgd(sgd)), label_smoothing: 0.1, reduction: Reduction::Mean, seed: 0 }
}

fn time(least: usize, mut once: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<Duration>> {
    (0..WARM_UP).try_for_each(|_| once())?;
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < least || begin.elapsed() < DURATION {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn summary(batch: usize, mode: &'static str, mut times: Vec<Duration>) -> Figures {
    times.sort_unstable();
    // Nearest rank: the smallest time that this share of all times does not exceed.
    let percentile = |share: usize| times[(times.len() * share).div_ceil(100).max(1) - 1].as_secs_f64() * 1e3;
    let total: Duration = times.iter().sum();
    let images_per_second = (batch * times.len()) as f64 / total.as_secs_f64();
    Figures { batch, mode, images_per_second, p50_ms: percentile(50), p99_ms: percentile(99) }
}

/// The images as the model takes them.
fn images(args: &Args, found: &Found) -> anyhow::Result<Images> {
    let Some(path) = &args.data else { return samples(found) };
    let preprocessing = &found.model.metadata().preprocessing;
    let test = dataset::open_at(path, &Reading { seed: 0, target: preprocessing.target(), rules: Rules::default() })?.test;
    let most = args.batch.iter().max().map_or(0, |&most| test.len().min(most as usize));
    let mut values = Vec::new();
    (0..most).try_for_each(|index| preprocessing.normalize(&test.image(index), &mut values))?;
    Ok(Images { size: sample_size(preprocessing), values, labels: test.labels()[..most].to_vec() })
}

/// The sample images in the program.
fn samples(found: &Found) -> anyhow::Result<Images> {
    let preprocessing = &found.model.metadata().preprocessing;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for sample in SAMPLES {
        let picture = decode::decode(sample.png, &preprocessing.target(), &Limits::default())?;
        preprocessing.normalize(&picture.pixels, &mut values)?;
        let class = found.model.metadata().classes.iter().position(|class| class == sample.label);
        labels.push(class.unwrap_or(0) as u32);
    }
    Ok(Images { size: sample_size(preprocessing), values, labels })
}

fn sample_size(preprocessing: &Preprocessing) -> usize {
    preprocessing.height * preprocessing.width * preprocessing.mean.len()
}

impl Images {
    /// `count` images: all in turn, from the first again where there are fewer.
    fn batch(&self, count: usize) -> (Vec<f32>, Vec<u32>) {
        let values = self.values.iter().copied().cycle().take(count * self.size).collect();
        (values, self.labels.iter().copied().cycle().take(count).collect())
    }
}

fn table(name: &str, globals: &Globals, figures: &[Figures]) -> Result<String, std::fmt::Error> {
    let (version, device, threads) = (env!("CARGO_PKG_VERSION"), globals.config.device, rayon::current_num_threads());
    let mut text = format!("{name}, convscope {version}, device {device}, {threads} threads\n");
    writeln!(text, "{:>6} {:>8} {:>10} {:>10} {:>10}", "batch", "mode", "images/s", "p50 ms", "p99 ms")?;
    for Figures { batch, mode, images_per_second, p50_ms, p99_ms } in figures {
        writeln!(text, "{batch:>6} {mode:>8} {images_per_second:>10.1} {p50_ms:>10.3} {p99_ms:>10.3}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_times_themselves() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let figures = summary(4, "forward", times);
        assert_eq!((figures.p50_ms, figures.p99_ms), (100.0, 198.0));
        // 800 images in 20.1 seconds.
        assert!((figures.images_per_second - 800.0 / 20.1).abs() < 1e-9);
        assert_eq!(summary(1, "train", vec![Duration::from_millis(7)]).p99_ms, 7.0);
    }

    #[test]
    fn a_batch_starts_over_where_images_run_out() {
        let images = Images { size: 2, values: vec![1.0, 2.0, 3.0, 4.0], labels: vec![5, 6] };
        assert_eq!(images.batch(3), (vec![1.0, 2.0, 3.0, 4.0, 1.0, 2.0], vec![5, 6, 5]));
    }
}
