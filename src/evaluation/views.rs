//! Test-time augmentation: a model's answers to several views of an image, taken together.
//!
//! What comes of it is a figure of its own, never the model's: it costs as many passes as there are views, and nothing that serves
//! does it. Scores are averaged, as airbench94 does (Keller Jordan, arXiv 2404.00498), by way of logarithms of probabilities, which
//! differ from scores by the same number in every class.

use super::{BATCH, Error, Report, Tally, check};
use crate::dataset::{Placement, TestSet};
use crate::network::{Evaluator, Model, Probe};

/// What is looked at of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// The image and its mirror image.
    Mirror,
    /// Those two for half of the answer; for the other half the same of the image moved by a pixel, up and left or down and right,
    /// its border reflected: six views.
    Translate,
}

impl Views {
    /// Each view with its share.
    fn placements(self) -> Vec<(Placement, f64)> {
        let both =
            |placement: Placement, share: f64| [false, true].map(|mirrored| (Placement { mirrored, ..placement }, share / 2.0));
        match self {
            Self::Mirror => both(Placement::default(), 1.0).into(),
            Self::Translate => {
                let moved = [0, 2].map(|by| Placement { mirrored: false, padding: 1, down: by, right: by });
                let moved = moved.into_iter().flat_map(|placement| both(placement, 0.25));
                both(Placement::default(), 0.5).into_iter().chain(moved).collect()
            }
        }
    }
}

/// As [`super::evaluate`], by what the views of each image say together.
pub fn evaluate(
    evaluator: &mut Evaluator,
    model: &Model,
    test: &TestSet,
    views: Views,
    progress: &mut dyn FnMut(usize),
) -> Result<Report, Error> {
    let (preprocessing, classes) = (&model.metadata().preprocessing, model.metadata().classes.len());
    check(model, test)?;
    let dimensions = test.dimensions();
    let small = dimensions.height.min(dimensions.width) < 2;
    if small && views == Views::Translate {
        return Err(Error::Misfit(
            "images of one row or column have no border to reflect: look at their mirror images only".into(),
        ));
    }
    let mut tally = Tally::new(classes);
    let mut input = Vec::new();
    for start in (0..test.len()).step_by(BATCH) {
        let end = test.len().min(start + BATCH);
        let mut scores = vec![0.0; (end - start) * classes];
        for (placement, share) in views.placements() {
            input.clear();
            (start..end).try_for_each(|index| preprocessing.normalize(&test.placed(index, placement), &mut input))?;
            let seen = evaluator.evaluate(&input, &Probe::default())?.probabilities;
            // A probability that has become 0 is taken as the smallest number.
            let logarithms = seen.iter().map(|&p| f64::from(p.max(f32::MIN_POSITIVE)).ln());
            scores.iter_mut().zip(logarithms).for_each(|(score, seen)| *score += share * seen);
        }
        for (index, scores) in (start..end).zip(scores.chunks_exact(classes)) {
            tally.add(index, test.label(index) as usize, &softmax(scores));
        }
        progress(end);
    }
    Ok(tally.report())
}

/// The shares that `scores` stand for.
pub(super) fn softmax(scores: &[f64]) -> Vec<f32> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
    scores.iter().map(|score| ((score - highest).exp() / total) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_six_views_are_airbenchs() {
        let views = Views::Translate.placements();
        let shares: Vec<f64> = views.iter().map(|(_, share)| *share).collect();
        assert_eq!(shares, [0.25, 0.25, 0.125, 0.125, 0.125, 0.125]);
        let seen = |at: usize| {
            let mut out = [0; 9];
            views[at].0.apply([3, 3, 1], &[0, 1, 2, 3, 4, 5, 6, 7, 8], &mut out);
            out
        };
        // Of the image with a reflected border of one, rows and columns 0 to 2, and 2 to 4.
        assert_eq!(seen(2), [4, 3, 4, 1, 0, 1, 4, 3, 4]);
        assert_eq!(seen(4), [4, 5, 4, 7, 8, 7, 4, 5, 4]);
        assert_eq!((seen(0), seen(1)), ([0, 1, 2, 3, 4, 5, 6, 7, 8], [2, 1, 0, 5, 4, 3, 8, 7, 6]));
        let pairs = views.chunks(2).all(|pair| pair[1].0 == Placement { mirrored: true, ..pair[0].0 });
        assert!(pairs && Views::Mirror.placements().iter().map(|(_, share)| share).sum::<f64>() == 1.0);
    }

    #[test]
    fn averaged_logarithms_of_probabilities_are_averaged_scores() {
        let scores = [[1.0, 2.5, -1.0], [0.5, -2.0, 3.0]];
        let means: Vec<f64> = (0..3).map(|class| 0.25 * scores[0][class] + 0.75 * scores[1][class]).collect();
        let logarithms = scores.map(|scores| softmax(&scores).into_iter().map(|p| f64::from(p).ln()).collect::<Vec<_>>());
        let mixed: Vec<f64> = (0..3).map(|class| 0.25 * logarithms[0][class] + 0.75 * logarithms[1][class]).collect();
        assert!(softmax(&means).iter().zip(softmax(&mixed)).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
