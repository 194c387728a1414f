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
use crate::network::{Architecture, Init, LayerKind, Preprocessing, presets};
use crate::optim::Schedule;

const RECIPES: [(&str, &str); 3] = [
    ("default", include_str!("recipes/default.toml")),
    ("published", include_str!("recipes/published.toml")),
    ("tutorial", include_str!("recipes/tutorial.toml")),
];

/// Everything that decides a run besides the network and the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The update rule.
    pub optimizer: Optimizer,
    /// Step length at the schedule's peak, above 0.
    pub learning_rate: f64,
    /// Share of the previous step that is kept, at least 0 and below 1.
    pub momentum: f64,
    /// Looks ahead along the momentum.
    pub nesterov: bool,
    /// Pull of weights (not of biases, nor of batch norm) towards 0, added to the gradient.
    pub weight_decay: f64,
    /// How the learning rate changes.
    pub schedule: ScheduleKind,
    /// Share of a one-cycle schedule on the way up, at least 0 and below 1.
    pub warmup: f64,
    /// Images a step; the last of an epoch takes what is left.
    pub batch_size: usize,
    /// Passes over the training set.
    pub epochs: u32,
    /// Share of each target spread evenly over all classes, at least 0 and below 1.
    pub label_smoothing: f64,
    /// What is done to a training image at random.
    pub augmentation: Augmentation,
    /// Share of the averaged weights that one step keeps; 0 for no averaging.
    pub ema_decay: f64,
    /// What pixels are brought to.
    pub normalize: Normalize,
    /// What the parameters start from.
    pub init: InitKind,
    /// Deviation of the last layer's first weights, with `init = "kaiming"`.
    pub last_std: f64,
    /// Dropout probabilities by layer name, for training only: the stored network keeps its own.
    pub dropout: BTreeMap<String, f64>,
    /// Decides initialisation, order of images, augmentation and dropout; a whole number below 2⁵³, as JSON can carry.
    pub seed: u64,
}

/// The update rules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// The schedules there are, without their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Always the peak.
    Constant,
    /// Up to the peak and down to 0.
    OneCycle,
}

/// What pixels are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Mean 0 and deviation 1 a channel, measured on the training set.
    Channel,
    /// [0, 1].
    Unit,
}

