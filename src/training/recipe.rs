//! How a network is trained, as data: the same keys in a TOML file, behind `--set`, in a request and in the checkpoint.
//!
//! A recipe always has every key. What a user writes are changes to one ([`super::overrides`]), and what was trained can be
//! trained again from what its checkpoint says. Which network and which images is not a recipe's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::Error;
use super::overrides;
use crate::dataset::Augmentation;
use crate::network::preprocessing::Fit;
use crate::network::{Architecture, Init, presets};
use crate::optim::schedule::{Schedule, Shape};

mod checks;
mod fit;
pub(super) mod groups;
mod keys;
mod kinds;
#[cfg(test)]
mod tests;

pub use groups::{GROUP_KEYS, Group};
pub use keys::help;
pub use kinds::{AdjustLrKind, InitKind, Lookahead, Normalize, Optimizer, ReductionKind, ScheduleKind};

const RECIPES: &[(&str, &str)] = &[
    ("default", include_str!("recipes/default.toml")),
    ("published", include_str!("recipes/published.toml")),
    ("tutorial", include_str!("recipes/tutorial.toml")),
    ("speedrun", include_str!("recipes/speedrun.toml")),
    ("accurate", include_str!("recipes/accurate.toml")),
    ("adamw", include_str!("recipes/adamw.toml")),
    ("muon", include_str!("recipes/muon.toml")),
];

/// Everything that decides a run besides the network and the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key that is switched on or not")]
pub struct Recipe {
    /// The update rule.
    pub optimizer: Optimizer,
    /// Step length at the schedule's peak, above 0.
    pub learning_rate: f64,
    /// Share of the previous step that SGD and Muon keep, at least 0 and below 1.
    pub momentum: f64,
    /// Looks ahead along the momentum.
    pub nesterov: bool,
    /// Pull of weights (not of biases, nor of batch norm) towards 0: SGD adds it to the gradient, the others take it times the
    /// learning rate from the weights.
    pub weight_decay: f64,
    /// Shares of AdamW's two means that one step keeps.
    #[serde(default = "kinds::betas")]
    pub betas: [f64; 2],
    /// Added to the root that AdamW divides by.
    #[serde(default = "kinds::eps")]
    pub eps: f64,
    /// Muon's Newton-Schulz iterations.
    #[serde(default = "kinds::ns_steps")]
    pub ns_steps: u32,
    /// Steps from one bringing of Muon's weights to the norm √rows to the next; 0 for none.
    #[serde(default)]
    pub renormalize_every: u32,
    /// How Muon's step length follows a matrix's shape.
    #[serde(default)]
    pub adjust_lr: AdjustLrKind,
    /// Parameters that are trained otherwise; of several groups that hold one the first counts.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// How the learning rate changes.
    pub schedule: ScheduleKind,
    /// Share of a one-cycle schedule on the way up, at least 0 and below 1.
    pub warmup: f64,
    /// Epochs of a straight way up before the schedule, whatever it is.
    #[serde(default)]
    pub warmup_epochs: f64,
    /// Share of the learning rate that a way up starts from.
    #[serde(default)]
    pub start_factor: f64,
    /// Share of the learning rate that a one-cycle or cosine schedule ends at.
    #[serde(default)]
    pub end_factor: f64,
    /// Epochs after which a step schedule multiplies the learning rate.
    #[serde(default)]
    pub milestones: Vec<f64>,
    /// What by.
    #[serde(default = "kinds::gamma")]
    pub gamma: f64,
    /// Images a step; the last of an epoch takes what is left.
    pub batch_size: usize,
    /// Passes over the training set.
    pub epochs: u32,
    /// Share of each target spread evenly over all classes, at least 0 and below 1.
    pub label_smoothing: f64,
    /// Whether gradients are of the mean or the sum of a batch's losses.
    #[serde(default)]
    pub reduction: ReductionKind,
    /// What is done to a training image at random.
    pub augmentation: Augmentation,
    /// Mixes each image with another by a share that follows a beta distribution of this and this; 0 for none.
    #[serde(default)]
    pub mixup: f64,
    /// Share of each class's training images that is not trained on, for choosing an epoch and calibrating; 0 for none, and the last
    /// epoch. A small set gives more: 50 images, or a tenth.
    #[serde(default)]
    pub validation_share: f64,
    /// Whether the run gives the best epoch on those, or its last, which a schedule that ends at 0 and an average of the weights settle.
    #[serde(default = "kinds::restore_best")]
    pub restore_best: bool,
    /// Epochs without a better one on those after which the run ends; 0 for all epochs.
    #[serde(default)]
    pub patience: u32,
    /// Whether the model's probabilities are brought to what they reach on the validation images, by a temperature that its last
    /// layer's weights are divided by.
    #[serde(default)]
    pub calibrate: bool,
    /// Share of the averaged weights that one step keeps; 0 for no averaging.
    pub ema_decay: f64,
    /// Slow weights that follow the trained ones, which start again from them.
    #[serde(default)]
    pub lookahead: Lookahead,
    /// What pixels are brought to.
    pub normalize: Normalize,
    /// How pictures of other proportions are brought to the network's size, in training and ever after.
    #[serde(default)]
    pub fit: Fit,
    /// What the parameters start from.
    pub init: InitKind,
    /// Deviation of the last layer's first weights, unless `init = "pytorch"`.
    pub last_std: f64,
    /// Whether the first convolution starts as what whitens patches of the training images.
    #[serde(default)]
    pub whitening: bool,
    /// Added to the variances that whitening divides by the roots of.
    #[serde(default = "kinds::whitening_eps")]
    pub whitening_eps: f64,
    /// Whether the first filters of convolutions start as the identity.
    #[serde(default)]
    pub dirac: bool,
    /// Dropout probabilities by layer name, for training only: the stored network keeps its own.
    pub dropout: BTreeMap<String, f64>,
    /// Decides initialisation, order of images, augmentation and dropout; a whole number below 2⁵³, as JSON can carry.
    pub seed: u64,
}

