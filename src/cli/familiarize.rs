//! `convscope familiarize`: a model that is there already learns to tell how familiar an image is. One that `train` writes can.

use std::path::PathBuf;

use super::globals::Globals;
use super::print;
use crate::checkpoint::{self, Dtype, store};
use crate::dataset::{self, Reading, Rules};
use crate::evaluation::{evaluate, familiarity::Pictures};
use crate::network::{Evaluator, Model};
use crate::picture::decode::Limits;

/// Arguments of `familiarize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model's name or file [default: the configured one]
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// The images it was trained on: CIFAR-10 (its folder or .tar.gz), or a folder of images
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The file to write: the model, its weights as they are
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Decides which images of a folder without test/ are held out [default: the seed that the model was trained with]
    #[arg(long)]
    seed: Option<u64>,
    /// Leave out images that cannot be read, as training with this flag did
    #[arg(long)]
    skip_unreadable: bool,
}

/// Looks at all images, and writes the model.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let found = globals.model(args.model.as_deref())?;
    store::check_name(&store::identity(&args.out).0)?;
    store::check_place(&args.out)?;
    let metadata = found.model.metadata();
    // Another seed would take images for test images that the model was trained on: nothing is strange about them.
    let trained_with = metadata.recipe.as_ref().and_then(|recipe| recipe.get("seed")?.as_u64());
    let seed = args.seed.or(trained_with).unwrap_or_default();
    let rules = Rules { limits: Limits::of(globals.config.limits.pixels), skip_unreadable: args.skip_unreadable };
    let data = dataset::open_at(&args.data, &Reading { seed, target: metadata.preprocessing.target(), rules })?;
    for note in &data.notes {
        tracing::warn!("{note}");
    }
    let report = evaluate(&mut Evaluator::new(&found.model, &globals.device()?)?, &found.model, &data.test, &mut |_| {})?;
    let pictures = Pictures::of(&data.train, &data.test, &metadata.preprocessing, metadata.architecture.input)?;
    let dtype = narrowest(&found.model);
    let model = found.model.with_familiarity(pictures.familiarity(&report))?;
    checkpoint::save_as(&args.out, &model, dtype)?;
    let (trained, tested) = (data.train.len(), data.test.len());
    let name = found.name;
    let out = args.out.display();
    Ok(print(&format!(
        "{name} -> {out}\n  looked at {trained} images it was trained on and {tested} test images, stored as {dtype}\n"
    ))?)
}

/// The smallest type that holds every weight exactly: what the file was stored as, or no larger.
fn narrowest(model: &Model) -> Dtype {
    let exact = |dtype: &Dtype| checkpoint::rounded(model, *dtype).is_ok_and(|rounded| rounded.weights() == model.weights());
    [Dtype::F16, Dtype::BF16].into_iter().find(exact).unwrap_or(Dtype::F32)
}
