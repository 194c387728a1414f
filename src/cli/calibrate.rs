//! `convscope calibrate`: a trained model whose probabilities are as often right as they say.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Globals, Usage, print};
use crate::checkpoint::{self, Dtype, store};
use crate::dataset::{self, Dataset, Reading, Rules};
use crate::evaluation::{evaluate, temperature};
use crate::network::{Evaluator, Model, Temperature};
use crate::picture::decode::Limits;

/// Arguments of `calibrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model's name or file [default: the configured one]
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// The test images that the written model is measured on
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Images, its test images, that a temperature is fitted to: neither trained on, nor those of --data
    #[arg(long, value_name = "DIR", required_unless_present = "temperature")]
    validation: Option<PathBuf>,
    /// A temperature that is known, such as that of the same recipe on fewer images
    #[arg(long, value_name = "T", conflicts_with = "validation", value_parser = above_zero)]
    temperature: Option<f64>,
    /// The model to write; its name is the file's
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace OUT where it is there
    #[arg(long)]
    force: bool,
    /// How numbers are stored: f32, f16 or bf16; what the model says of itself is measured as stored
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Dtype,
}

fn above_zero(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().map_err(|fault| fault.to_string())?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("a temperature is above 0".into()) }
}

/// Fits, divides, measures, writes, and says what came of it.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    if args.out.exists() && !args.force {
        return Err(Usage(format!("{} is there already: --force replaces it, another --out keeps it", args.out.display())).into());
    }
    store::check_name(&store::identity(&args.out).0)?;
    store::check_place(&args.out)?;
    let (found, device) = (globals.model(args.model.as_deref())?, globals.device()?);
    let data = read(&args.data, &found.model, globals)?;
    let mut before = Evaluator::new(&found.model, &device)?;
    let temperature = match (args.temperature, &args.validation) {
        (Some(value), _) => Temperature { value, images: 0 },
        (None, Some(folder)) => {
            let validation = read(folder, &found.model, globals)?.test;
            if validation.digest() == data.test.digest() {
                let (validation, data) = (folder.display(), args.data.display());
                return Err(Usage(format!(
                    "{validation} and {data} have the same test images: what is fitted to them says nothing when it is measured on them"
                ))
                .into());
            }
            let fitted = temperature::fit(&mut before, &found.model, &validation, &mut |_| ControlFlow::Continue(()))?;
            // Nothing broke it off.
            fitted.unwrap_or_else(|| unreachable!("a measurement to the end")).0
        }
        // clap asks for one of them.
        (None, None) => anyhow::bail!("nothing to fit a temperature to"),
    };
    let plain = evaluate(&mut before, &found.model, &data.test, &mut |_| {})?;
    let model = checkpoint::rounded(&found.model.tempered(temperature)?.named(store::identity(&args.out).0), args.dtype)?;
    let report = evaluate(&mut Evaluator::new(&model, &device)?, &model, &data.test, &mut |_| {})?;
    checkpoint::save_as(&args.out, &report.told_by(model), args.dtype)?;
    let error = |of: &crate::evaluation::Report| 100.0 * of.findings.calibration.expected_error;
    let (value, images) = (temperature.value, report.images);
    let fitted = if temperature.images == 0 { String::new() } else { format!(", fitted to {} images", temperature.images) };
    Ok(print(&format!(
        "{}: scores divided by {value:.4}{fitted}\n\
         expected calibration error {:.2} %, before {:.2} %; mean loss {:.4}, before {:.4}\n\
         {:.2} % of {images} images right, before {:.2} %\n",
        args.out.display(),
        error(&report),
        error(&plain),
        report.loss,
        plain.loss,
        100.0 * report.accuracy,
        100.0 * plain.accuracy
    ))?)
}

fn read(folder: &Path, model: &Model, globals: &Globals) -> anyhow::Result<Dataset> {
    let metadata = model.metadata();
    // As `eval` reads it: another seed would hold other images out of a folder without test images.
    let seed = metadata.recipe.as_ref().and_then(|recipe| recipe.get("seed")?.as_u64()).unwrap_or_default();
    let rules = Rules { limits: Limits::of(globals.config.limits.pixels), skip_unreadable: false };
    let reading = Reading { seed, target: metadata.preprocessing.target(), rules };
    dataset::open_at(folder, &reading).with_context(|| format!("cannot read the images in {}", folder.display()))
}
