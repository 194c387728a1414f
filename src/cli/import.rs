//! `convscope import`: PyTorch's weights become a model.

use std::fmt::Write;
use std::path::PathBuf;

use super::globals::{Globals, architecture};
use super::{Usage, print};
use crate::checkpoint::{self, Dtype, import::Imported, store};
use crate::dataset::cifar10::CLASSES as CIFAR10;
use crate::network::{Architecture, LayerShape, Metadata, Preprocessing, infer, model};

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Written by `torch.save(model.state_dict(), FILE)`, or a safetensors file
    file: PathBuf,
    /// The network: a preset's name or an architecture file
    #[arg(long, value_name = "NAME|FILE.toml")]
    arch: String,
    /// The model to write; its name is the file's
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Each channel's mean, of pixels in [0, 1] [default: 0]
    #[arg(long, value_name = "M,M,M", value_delimiter = ',', allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,
    /// Each channel's standard deviation, of pixels in [0, 1] [default: 1]
    #[arg(long, value_name = "S,S,S", value_delimiter = ',')]
    std: Option<Vec<f32>>,
    /// What each score stands for, in order [default: CIFAR-10's classes]
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    classes: Option<Vec<String>>,
    /// How numbers are stored: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Dtype,
}

/// Imports, and says what was assumed.
pub fn run(args: Args, _globals: &Globals) -> anyhow::Result<()> {
    let architecture = architecture(&args.arch)?;
    let (input, assumed_pixels) = (architecture.input, args.mean.is_none() && args.std.is_none());
    let mean = args.mean.unwrap_or_else(|| vec![0.0; input.channels]);
    let std = args.std.unwrap_or_else(|| vec![1.0; input.channels]);
    let assumed_classes = args.classes.is_none();
    let classes = classes(args.classes, &architecture)?;
    let metadata = Metadata {
        format: model::FORMAT,
        name: store::identity(&args.out).0,
        preprocessing: Preprocessing::normalized(input, mean, std),
        classes,
        accuracy: None,
        measured: model::Measured::default(),
        recipe: None,
        familiarity: None,
        created_by: model::created_by(),
        architecture,
    };
    metadata.preprocessing.check(input)?;
    store::check_name(&metadata.name)?;
    store::check_place(&args.out)?;
    let Imported { model, notes } = Imported::load(&args.file, metadata)?;
    checkpoint::save_as(&args.out, &model, args.dtype)?;
    let said = model.metadata();
    let numbers: usize = model.layers().iter().map(LayerShape::parameter_count).sum();
    let mut text = format!("{} -> {}\n", args.file.display(), args.out.display());
    let assumed = |assumed: bool, flag: &str| if assumed { format!(" (assumed; see {flag})") } else { String::new() };
    writeln!(
        text,
        "  network  {}: {} layers, {numbers} parameters, stored as {}",
        said.architecture.name,
        model.layers().len(),
        args.dtype
    )?;
    let preprocessing = &said.preprocessing;
    let (mean, std) = (joined(&preprocessing.mean), joined(&preprocessing.std));
    let colours = if input.channels == 1 { "grey" } else { "RGB" };
    writeln!(
        text,
        "  pixels   {colours} in [0, 1], mean {mean}, standard deviation {std}{}",
        assumed(assumed_pixels, "--mean and --std")
    )?;
    writeln!(
        text,
        "  size     {}×{}: other images are cropped at the centre and resized",
        preprocessing.width, preprocessing.height
    )?;
    writeln!(text, "  classes  {}{}", said.classes.join(", "), assumed(assumed_classes, "--classes"))?;
    for note in notes {
        writeln!(text, "  note     {note}")?;
    }
    Ok(print(&text)?)
}

/// The classes given, or CIFAR-10's where there are ten scores.
fn classes(given: Option<Vec<String>>, architecture: &Architecture) -> anyhow::Result<Vec<String>> {
    let scores = infer(architecture)?.last().map_or(0, |last| last.output.elements());
    let classes = match given {
        Some(classes) => classes.iter().map(|class| class.trim().to_owned()).collect(),
        None if scores == CIFAR10.len() => CIFAR10.map(str::to_owned).to_vec(),
        None => {
            let name = &architecture.name;
            return Err(Usage(format!(
                "`{name}` gives {scores} scores, and CIFAR-10 has ten classes: name them with --classes A,B,C"
            ))
            .into());
        }
    };
    if classes.len() != scores {
        return Err(Usage(format!("--classes has {} names for {scores} scores", classes.len())).into());
    }
    match (0..scores).find(|&i| classes[i].is_empty() || classes[..i].contains(&classes[i])) {
        Some(i) => Err(Usage(format!("--classes: `{}` is empty or there twice", classes[i])).into()),
        None => Ok(classes),
    }
}

fn joined(numbers: &[f32]) -> String {
    numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(", ")
}