impl Recipe {
    /// Names of the recipes that come with the program.
    pub fn names() -> impl Iterator<Item = &'static str> {
        RECIPES.iter().map(|(name, _)| *name)
    }

    /// The recipe called `name`.
    pub fn named(name: &str) -> Result<Self, Error> {
        let text = RECIPES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        let text = text.ok_or_else(|| Error::UnknownRecipe { name: name.into(), known: Self::names().collect() })?;
        toml::from_str(text).map_err(|e| Error::RecipeFile(e.to_string()))
    }

    /// The recipe that `architecture` is trained by where none is asked for: a preset's own, or the general one.
    pub fn of(architecture: &Architecture) -> Result<Self, Error> {
        let name = architecture.name.as_str();
        let own = Self::names().any(|known| known == name) && presets::named(name).as_ref() == Some(architecture);
        Self::named(if own { name } else { "default" })
    }

    /// Reads a recipe file; what it does not say is as in the recipe `default`.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let changes: Map<String, Value> = toml::from_str(text).map_err(|e| Error::RecipeFile(e.to_string().trim_end().into()))?;
        Self::named("default")?.with(&changes)
    }

    /// This recipe with the keys in `changes` replaced, or every fault in them at once.
    pub fn with(&self, changes: &Map<String, Value>) -> Result<Self, Error> {
        let (recipe, mut faults) = overrides::apply(self, changes);
        faults.extend(recipe.faults());
        if faults.is_empty() { Ok(recipe) } else { Err(Error::Recipe(faults)) }
    }

    /// As [`Recipe::with`], and checked against the network it is for.
    pub fn fitted(&self, architecture: &Architecture, changes: &Map<String, Value>) -> Result<Self, Error> {
        let recipe = self.with(changes)?;
        recipe.prepare(architecture)?;
        Ok(recipe)
    }

    /// Whether a run gives the epoch that is the best on its validation images: there are some, and they are to choose.
    pub fn restores_best(&self) -> bool {
        self.restore_best && self.validation_share > 0.0
    }

    /// The schedule with its numbers, an epoch having so many steps.
    pub fn schedule(&self, steps_an_epoch: f64) -> Schedule {
        let shape = match self.schedule {
            ScheduleKind::Constant => Shape::Constant,
            ScheduleKind::OneCycle => Shape::OneCycle { warmup: self.warmup },
            ScheduleKind::Cosine => Shape::Cosine,
            ScheduleKind::Step => {
                let milestones = self.milestones.iter().map(|epoch| epoch * steps_an_epoch).collect();
                Shape::Step { milestones, gamma: self.gamma }
            }
        };
        let warmup_steps = self.warmup_epochs * steps_an_epoch;
        Schedule { shape, warmup_steps, start_factor: self.start_factor, end_factor: self.end_factor }
    }

    /// The initialisation with its numbers.
    pub fn init(&self) -> Init {
        let last_std = self.last_std as f32;
        match self.init {
            InitKind::Pytorch => Init::Pytorch,
            InitKind::PytorchHead => Init::PytorchHead { last_std },
            InitKind::Kaiming => Init::Kaiming { last_std },
        }
    }
}
