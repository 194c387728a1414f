//! What a caller wants to see of a forward pass beyond its result, and what comes back.

use super::error::Error;
use super::model::Model;
use super::shape::Shape;

/// Layers to look at, and channels to switch off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// Positions of the layers whose activations are wanted, ascending.
    pub taps: Vec<usize>,
    /// Channels set to 0 after their layer.
    pub masks: Vec<Mask>,
    /// Beside those, of each image of the batch in turn, its own. One batch tells so what each of many channels is worth.
    pub each: Vec<Mask>,
}

/// Channels of one layer that are set to 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Position of the layer.
    pub layer: usize,
    /// Its channels (elements, where it gives a vector).
    pub channels: Vec<usize>,
}

impl Probe {
    /// Whether the plain result is all that is wanted.
    pub fn is_empty(&self) -> bool {
        self.taps.is_empty() && self.masks.is_empty() && self.each.is_empty()
    }

    /// What is set to 0 after `layer` in the image at `image` of a batch.
    pub fn masks_of(&self, layer: usize, image: usize) -> impl Iterator<Item = usize> {
        let masks = self.masks.iter().chain(self.each.get(image));
        masks.filter(move |mask| mask.layer == layer).flat_map(|mask| mask.channels.iter().copied())
    }

    /// Adds masks written as `conv1:3,7;conv2:0`.
    pub fn mask(mut self, text: &str, model: &Model) -> Result<Self, Error> {
        for part in text.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, list) = part.split_once(':').ok_or_else(|| unreadable(part))?;
            let layer = model.layer(name.trim())?;
            let count = model.layers()[layer].output.channels();
            let mut channels = Vec::new();
            for word in list.split(',') {
                let channel: usize = word.trim().parse().map_err(|_| unreadable(part))?;
                if channel >= count {
                    return Err(Error::UnknownChannel { layer: name.trim().into(), channel, last: count - 1 });
                }
                channels.push(channel);
            }
            self.masks.push(Mask { layer, channels });
        }
        Ok(self)
    }
}

fn unreadable(part: &str) -> Error {
    Error::Mask(part.trim().into())
}

/// The result of a forward pass over a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Softmax of the scores, image × class.
    pub probabilities: Vec<f32>,
    /// What was asked for, in the probe's order.
    pub taps: Vec<Tap>,
    /// Share of the test images that looked stranger to the model than this one, an image each; empty where it cannot tell.
    pub familiarity: Vec<f32>,
}

/// One layer's activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Tap {
    /// Position of the layer.
    pub layer: usize,
    /// Shape of one image's part.
    pub shape: Shape,
    /// image × channel × height × width.
    pub values: Vec<f32>,
}
