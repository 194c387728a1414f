//! `convscope selftest`: whether this machine computes what it should, and how fast.

use std::fmt::Write;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::globals::Globals;
use super::{bench, print};
use crate::checkpoint::{self, embedded};
use crate::http::samples::SAMPLES;
use crate::kernels::Tier;
use crate::picture::decode::{self, Limits};
use crate::selftest::{self, Check};

/// Images in a batch whose rate is measured.
const BATCH: usize = 32;

/// Arguments of `selftest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The processor's instructions: auto, avx512, avx2 or portable [default: the configured ones]
    #[arg(long, value_name = "TIER")]
    pub(super) kernels: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    device: String,
    kernels: String,
    threads: usize,
    passed: bool,
    checks: Vec<Check>,
    rates: Vec<Rate>,
}

/// Images a second of the default model.
#[derive(Debug, Serialize)]
struct Rate {
    /// `forward` or `train`.
    mode: &'static str,
    batch: usize,
    images_per_second: f64,
}

/// A bundled model's answer, as PyTorch gave it.
#[derive(Debug, Deserialize)]
struct Canary {
    model: String,
    sample: String,
    probabilities: Vec<f64>,
}

/// Tests, then times, and prints the report.
///
/// # Errors
/// Where a difference is over its limit: the report is printed all the same.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let device = globals.device()?;
    let mut checks = selftest::layers(&device)?;
    let canaries: Vec<Canary> =
        serde_json::from_str(include_str!("../../models/canary.json")).context("the stored answers cannot be read")?;
    for canary in &canaries {
        // The program's own file: one of the same name in a folder is another model, of which nothing is known.
        let bytes = embedded::named(&canary.model).with_context(|| format!("there is no model {} in the program", canary.model))?;
        let model = checkpoint::read(bytes)?;
        let preprocessing = &model.metadata().preprocessing;
        let sample = SAMPLES.iter().find(|sample| sample.name == canary.sample).context("the canary's sample image is gone")?;
        let mut image = Vec::new();
        preprocessing.normalize(&decode::decode(sample.png, &preprocessing.target(), &Limits::default())?.pixels, &mut image)?;
        checks.push(selftest::answer(&model, &image, &canary.probabilities, &device));
    }
    let rate = |mode, images_per_second| Rate { mode, batch: BATCH, images_per_second };
    // A device that computes wrong numbers, or none, has no rates worth a word.
    let rates = match globals.model(None).and_then(|found| bench::rates(&found, &device, BATCH)) {
        Ok([forward, train]) => vec![rate("forward", forward), rate("train", train)],
        Err(fault) => {
            tracing::warn!("no rates: {fault:#}");
            Vec::new()
        }
    };
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        device: if device.is_cpu() { "cpu".into() } else { globals.config.device.to_string() },
        kernels: if device.is_cpu() { Tier::detect().to_string() } else { "candle".into() },
        threads: rayon::current_num_threads(),
        passed: checks.iter().all(Check::holds),
        checks,
        rates,
    };
    print(&if args.json { serde_json::to_string(&report)? + "\n" } else { table(&report)? })?;
    let failed: Vec<String> =
        report.checks.iter().filter(|check| !check.holds()).map(|c| format!("{} {}", c.what, c.pass)).collect();
    ensure!(
        failed.is_empty(),
        "this machine computes wrong numbers ({}): try `--kernels portable`, or another device, and report it with this table",
        failed.join(", ")
    );
    Ok(())
}

fn table(report: &Report) -> Result<String, std::fmt::Error> {
    let Report { version, device, kernels, threads, .. } = report;
    let mut text = format!("convscope {version}, device {device}, kernels {kernels}, {threads} threads\n");
    writeln!(text, "{:<20} {:>9} {:>12} {:>8}", "what", "pass", "difference", "limit")?;
    for check in &report.checks {
        let Check { what, pass, difference, limit, fault } = check;
        let verdict = match fault {
            Some(fault) => format!("  REFUSED: {}", fault.lines().next().unwrap_or_default()),
            None if check.holds() => String::new(),
            None => "  WRONG".into(),
        };
        writeln!(text, "{what:<20} {pass:>9} {difference:>12.1e} {limit:>8.0e}{verdict}")?;
    }
    for Rate { mode, batch, images_per_second } in &report.rates {
        writeln!(text, "{mode:<20} {images_per_second:>12.0} images/s at batch {batch}")?;
    }
    text += if report.passed { "everything is as it should be\n" } else { "some numbers are wrong\n" };
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_is_pointed_out() {
        let check = |difference| Check { what: "conv2d".into(), pass: "forward", difference, limit: 1e-4, fault: None };
        let mut report = Report {
            version: "0",
            device: "cpu".into(),
            kernels: "portable".into(),
            threads: 1,
            passed: false,
            checks: vec![check(1e-6), check(f64::INFINITY)],
            rates: vec![],
        };
        let text = table(&report).unwrap();
        assert_eq!(text.matches("WRONG").count(), 1, "{text}");
        report.checks[1].fault = Some("no such kernel\n at some place".into());
        let text = table(&report).unwrap();
        assert!(text.contains("REFUSED: no such kernel\n"), "{text}");
        report.checks.pop();
        assert!(!table(&report).unwrap().contains("WRONG"));
    }
}