/// What the parameters start from, without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitKind {
    /// `torch.nn`'s default.
    Pytorch,
    /// Normal, scaled for rectifiers.
    Kaiming,
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

    /// The network to train: `architecture` with this recipe's dropout. What is stored keeps its own.
    pub fn prepare(&self, architecture: &Architecture) -> Result<Architecture, Error> {
        Preprocessing::unit(architecture.input).check(architecture.input)?;
        let mut faults = Vec::new();
        let mut prepared = architecture.clone();
        for (name, &p) in &self.dropout {
            match prepared.layers.iter_mut().find(|layer| layer.name == *name).map(|layer| &mut layer.kind) {
                Some(LayerKind::Dropout(dropout)) => dropout.p = p,
                _ => faults.push(format!("`dropout.{name}`: `{}` has no dropout layer of this name", architecture.name)),
            }
        }
        let side = architecture.input.height.min(architecture.input.width);
        if self.augmentation.crop_padding >= side {
            faults.push(format!("`augmentation.crop_padding` must be below {side}, the side of the network's images"));
        }
        if faults.is_empty() { Ok(prepared) } else { Err(Error::Recipe(faults)) }
    }

    /// Every number that is outside its range.
    fn faults(&self) -> Vec<String> {
        let share = |value: f64| (0.0..1.0).contains(&value);
        let below_one = "at least 0 and below 1";
        let mut checks = vec![
            (
                "learning_rate",
                self.learning_rate,
                self.learning_rate > 0.0 && self.learning_rate <= 100.0,
                "above 0, and at most 100",
            ),
            ("momentum", self.momentum, share(self.momentum), below_one),
            ("weight_decay", self.weight_decay, share(self.weight_decay), below_one),
            ("warmup", self.warmup, share(self.warmup), below_one),
            ("batch_size", self.batch_size as f64, (1..=65_536).contains(&self.batch_size), "between 1 and 65536"),
            ("epochs", self.epochs.into(), (1..=100_000).contains(&self.epochs), "between 1 and 100000"),
            ("label_smoothing", self.label_smoothing, share(self.label_smoothing), below_one),
            ("ema_decay", self.ema_decay, share(self.ema_decay), below_one),
            ("last_std", self.last_std, (0.0..=10.0).contains(&self.last_std), "between 0 and 10"),
            ("seed", self.seed as f64, self.seed < 1 << 53, "below 9007199254740992"),
        ];
        checks.extend(self.dropout.values().map(|&p| ("dropout", p, share(p), below_one)));
        let outside = checks.iter().filter(|(_, _, holds, _)| !holds);
        let mut faults: Vec<String> =
            outside.map(|(key, value, _, range)| format!("`{key}` is {value}: it must be {range}")).collect();
        if self.nesterov && self.momentum == 0.0 {
            faults.push("`nesterov` looks ahead along the momentum: set `momentum` above 0, or `nesterov` to false".into());
        }
        faults
    }

    /// The schedule with its numbers.
    pub fn schedule(&self) -> Schedule {
        match self.schedule {
            ScheduleKind::Constant => Schedule::Constant,
            ScheduleKind::OneCycle => Schedule::OneCycle { warmup: self.warmup },
        }
    }

    /// The initialisation with its numbers.
    pub fn init(&self) -> Init {
        match self.init {
            InitKind::Pytorch => Init::Pytorch,
            InitKind::Kaiming => Init::Kaiming { last_std: self.last_std as f32 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tutorial() -> Architecture {
        presets::named("tutorial").unwrap()
    }

    #[test]
    fn every_recipe_has_every_key_and_is_valid() {
        for name in Recipe::names() {
            let recipe = Recipe::named(name).unwrap();
            assert!(recipe.faults().is_empty(), "{name}: {:?}", recipe.faults());
            let text = toml::to_string(&recipe).unwrap();
            assert_eq!(Recipe::from_toml(&text).unwrap(), recipe, "{name}: written and read again");
        }
    }

    #[test]
    fn the_published_recipe_is_the_tutorials() {
        let recipe = Recipe::named("published").unwrap();
        assert_eq!((recipe.learning_rate, recipe.momentum, recipe.batch_size, recipe.epochs), (0.001, 0.9, 32, 20));
        assert_eq!(recipe.schedule(), Schedule::Constant);
        assert_eq!((recipe.init(), recipe.normalize), (Init::Pytorch, Normalize::Unit));
        assert_eq!(recipe.augmentation, Augmentation { flip: false, crop_padding: 0 });
        assert!(!recipe.nesterov && recipe.weight_decay == 0.0 && recipe.label_smoothing == 0.0 && recipe.dropout.is_empty());
    }

    #[test]
    fn a_presets_own_recipe_is_the_default() {
        for name in presets::names() {
            let preset = presets::named(name).unwrap();
            let recipe = Recipe::of(&preset).unwrap();
            assert_eq!(recipe, Recipe::named(name).or_else(|_| Recipe::named("default")).unwrap());
            recipe.prepare(&preset).unwrap();
        }
        let mut mine = tutorial();
        mine.layers.remove(2);
        assert_eq!(Recipe::of(&mine).unwrap(), Recipe::named("default").unwrap());
        let message = Recipe::named("fast").unwrap_err().to_string();
        assert!(message.contains("`fast`") && message.contains("default, published, tutorial"), "{message}");
    }

    #[test]
    fn dropout_is_changed_for_training_only_where_there_is_some() {
        let recipe = Recipe::of(&tutorial()).unwrap();
        let p = |network: &Architecture, at: usize| match &network.layers[at].kind {
            LayerKind::Dropout(dropout) => dropout.p,
            other => panic!("{other:?}"),
        };
        let prepared = recipe.prepare(&tutorial()).unwrap();
        assert_eq!([p(&prepared, 2), p(&prepared, 9)], [0.1, 0.5]);
        assert_eq!([p(&tutorial(), 2), p(&tutorial(), 9)], [0.3, 0.5]);
        let changes = serde_json::json!({"dropout": {"act1": 0.2}, "augmentation": {"crop_padding": 32}});
        let message = recipe.fitted(&tutorial(), changes.as_object().unwrap()).unwrap_err().to_string();
        assert!(message.contains("`dropout.act1`") && message.contains("below 32"), "{message}");
    }

    #[test]
    fn every_number_outside_its_range_is_named() {
        let changes = serde_json::json!({"learning_rate": 0, "epochs": 0, "label_smoothing": 1.0, "dropout": {"drop1": 1.5}});
        let message = Recipe::of(&tutorial()).unwrap().with(changes.as_object().unwrap()).unwrap_err().to_string();
        for part in ["`learning_rate` is 0:", "`epochs` is 0:", "`label_smoothing` is 1:", "`dropout` is 1.5:"] {
            assert!(message.contains(part), "{message}");
        }
        let changes = serde_json::json!({"momentum": 0});
        let message = Recipe::of(&tutorial()).unwrap().with(changes.as_object().unwrap()).unwrap_err().to_string();
        assert!(message.contains("`nesterov`"), "{message}");
    }
}
