//! A model: an architecture, its parameters, and everything needed to use them rightly. It is what a file holds.

use serde::{Deserialize, Serialize};

use super::architecture::infer::infer;
use super::error::Error;
use super::familiarity::Familiarity;
use super::parameters::temper;
use super::preprocessing::Preprocessing;
use super::shape::LayerShape;
use super::spec::Architecture;
use super::weights::{Parameter, Weights};

/// The version of [`Metadata`]'s layout.
pub const FORMAT: u32 = 1;

/// What a model says of itself: the `convscope` key of its file.
///
/// Keys that are not known here are passed over: a later program may say more of a model without a new layout. What would change
/// an answer stands in the architecture and the preprocessing, where an unknown key is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Layout of this struct: [`FORMAT`].
    pub format: u32,
    /// The model's name.
    pub name: String,
    /// The layer list.
    pub architecture: Architecture,
    /// From pixels to the network's input.
    pub preprocessing: Preprocessing,
    /// What each score stands for, in order.
    pub classes: Vec<String>,
    /// Measured on a test set; none where nobody has measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// What else was measured, and done for its probabilities: more keys, each where there is something to say.
    #[serde(flatten)]
    pub measured: Measured,
    /// The recipe it was trained by, with every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<serde_json::Value>,
    /// What tells how familiar an image is; none where nobody has measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub familiarity: Option<Familiarity>,
    /// Program and version that wrote it.
    pub created_by: String,
}

/// The share of test images whose most probable class was right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Between 0 and 1.
    pub accuracy: f64,
    /// How many test images it was measured on.
    pub images: usize,
}

/// What is measured with the accuracy, on the same test images, and how the probabilities came to be what they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// The accuracy on the images of each class, in the classes' order; empty where nobody has measured it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accuracy_by_class: Vec<Accuracy>,
    /// The mean distance between how sure the model is and how often it is right then, in 15 bins: between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_calibration_error: Option<f64>,
    /// What its scores were divided by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Temperature>,
}

/// The number that a network's scores are divided by, so that its probabilities are as often right as they say. It is in the weights
/// already: softmax of the scores is all there is to do. C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural
/// networks", 2017.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// Above 0; above 1 it makes a network less sure.
    pub value: f64,
    /// How many validation images it was fitted to; 0 where it was given.
    pub images: usize,
}

/// A model that is known to be consistent: shapes, parameters, classes and preprocessing belong together.
#[derive(Debug, Clone)]
pub struct Model {
    metadata: Metadata,
    layers: Vec<LayerShape>,
    weights: Weights,
}

impl Model {
    /// Joins `metadata` with `parameters` given in any order.
    pub fn new(metadata: Metadata, parameters: Vec<Parameter>) -> Result<Self, Error> {
        if metadata.format != FORMAT {
            return Err(Error::Metadata(format!(
                "its layout is version {}, and this program reads {FORMAT}: use a newer convscope",
                metadata.format
            )));
        }
        let layers = infer(&metadata.architecture)?;
        metadata.preprocessing.check(metadata.architecture.input)?;
        let outputs = layers.last().map_or(0, |last| last.output.elements());
        if outputs != metadata.classes.len() {
            return Err(Error::Metadata(format!("there are {} class names for {outputs} scores", metadata.classes.len())));
        }
        if let Some(familiarity) = &metadata.familiarity {
            familiarity.check(metadata.architecture.input).map_err(Error::Metadata)?;
        }
        let weights = Weights::fit(&metadata.architecture.name, &layers, parameters)?;
        Ok(Self { metadata, layers, weights })
    }

    /// The same model, saying that this was measured: its accuracy, that by class, and the expected calibration error.
    #[must_use]
    pub fn with_figures(mut self, accuracy: Accuracy, by_class: Vec<Accuracy>, calibration_error: f64) -> Self {
        self.metadata.accuracy = Some(accuracy);
        self.metadata.measured.accuracy_by_class = by_class;
        self.metadata.measured.expected_calibration_error = Some(calibration_error);
        self
    }

    /// The same network with its scores divided by `temperature`, and by what they were divided by before, which it says:
    /// [`super::parameters::temper`] does it. What was measured of its probabilities is not of these.
    ///
    /// # Errors
    /// Where its last layers have no weights to divide.
    pub fn tempered(mut self, temperature: Temperature) -> Result<Self, Error> {
        temper::divide(&self.metadata.architecture, &self.layers, &mut self.weights, temperature.value)?;
        let before = self.metadata.measured.temperature.map_or(1.0, |before| before.value);
        self.metadata.measured.temperature = Some(Temperature { value: before * temperature.value, ..temperature });
        self.metadata.measured.expected_calibration_error = None;
        Ok(self)
    }

    /// The same model under another name.
    #[must_use]
    pub fn named(mut self, name: String) -> Self {
        self.metadata.name = name;
        self
    }

    /// The same model, telling how familiar images are.
    ///
    /// # Errors
    /// What does not fit its images.
    pub fn with_familiarity(mut self, familiarity: Familiarity) -> Result<Self, Error> {
        familiarity.check(self.metadata.architecture.input).map_err(Error::Metadata)?;
        self.metadata.familiarity = Some(familiarity);
        Ok(self)
    }

    /// What it says of itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Its layers, inferred.
    pub fn layers(&self) -> &[LayerShape] {
        &self.layers
    }

    /// Its parameters.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The position of the layer called `name`, or an error that lists those there are.
    pub fn layer(&self, name: &str) -> Result<usize, Error> {
        self.metadata.architecture.position(name).ok_or_else(|| Error::UnknownLayer {
            name: name.into(),
            known: self.layers.iter().map(|layer| layer.name.clone()).collect(),
        })
    }
}

/// What this program writes into [`Metadata::created_by`].
pub fn created_by() -> String {
    format!("convscope {}", env!("CARGO_PKG_VERSION"))
}
