//! What a network's probabilities mean: class names, ranked. The JSON of `POST /classify` and of `convscope classify`.

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// One image's answer: which model, what it sees, and what that took.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Answer<'a> {
    /// Who answers.
    pub model: ModelVersion<'a>,
    /// What the image shows.
    #[serde(flatten)]
    pub classification: Classification<'a>,
    /// The share of the model's test images that looked stranger to it than this one: 0.5 is ordinary, below 0.01 is like nothing it
    /// was trained on. `null` where the model cannot tell.
    #[schema(required)]
    pub familiarity: Option<f32>,
    /// What the answer took.
    pub timing_ms: Timing,
}

/// What became of several images, in their order.
#[derive(Debug, Serialize)]
pub struct Answers<'a, T = Answer<'a>> {
    /// One an image.
    pub results: &'a [T],
}

/// A model by name and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelVersion<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version, from 1.
    pub version: u64,
}

/// Milliseconds, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Timing {
    /// From the file's bytes to pixels at the network's size.
    pub decode: f64,
    /// Waiting for the model.
    pub queue: f64,
    /// The forward pass of the batch the image was in.
    pub inference: f64,
}

impl Timing {
    /// The three spans in milliseconds.
    pub fn new(decode: Duration, queue: Duration, inference: Duration) -> Self {
        let ms = |time: Duration| time.as_micros() as f64 / 1000.0;
        Self { decode: ms(decode), queue: ms(queue), inference: ms(inference) }
    }
}

/// One image's classes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Classification<'a> {
    /// The most probable class.
    pub label: &'a str,
    /// Its probability, 0 to 1.
    pub probability: f32,
    /// The most probable classes, falling; of equals, the first class first.
    pub top: Vec<Ranked<'a>>,
    /// Every class, in class order.
    #[schema(value_type = HashMap<String, f32>)]
    pub probabilities: Probabilities<'a>,
}

/// One class of a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Ranked<'a> {
    /// Its position among the classes.
    pub index: usize,
    /// Its name.
    pub label: &'a str,
    /// 0 to 1.
    pub probability: f32,
}

/// Names with their probabilities: a JSON object in class order, which `serde_json`'s own map would sort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probabilities<'a> {
    /// The names.
    pub classes: &'a [String],
    /// As many probabilities.
    pub values: &'a [f32],
}

impl<'a> Classification<'a> {
    /// Ranks `classes` by `probabilities`, which belong together; `top_k` of them are listed.
    pub fn new(classes: &'a [String], probabilities: &'a [f32], top_k: usize) -> Self {
        let mut order: Vec<usize> = (0..classes.len().min(probabilities.len())).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let ranked = |&index: &usize| Ranked { index, label: &classes[index], probability: probabilities[index] };
        let best = order.first().map(ranked);
        Self {
            label: best.map_or("", |best| best.label),
            probability: best.map_or(0.0, |best| best.probability),
            top: order.iter().take(top_k).map(ranked).collect(),
            probabilities: Probabilities { classes, values: probabilities },
        }
    }
}

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.classes.len()))?;
        self.classes.iter().zip(self.values).try_for_each(|(class, probability)| map.serialize_entry(class, probability))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_fall_and_names_keep_their_order() {
        let classes = ["zebra", "ant", "bee", "cat"].map(String::from);
        let classification = Classification::new(&classes, &[0.25, 0.125, 0.375, 0.25], 3);
        assert_eq!(
            serde_json::to_string(&classification).unwrap(),
            r#"{"label":"bee","probability":0.375,"top":[{"index":2,"label":"bee","probability":0.375},{"index":0,"label":"zebra","probability":0.25},{"index":3,"label":"cat","probability":0.25}],"probabilities":{"zebra":0.25,"ant":0.125,"bee":0.375,"cat":0.25}}"#
        );
    }
}
