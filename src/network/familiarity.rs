//! How familiar an image is to a model: the share of its test images that looked stranger to it.
//!
//! A score says how strange an image is, by two things that cost next to nothing: how far the picture's own statistics lie from those
//! of the images that the model was trained on ([`picture`], [`Gaussian`]), and how unsure the model is of its answer. Either misses
//! what the other finds: a network may be sure of a page of text, and a picture that looks like all others may show what no class
//! has. Each is a logarithm, brought to mean 0 and deviation 1 on the test images; their sum's place among the test images' is the
//! familiarity. Chosen by measurement, together with what was left: `models/familiarity/README.md`.
//!
//! This module does not know where images come from, nor how probabilities are computed: any network's will do.

pub mod gaussian;
pub mod picture;

use serde::{Deserialize, Serialize};

pub use self::gaussian::{Gaussian, Moments};
use super::spec::Input;

/// A doubt below this is none: of so small a rest of the probabilities little more than rounding is left.
const LEAST_DOUBT: f64 = 1e-7;
/// A distance below this is none.
const LEAST_DISTANCE: f64 = 1e-9;
/// Test images may all be alike: the least deviation that is divided by.
const LEAST_DEVIATION: f64 = 1e-3;

/// What a model remembers of the images that it was trained and measured on, so as to say how familiar another one is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Familiarity {
    /// What training images are like: a distribution of their [`picture::statistics`].
    pub pictures: Gaussian,
    /// Of the test images' distances from it, as logarithms.
    pub distance: Scale,
    /// Of the model's doubts about the test images, as logarithms.
    pub doubt: Scale,
    /// Scores of test images, rising: quantiles.
    pub scores: Vec<f32>,
    /// For each of them, the share of the test images with a higher score: from 1, falling, to 0.
    pub shares: Vec<f32>,
}

/// Brings numbers to mean 0 and deviation 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// What becomes 0.
    pub mean: f32,
    /// What becomes 1, above it; more than 0.
    pub deviation: f32,
}

impl Scale {
    fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        Self { mean: mean as f32, deviation: variance.sqrt().max(LEAST_DEVIATION) as f32 }
    }

    fn apply(self, value: f64) -> f64 {
        (value - f64::from(self.mean)) / f64::from(self.deviation)
    }
}

/// How unsure a model is: the logarithm of the probability that the most probable class leaves to the others.
pub fn doubt(probabilities: &[f32]) -> f64 {
    let largest = probabilities.iter().copied().fold(0.0, f32::max);
    // Of equals one is the most probable; the sum of the others is exact where one is nearly all.
    let mut others = probabilities.iter().copied();
    let before: f64 = others.by_ref().take_while(|&p| p < largest).map(f64::from).sum();
    (before + others.map(f64::from).sum::<f64>()).max(LEAST_DOUBT).ln()
}

/// How far `image` (channel × height × width, as the network takes it) is from `pictures`: a logarithm.
pub fn distance(pictures: &Gaussian, image: &[f32], input: Input) -> f64 {
    pictures.distance(&picture::statistics(image, input)).max(LEAST_DISTANCE).ln()
}

impl Familiarity {
    /// Of what training images are like, and each test image's [`distance`] and [`doubt`]: as many of one as of the other, and one at
    /// least.
    pub fn new(pictures: Gaussian, distances: &[f64], doubts: &[f64]) -> Self {
        let (distance, doubt) = (Scale::of(distances), Scale::of(doubts));
        let scores = distances.iter().zip(doubts).map(|(&far, &unsure)| distance.apply(far) + doubt.apply(unsure));
        let mut scores: Vec<f64> = scores.collect();
        scores.sort_by(f64::total_cmp);
        let levels: Vec<f64> = levels().collect();
        let quantiles = levels.iter().map(|&level| quantile(&scores, level) as f32).collect();
        Self { pictures, distance, doubt, scores: quantiles, shares: levels.iter().map(|level| (1.0 - level) as f32).collect() }
    }

    /// How strange an image is that the model gives these `probabilities`: higher is stranger.
    pub fn score(&self, image: &[f32], input: Input, probabilities: &[f32]) -> f64 {
        self.distance.apply(distance(&self.pictures, image, input)) + self.doubt.apply(doubt(probabilities))
    }

    /// The share of the test images with a higher score, between quantiles in proportion.
    pub fn share(&self, score: f64) -> f32 {
        let above = self.scores.partition_point(|&known| f64::from(known) <= score);
        let share = |at: usize| f64::from(self.shares[at]);
        let (Some(below), true) = (above.checked_sub(1), above < self.scores.len()) else {
            return if above == 0 { 1.0 } else { 0.0 };
        };
        let (low, high) = (f64::from(self.scores[below]), f64::from(self.scores[above]));
        // `high` is above the score, and so above `low`.
        let way = (score - low) / (high - low);
        (share(below) + way * (share(above) - share(below))) as f32
    }

    /// How familiar an image is that the model gives these `probabilities`.
    pub fn of(&self, image: &[f32], input: Input, probabilities: &[f32]) -> f32 {
        self.share(self.score(image, input, probabilities))
    }

    /// Whether it can be used for images of a network with this `input`.
    ///
    /// # Errors
    /// What is wrong, for a sentence about the file.
    pub fn check(&self, input: Input) -> Result<(), String> {
        self.pictures.check(picture::count(input)).map_err(|fault| format!("`familiarity.pictures` {fault}"))?;
        for (name, Scale { mean, deviation }) in [("distance", self.distance), ("doubt", self.doubt)] {
            if !(mean.is_finite() && deviation.is_finite() && deviation > 0.0) {
                return Err(format!("`familiarity.{name}` must be finite, and its deviation above 0"));
            }
        }
        let Self { scores, shares, .. } = self;
        let rising = |values: &[f32]| values.iter().all(|value| value.is_finite()) && values.is_sorted();
        if scores.len() < 2 || !rising(scores) {
            return Err("`familiarity.scores` must be two finite numbers or more, rising".into());
        }
        let falling = shares.iter().rev().copied().collect::<Vec<_>>();
        if shares.len() != scores.len() || !rising(&falling) || (falling.first(), falling.last()) != (Some(&0.0), Some(&1.0)) {
            return Err("`familiarity.shares` must fall from 1 to 0, one for each of `scores`".into());
        }
        Ok(())
    }
}

/// Shares of the test images below each quantile that is kept: hundredths, and thousandths where images are strange.
fn levels() -> impl Iterator<Item = f64> {
    (0..100).map(|percent| f64::from(percent) / 100.0).chain((991..=1000).map(|mille| f64::from(mille) / 1000.0))
}

/// Of `sorted`, which has one value at least: between two of them in proportion.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level * (sorted.len() - 1) as f64;
    let (below, way) = (place as usize, place.fract());
    let next = sorted.get(below + 1).unwrap_or(&sorted[below]);
    sorted[below] + way * (next - sorted[below])
}

#[cfg(test)]
mod tests;
