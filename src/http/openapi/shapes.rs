//! The JSON of values that are made below HTTP, where nobody knows what a schema is. A test holds them to real answers.

#![allow(dead_code, reason = "they are descriptions: nothing is made of them")]

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The share of test images whose most probable class was right.
#[derive(Serialize, ToSchema)]
pub struct Accuracy {
    /// Between 0 and 1.
    accuracy: f64,
    /// How many test images it was measured on.
    images: usize,
}

/// The image that a network takes.
#[derive(Serialize, ToSchema)]
pub struct Input {
    /// 3 for colour, 1 for grey.
    channels: usize,
    /// Rows of pixels.
    height: usize,
    /// Columns of pixels.
    width: usize,
}

/// A layer as an architecture file has it; the arguments of its kind stand beside these.
#[derive(Serialize, ToSchema)]
pub struct LayerKind {
    /// Its name, and that of its feature map.
    name: String,
    /// What it does: `conv2d`, `relu`, …
    kind: String,
    /// Arguments of the kind, with PyTorch's names.
    #[serde(flatten)]
    arguments: HashMap<String, Value>,
}

/// A channel of a layer in numbers.
#[derive(Serialize, ToSchema)]
pub struct Channel {
    /// Smallest value; 0 where none is finite.
    min: f32,
    /// Largest value; 0 where none is finite.
    max: f32,
    /// Mean; 0 where none is finite.
    mean: f32,
    /// Share of values that are exactly 0: 1 is a dead channel.
    zeros: f32,
    /// How many values are NaN or infinite.
    non_finite: usize,
}

/// How far probabilities can be believed.
#[derive(Serialize, ToSchema)]
pub struct Calibration {
    /// Mean distance between confidence and accuracy in bins of equal width, weighted by their images.
    expected_error: f64,
    /// 15 of them, from unsure to sure.
    bins: Vec<Bin>,
}

/// Images that a model is about equally sure of.
#[derive(Serialize, ToSchema)]
pub struct Bin {
    /// How many there are.
    images: usize,
    /// Mean probability of their most probable class; 0 without images.
    confidence: f64,
    /// Share of them that is right; 0 without images.
    accuracy: f64,
}

/// A step of training.
#[derive(Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the answer has these names on the wire")]
pub struct Step {
    /// The epoch it belongs to, from 1.
    epoch: u32,
    /// Epochs of the run.
    epochs: u32,
    /// Steps of this epoch that are over.
    step: usize,
    /// Steps an epoch.
    steps: usize,
    /// Mean loss of this epoch so far.
    train_loss: f64,
    /// Share of this epoch's images so far that were right.
    train_accuracy: f64,
    /// Of this step.
    learning_rate: f64,
    /// Length of this step's gradients as one vector, before weight decay; of the summed losses where the recipe sums them. Absent
    /// where it is beyond what can be told.
    gradient_norm: Option<f64>,
    /// Training speed of this epoch so far.
    images_per_second: f64,
}

/// A training run.
#[derive(Serialize, ToSchema)]
pub struct Job {
    /// Names its folder, and its model as `run-ID`.
    id: String,
    /// What somebody called it.
    name: Option<String>,
    /// `queued`, `running`, `interrupted`, `done`, `failed` or `cancelled`.
    state: String,
    /// Its place among those that wait, from 1; null where it does not wait.
    position: Option<usize>,
    /// How many wait, this one included; null where it does not.
    queue_length: Option<usize>,
    /// Name of its network.
    arch: String,
    /// Its dataset, as it was asked for.
    data: String,
    /// When it was asked for, as RFC 3339 has it.
    created: String,
    /// Epochs asked for.
    epochs: u32,
    /// Epochs that are over.
    epoch: u32,
    /// The data of the last `epoch` event.
    #[schema(value_type = Option<Object>)]
    last: Option<Value>,
    /// Why it is failed or interrupted, where that is known.
    error: Option<String>,
}

/// A network: a preset's name, or a layer list as architecture files have it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Arch {
    /// A preset's name.
    Preset(String),
    /// `name`, `input` and `layers`.
    #[schema(value_type = Object)]
    Layers(HashMap<String, Value>),
}

/// Any keys of a recipe: `epochs`, `batch_size`, `seed`, …
#[derive(Serialize, ToSchema)]
pub struct RecipeKeys {
    #[serde(flatten)]
    keys: HashMap<String, Value>,
}
