//! How good a model is, and how far it can be believed: one measure for `convscope eval`, for every epoch of training and for the
//! figures a checkpoint carries. [`temperature`] makes its probabilities what they should be.
//!
//! It meets a network and a dataset, so that neither has to know the other, and takes a [`TestSet`], so that nobody measures on
//! what was trained on.

use std::ops::ControlFlow;

use serde::Serialize;

use self::findings::{Collector, Findings};
use crate::dataset::TestSet;
use crate::network::familiarity::doubt;
use crate::network::{self, Accuracy, Evaluation, Evaluator, Model, Probe};

pub mod familiarity;
pub mod findings;
pub mod temperature;
pub mod views;

/// Images a forward pass: enough to fill any processor, few enough for a small machine's memory.
const BATCH: usize = 64;

/// Why a model cannot be measured on a test set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The set has other classes or other images than the model takes.
    #[error("{0}")]
    Misfit(String),
    /// The forward pass failed.
    #[error(transparent)]
    Network(Box<network::Error>),
}

impl From<network::Error> for Error {
    fn from(fault: network::Error) -> Self {
        Self::Network(Box::new(fault))
    }
}

/// A model's answers to a test set, counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Images measured on.
    pub images: usize,
    /// Images whose most probable class was right; of equals, the first class counts.
    pub correct: usize,
    /// `correct / images`.
    pub accuracy: f64,
    /// Between these, the accuracy on all images of this kind lies with 95 % confidence: Wilson's interval.
    pub interval95: [f64; 2],
    /// Mean cross-entropy, −ln of the right class's probability.
    pub loss: f64,
    /// Images by what they are (row) and what the model says (column), in class order.
    pub confusion: Vec<Vec<usize>>,
    /// What to look into.
    #[serde(skip)]
    pub findings: Findings,
    /// How unsure the model is of each image, in order: [`doubt`].
    #[serde(skip)]
    pub doubts: Vec<f64>,
}

/// How many images of one class are right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassReport {
    /// Images of the class.
    pub images: usize,
    /// Those that the model is right about.
    pub correct: usize,
    /// Their share; none without images.
    pub accuracy: Option<f64>,
    /// Where the share on all such images lies with 95 % confidence; none without images.
    pub interval95: Option<[f64; 2]>,
}

impl Report {
    /// The figures of each class, in the classes' order.
    pub fn per_class(&self) -> Vec<ClassReport> {
        let rows = self.confusion.iter().enumerate();
        rows.map(|(class, row)| {
            let (images, correct) = (row.iter().sum::<usize>(), row[class]);
            let of_some = |figure| (images > 0).then_some(figure);
            let accuracy = of_some(correct as f64 / images.max(1) as f64);
            ClassReport { images, correct, accuracy, interval95: accuracy.map(|_| wilson(correct, images)) }
        })
        .collect()
    }

    /// `model`, of which this was measured, saying so.
    #[must_use]
    pub fn told_by(&self, model: Model) -> Model {
        let by_class = self.per_class().into_iter();
        let by_class = by_class.map(|of| Accuracy { accuracy: of.accuracy.unwrap_or_default(), images: of.images }).collect();
        let accuracy = Accuracy { accuracy: self.accuracy, images: self.images };
        model.with_figures(accuracy, by_class, self.findings.calibration.expected_error)
    }
}

/// Measures `model`, placed in `evaluator`, on every image of `test`. `progress` is told how many are done after each batch.
pub fn evaluate(
    evaluator: &mut Evaluator,
    model: &Model,
    test: &TestSet,
    progress: &mut dyn FnMut(usize),
) -> Result<Report, Error> {
    let mut to_the_end = |done| {
        progress(done);
        ControlFlow::Continue(())
    };
    let report = evaluate_while(evaluator, model, test, &mut to_the_end)?;
    // It goes on after every batch.
    Ok(report.unwrap_or_else(|| unreachable!("a measurement that nothing breaks off")))
}

/// As [`evaluate`]; none where `progress` broke it off after a batch.
pub fn evaluate_while(
    evaluator: &mut Evaluator,
    model: &Model,
    test: &TestSet,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<Report>, Error> {
    let mut tally = Tally::new(model.metadata().classes.len());
    let over = pass(evaluator, Measuring { model, test, probe: &Probe::default() }, progress, &mut |start, evaluation| {
        tally.take(test, start, &evaluation.probabilities);
    })?;
    Ok(over.is_continue().then(|| tally.report()))
}

/// What a pass measures, and what it looks at.
#[derive(Clone, Copy)]
struct Measuring<'a> {
    model: &'a Model,
    test: &'a TestSet,
    probe: &'a Probe,
}

