//! What a measurement leaves to look into beside its figures: how far the model's probabilities can be believed, and which images it
//! takes for something else. It knows probabilities and labels alone, and keeps no more than [`MOST`] mistakes.

use serde::{Deserialize, Serialize};

/// Mistakes that are kept, the first of the test set; the confusion counts the others as well.
pub const MOST: usize = 10_000;
/// Classes that are kept of a mistake.
const TOP: usize = 3;
const BINS: usize = 15;

/// What a measurement leaves to look into.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// How far its probabilities can be believed.
    pub calibration: Calibration,
    /// Images that it takes for something else, by their index; no more than [`MOST`].
    pub mistakes: Vec<Mistake>,
}

/// How far probabilities can be believed: of the images that a model is 80 % sure of, 80 % should be right.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Calibration {
    /// Expected calibration error: the mean distance between confidence and accuracy in bins of equal width, weighted by their
    /// images. C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", 2017.
    pub expected_error: f64,
    /// The bins, from unsure to sure: bin `i` of 15 has the images whose most probable class has a probability in (i/15, (i+1)/15].
    pub bins: Vec<Bin>,
}

/// Images that a model is about equally sure of.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bin {
    /// How many there are.
    pub images: usize,
    /// Mean probability of their most probable class; 0 without images.
    pub confidence: f64,
    /// Share of them that is right; 0 without images.
    pub accuracy: f64,
}

/// An image that a model takes for something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its index in the test set.
    pub index: usize,
    /// What it is: the class's index.
    pub truth: usize,
    /// What the model gives that class.
    pub probability: f32,
    /// The most probable classes, three or all there are, from the first.
    pub top: Vec<Said>,
}

/// A class, as a model judges it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// The class's index.
    pub class: usize,
    /// Its probability.
    pub probability: f32,
}

/// Gathers findings, image by image.
#[derive(Debug, Default)]
pub(super) struct Collector {
    /// Images, those that are right, and the sum of confidences.
    bins: [(usize, usize, f64); BINS],
    mistakes: Vec<Mistake>,
}

impl Collector {
    /// Image `index` is of class `truth`, and `best` is the first of its most probable classes.
    pub(super) fn add(&mut self, index: usize, truth: usize, best: usize, probabilities: &[f32]) {
        let confidence = f64::from(probabilities[best]);
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (images, right, sum) = &mut self.bins[bin];
        (*images, *right, *sum) = (*images + 1, *right + usize::from(best == truth), *sum + confidence);
        if best != truth && self.mistakes.len() < MOST {
            self.mistakes.push(Mistake { index, truth, probability: probabilities[truth], top: top(probabilities) });
        }
    }

    /// What was found.
    pub(super) fn findings(self) -> Findings {
        let all: usize = self.bins.iter().map(|(images, ..)| images).sum();
        let bins = self.bins.map(|(images, right, sum)| {
            let share = |value: f64| if images == 0 { 0.0 } else { value / images as f64 };
            Bin { images, confidence: share(sum), accuracy: share(right as f64) }
        });
        let distance = |bin: &Bin| bin.images as f64 * (bin.confidence - bin.accuracy).abs();
        let expected_error = bins.iter().map(distance).sum::<f64>() / all.max(1) as f64;
        Findings { calibration: Calibration { expected_error, bins: bins.to_vec() }, mistakes: self.mistakes }
    }
}

/// The most probable classes; of equals the first.
fn top(probabilities: &[f32]) -> Vec<Said> {
    let mut top: Vec<Said> = Vec::with_capacity(TOP + 1);
    for (class, &probability) in probabilities.iter().enumerate() {
        let at = top.iter().position(|said| said.probability < probability).unwrap_or(top.len());
        if at < TOP {
            top.insert(at, Said { class, probability });
            top.truncate(TOP);
        }
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_calibration_error_is_the_mean_distance_of_confidence_and_accuracy() {
        let mut collector = Collector::default();
        // Three of four right at 75 %: believed. Two images at 100 %, of which one is right: half of it is vain.
        (0..4).for_each(|index| collector.add(index, usize::from(index == 3), 0, &[0.75, 0.25]));
        (4..6).for_each(|index| collector.add(index, usize::from(index == 5), 0, &[1.0, 0.0]));
        let findings = collector.findings();
        assert!((findings.calibration.expected_error - 2.0 * 0.5 / 6.0).abs() < 1e-12, "{findings:?}");
        let filled: Vec<_> = findings.calibration.bins.iter().enumerate().filter(|(_, bin)| bin.images > 0).collect();
        assert_eq!(filled.iter().map(|(bin, _)| *bin).collect::<Vec<_>>(), [11, 14]);
        assert_eq!(*filled[0].1, Bin { images: 4, confidence: 0.75, accuracy: 0.75 });
        assert_eq!(findings.mistakes.iter().map(|mistake| mistake.index).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(Collector::default().findings().calibration.expected_error, 0.0);
    }

    #[test]
    fn a_mistake_keeps_the_most_probable_classes_and_there_are_never_more_than_the_most() {
        let mut collector = Collector::default();
        (0..MOST + 5).for_each(|index| collector.add(index, 0, 3, &[0.125, 0.25, 0.25, 0.375]));
        let findings = collector.findings();
        assert_eq!(findings.mistakes.len(), MOST);
        let said = |class, probability| Said { class, probability };
        let top = vec![said(3, 0.375), said(1, 0.25), said(2, 0.25)];
        assert_eq!(findings.mistakes[7], Mistake { index: 7, truth: 0, probability: 0.125, top });
    }
}
