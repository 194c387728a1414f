//! A temperature: the one number that a model's scores are divided by, so that of the images it is 80 % sure of, 80 % are right. C. Guo,
//! G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", 2017.
//!
//! It is fitted to images that were not trained on, and that nothing is reported of: the parameter that it changes no answer by is
//! still a parameter. What becomes of it is [`crate::network::Model::tempered`]'s.

use std::ops::ControlFlow;

use super::views::softmax;
use super::{Error, Measuring, Report, Tally, pass};
use crate::dataset::TestSet;
use crate::network::{Evaluator, Model, Probe, Temperature};

/// No temperature is further from 1 than this, or its inverse: images of which none is right ask for infinity.
const MOST: f64 = 20.0;
/// Steps of the search, each of which at least halves what is left; a few are enough where Newton's are good.
const STEPS: usize = 200;

/// The temperature at which the images of `validation` are most probable, and what is measured of them at it. None where `progress`,
/// told how many images are over, broke it off.
pub fn fit(
    evaluator: &mut Evaluator,
    model: &Model,
    validation: &TestSet,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<(Temperature, Report)>, Error> {
    let classes = model.metadata().classes.len();
    let probe = Probe { taps: vec![model.layers().len() - 1], ..Probe::default() };
    let mut scores: Vec<f32> = Vec::with_capacity(validation.len() * classes);
    let over = pass(evaluator, Measuring { model, test: validation, probe: &probe }, progress, &mut |_, evaluation| {
        evaluation.taps.iter().for_each(|tap| scores.extend_from_slice(&tap.values));
    })?;
    if over.is_break() {
        return Ok(None);
    }
    let value = temperature(&scores, validation.labels());
    let mut tally = Tally::new(classes);
    for (index, scores) in scores.chunks_exact(classes).enumerate() {
        let divided: Vec<f64> = scores.iter().map(|&score| f64::from(score) / value).collect();
        tally.add(index, validation.label(index) as usize, &softmax(&divided));
    }
    Ok(Some((Temperature { value, images: validation.len() }, tally.report())))
}

/// The temperature that makes the mean of −ln of the right class's probability least; `scores` are image × class, a label an image.
///
/// To the images counts one more, with their mean scores and of every class in equal parts. Without it, a few images that all happen to be
/// right ask for certainty, which no number of images is proof of; with it six of six make a model about 90 % sure, as the rule of
/// succession has it, and a thousand are changed by a thousandth. J. Platt, "Probabilistic outputs for support vector machines", 1999, §2.2.
///
/// In the inverse of the temperature the loss is convex: its derivative, the mean difference between the score that is expected and the
/// right class's, rises. Its zero is found by Newton's method, held between two points on either side of it by halving.
pub fn temperature(scores: &[f32], labels: &[u32]) -> f64 {
    let (images, classes) = (labels.len() as f64, scores.len() / labels.len().max(1));
    // The loss's two derivatives by the inverse temperature.
    let slopes = |inverse: f64| {
        let (mut slope, mut bend) = (0.0, 0.0);
        for (scores, &label) in scores.chunks_exact(classes.max(1)).zip(labels) {
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut total, mut first, mut second, mut sum) = (0.0, 0.0, 0.0, 0.0);
            for &score in scores {
                // All that counts is by how much scores differ, so they are taken from the highest.
                let below = f64::from(score) - f64::from(highest);
                let weight = (inverse * below).exp();
                total += weight;
                first += weight * below;
                second += weight * below * below;
                sum += below;
            }
            let mean = first / total;
            let right = f64::from(scores[label as usize]) - f64::from(highest);
            slope += mean - (images * right + sum / scores.len() as f64) / (images + 1.0);
            bend += second / total - mean * mean;
        }
        (slope, bend)
    };
    let (mut low, mut high) = (1.0 / MOST, MOST);
    let mut inverse = 1.0;
    for _ in 0..STEPS {
        let (slope, bend) = slopes(inverse);
        if slope == 0.0 {
            break;
        }
        if slope > 0.0 {
            high = inverse;
        } else {
            low = inverse;
        }
        let newton = inverse - slope / bend;
        // Halved in the logarithm, as both ends are factors; NaN is between none.
        let next = if low < newton && newton < high { newton } else { (low * high).sqrt() };
        let step = (next - inverse).abs();
        inverse = next;
        if step <= 1e-12 * inverse {
            break;
        }
    }
    1.0 / inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores of three classes that are as often right as their softmax says: labels are as many of each class as its share of 1,000.
    fn calibrated() -> (Vec<f32>, Vec<u32>) {
        let mut set = (Vec::new(), Vec::new());
        for shares in [[0.7_f64, 0.2, 0.1], [0.25, 0.25, 0.5], [0.05, 0.9, 0.05]] {
            for (class, share) in shares.iter().enumerate() {
                let images = (share * 1000.0).round() as usize;
                (0..images).for_each(|_| set.0.extend(shares.map(|share| share.ln() as f32 + 3.0)));
                set.1.extend(std::iter::repeat_n(class as u32, images));
            }
        }
        set
    }

    #[test]
    fn scores_that_were_multiplied_give_the_factor_back() {
        let (scores, labels) = calibrated();
        for factor in [0.1_f32, 0.5, 1.0, 1.7, 12.0] {
            let scaled: Vec<f32> = scores.iter().map(|score| score * factor).collect();
            let found = temperature(&scaled, &labels);
            // One image in 3,001 is of every class.
            assert!((1.0..1.002).contains(&(found / f64::from(factor))), "{factor}: {found}");
        }
    }

    #[test]
    fn it_is_where_no_other_gives_a_smaller_loss() {
        let scores = [3.0, 1.0, -2.0, 0.5, 0.25, 4.0, -1.0, 2.0, 2.5, 0.0, 5.0, 1.0_f64];
        let labels = [0, 2, 1, 1];
        let loss = |temperature: f64| -> f64 {
            let images = scores.chunks_exact(3).zip(labels);
            images
                .map(|(scores, label): (&[f64], u32)| {
                    let own = 0.8 * scores[label as usize] + 0.2 * scores.iter().sum::<f64>() / 3.0;
                    scores.iter().map(|score| (score / temperature).exp()).sum::<f64>().ln() - own / temperature
                })
                .sum()
        };
        let found = temperature(&scores.map(|score| score as f32), &labels);
        let least = (1..4000).map(|at| f64::from(at) * 0.005).min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap();
        assert!((found - least).abs() <= 0.005 && loss(found) <= loss(least), "{found} and {least}");
    }

    #[test]
    fn images_that_are_all_right_make_it_as_sure_as_their_number_does() {
        for images in [2_usize, 6, 1000] {
            let scores: Vec<f32> = [0.5, 0.0].repeat(images);
            let found = temperature(&scores, &vec![0; images]);
            let sure = 1.0 / (1.0 + (-0.5 / found).exp());
            let expected = (images as f64 + 0.5) / (images as f64 + 1.0);
            assert!((sure - expected).abs() < 1e-6, "{images}: {sure} {expected}");
        }
    }

    #[test]
    fn images_that_tell_nothing_end_at_a_bound_or_change_nothing() {
        // None right asks for no certainty at all; equal scores for nothing.
        assert!((temperature(&[2.0, 0.0, 1.0, 0.0], &[1, 1]) - MOST).abs() < 1e-3);
        assert_eq!(temperature(&[1.0; 9], &[0, 1, 2]), 1.0);
        // Scores beyond what an exponential holds.
        assert!(temperature(&[3e38, -3e38, -3e38, 3e38], &[0, 0]).is_finite());
    }
}