/// Evaluates every image, `each` being given the first index of a batch and what came of it; breaks off where `progress` does.
fn pass(
    evaluator: &mut Evaluator,
    Measuring { model, test, probe }: Measuring<'_>,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    each: &mut dyn FnMut(usize, &Evaluation),
) -> Result<ControlFlow<()>, Error> {
    check(model, test)?;
    let preprocessing = &model.metadata().preprocessing;
    let mut input = Vec::new();
    for start in (0..test.len()).step_by(BATCH) {
        let end = test.len().min(start + BATCH);
        input.clear();
        (start..end).try_for_each(|index| preprocessing.normalize(&test.image(index), &mut input))?;
        each(start, &evaluator.evaluate(&input, probe)?);
        if progress(end) == ControlFlow::Break(()) {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn check(model: &Model, test: &TestSet) -> Result<(), Error> {
    let classes = model.metadata().classes.len();
    let input = model.metadata().architecture.input;
    let misfit = |sentence: String| Err(Error::Misfit(sentence));
    if test.is_empty() {
        return misfit("there are no test images".into());
    }
    let given = test.dimensions();
    if [given.height, given.width, given.channels.count()] != [input.height, input.width, input.channels] {
        return misfit(format!(
            "the test images are {}×{}×{} and the network takes {}×{}×{}",
            given.height,
            given.width,
            given.channels.count(),
            input.height,
            input.width,
            input.channels
        ));
    }
    match test.labels().iter().max() {
        Some(&label) if label as usize >= classes => {
            misfit(format!("the test images are of {} classes and the model knows {classes}", label + 1))
        }
        _ => Ok(()),
    }
}

struct Tally {
    confusion: Vec<Vec<usize>>,
    loss: f64,
    findings: Collector,
    doubts: Vec<f64>,
}

impl Tally {
    fn new(classes: usize) -> Self {
        Self { confusion: vec![vec![0; classes]; classes], loss: 0.0, findings: Collector::default(), doubts: Vec::new() }
    }

    /// The images of `test` from `start` on, image × class.
    fn take(&mut self, test: &TestSet, start: usize, probabilities: &[f32]) {
        for (index, probabilities) in (start..).zip(probabilities.chunks_exact(self.confusion.len())) {
            self.add(index, test.label(index) as usize, probabilities);
        }
    }

    fn add(&mut self, index: usize, label: usize, probabilities: &[f32]) {
        let best =
            (1..probabilities.len()).fold(0, |best, class| if probabilities[class] > probabilities[best] { class } else { best });
        self.confusion[label][best] += 1;
        self.findings.add(index, label, best, probabilities);
        self.doubts.push(doubt(probabilities));
        // A probability that has become 0 costs what the smallest number would, not infinity.
        self.loss -= f64::from(probabilities[label]).max(f64::from(f32::MIN_POSITIVE)).ln();
    }

    fn report(self) -> Report {
        let images: usize = self.confusion.iter().flatten().sum();
        let correct = (0..self.confusion.len()).map(|class| self.confusion[class][class]).sum();
        Report {
            images,
            correct,
            accuracy: correct as f64 / images as f64,
            interval95: wilson(correct, images),
            loss: self.loss / images as f64,
            confusion: self.confusion,
            findings: self.findings.findings(),
            doubts: self.doubts,
        }
    }
}

/// The 95 % score interval of a share: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
/// 1927. Unlike `p ± 1.96·√(p·(1−p)/n)` it stays within [0, 1] and does not shrink to nothing at 0 and 1.
pub fn wilson(correct: usize, images: usize) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    let (n, p) = (images as f64, correct as f64 / images as f64);
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // Rounding must not leave the bound that is exact: with none right it is 0, with all right 1.
    let low = if correct == 0 { 0.0 } else { (centre - half) / scale };
    let high = if correct == images { 1.0 } else { (centre + half) / scale };
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_s_bounds_are_the_shares_just_compatible_with_what_was_seen() {
        for (correct, images) in [(7_130_usize, 10_000), (1, 10), (9, 10), (5, 7)] {
            let share = correct as f64 / images as f64;
            for bound in wilson(correct, images) {
                let deviations = (share - bound).abs() / (bound * (1.0 - bound) / images as f64).sqrt();
                assert!((deviations - 1.96).abs() < 1e-4, "{correct}/{images}: {bound} is {deviations} deviations off");
            }
        }
        assert_eq!((wilson(0, 10)[0], wilson(10, 10)[1]), (0.0, 1.0));
        assert!(wilson(0, 10)[1] > 0.25);
    }

    #[test]
    fn answers_are_counted_by_class() {
        let mut tally = Tally::new(2);
        tally.add(0, 0, &[0.5, 0.5]);
        tally.add(1, 1, &[0.75, 0.25]);
        tally.add(2, 1, &[0.0, 1.0]);
        let report = tally.report();
        assert_eq!(report.confusion, [[1, 0], [1, 1]]);
        assert_eq!((report.images, report.correct), (3, 2));
        assert!((report.loss - (2f64.ln() + 4f64.ln()) / 3.0).abs() < 1e-12);
        assert_eq!(report.findings.mistakes.iter().map(|mistake| mistake.index).collect::<Vec<_>>(), [1]);
        let of = |images, correct, interval95| ClassReport {
            images,
            correct,
            accuracy: Some(correct as f64 / images as f64),
            interval95,
        };
        assert_eq!(report.per_class(), [of(1, 1, Some(wilson(1, 1))), of(2, 1, Some(wilson(1, 2)))]);
        let mut lone = Tally::new(2);
        lone.add(0, 1, &[0.0, 1.0]);
        assert_eq!(lone.report().per_class()[0], ClassReport { images: 0, correct: 0, accuracy: None, interval95: None });
        let mut wrong = Tally::new(2);
        wrong.add(0, 1, &[1.0, 0.0]);
        assert!(wrong.report().loss.is_finite());
    }
}
