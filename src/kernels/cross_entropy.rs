//! Softmax and cross-entropy in one, with label smoothing, as `torch.nn.CrossEntropyLoss` (mean over the batch).
//!
//! With smoothing ε over C classes the target of an image is `1 - ε + ε/C` at its label and `ε/C` elsewhere (Szegedy et
//! al., arXiv 1512.00567). The loss is Σ target · (log Σ exp(score) - score), its gradient (softmax - target) / batch.

/// What images were mixed with: their loss is `share` of that of their own label and the rest of that of the other (Zhang and
/// others, "mixup", arXiv 1710.09412).
#[derive(Debug, Clone, Copy)]
pub struct Mix<'a> {
    /// Class of what each image was mixed with; below `classes`.
    pub labels: &'a [u32],
    /// What an image kept of itself, 0 to 1.
    pub share: f64,
}

/// What the scores are measured against.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// Class of each image; below `classes`.
    pub labels: &'a [u32],
    /// Scores an image.
    pub classes: usize,
    /// ε: the share of a target spread evenly over all classes, 0 to 1.
    pub smoothing: f64,
    /// What the images were mixed with, where they were.
    pub mix: Option<Mix<'a>>,
}

impl Targets<'_> {
    /// What image `image` was mixed with, and what it kept of itself: itself, and all, where it was not.
    pub(super) fn other(&self, image: usize) -> (usize, f64) {
        self.mix.map_or((self.labels[image] as usize, 1.0), |mix| (mix.labels[image] as usize, mix.share))
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Images whose label has the first of the highest scores; none where a score is NaN.
    pub correct: usize,
}

/// The loss of `logits` (batch × class), and into `gradient`, where one is wanted, the gradient of them.
pub fn cross_entropy(targets: &Targets<'_>, logits: &[f32], mut gradient: Option<&mut [f32]>) -> Measured {
    let (batch, classes) = (targets.labels.len(), targets.classes);
    assert_eq!(logits.len(), batch * classes, "cross-entropy: one score an image and class");
    assert!(targets.mix.is_none_or(|mix| mix.labels.len() == batch), "cross-entropy: a second label an image");
    assert!(gradient.as_ref().is_none_or(|gradient| gradient.len() == logits.len()), "cross-entropy: the gradient's length");
    let (mut loss, mut correct) = (0.0, 0);
    for (image, (&label, logits)) in targets.labels.iter().zip(logits.chunks_exact(classes)).enumerate() {
        let label = label as usize;
        let (other, share) = targets.other(image);
        let highest = logits.iter().fold(f64::NEG_INFINITY, |highest, x| highest.max(f64::from(*x)));
        let total: f64 = logits.iter().map(|x| (f64::from(*x) - highest).exp()).sum();
        let log_total = highest + total.ln();
        let mean: f64 = logits.iter().map(|x| log_total - f64::from(*x)).sum::<f64>() / classes as f64;
        let of = |label: usize| log_total - f64::from(logits[label]);
        let hard = if other == label { of(label) } else { share * of(label) + (1.0 - share) * of(other) };
        loss += (1.0 - targets.smoothing) * hard + targets.smoothing * mean;
        let right = |(class, x): (usize, &f32)| *x < logits[label] || (*x == logits[label] && class >= label);
        correct += usize::from(logits.iter().enumerate().all(right));
        if let Some(gradient) = gradient.as_deref_mut() {
            let even = targets.smoothing / classes as f64;
            for (class, (x, dx)) in logits.iter().zip(&mut gradient[image * classes..][..classes]).enumerate() {
                let hard = match (class == label, class == other) {
                    (true, true) => 1.0,
                    (true, false) => share,
                    (false, true) => 1.0 - share,
                    (false, false) => 0.0,
                };
                let target = hard * (1.0 - targets.smoothing) + even;
                *dx = (((f64::from(*x) - log_total).exp() - target) / batch as f64) as f32;
            }
        }
    }
    Measured { loss: loss / batch as f64, correct }
}

#[cfg(test)]
mod tests {
    use super::super::naive::cross_entropy as formula;
    use super::super::testing::{filled, narrow, numbers, wide};
    use super::*;

    #[test]
    fn it_is_its_formula() {
        for (batch, classes, smoothing) in
            [(1, 1, 0.0), (1, 2, 0.5), (7, 10, 0.0), (7, 10, 0.1), (33, 5, 1.0), (33, 5, 0.2), (8, 5, 0.0)]
        {
            let labels: Vec<u32> = (0..batch as u32).map(|image| image * 3 % classes as u32).collect();
            let others: Vec<u32> = (0..batch as u32).map(|image| image * 7 % classes as u32).collect();
            let mix = (batch > 7).then_some(Mix { labels: &others, share: 0.7 });
            let (targets, logits) = (Targets { labels: &labels, classes, smoothing, mix }, numbers(1, batch * classes));
            let (mut found, mut expected) = (None, None);
            let gradient = filled(logits.len(), |dx| found = Some(cross_entropy(&targets, &logits, Some(dx))));
            let by_formula = filled(logits.len(), |dx| expected = Some(formula::cross_entropy(&targets, &wide(&logits), dx)));
            assert!(gradient.iter().zip(narrow(&by_formula)).all(|(a, b)| (a - b).abs() <= 1e-7), "{gradient:?} {by_formula:?}");
            let (found, expected) = (found.unwrap(), expected.unwrap());
            assert!((found.loss - expected.loss).abs() < 1e-12, "{found:?} {expected:?}");
            assert_eq!(found.correct, expected.correct);
            assert_eq!(cross_entropy(&targets, &logits, None), found);
        }
    }

    #[test]
    fn scores_far_apart_and_nan_give_what_they_must() {
        let of = |logits: &[f32]| cross_entropy(&Targets { labels: &[1], classes: 3, smoothing: 0.0, mix: None }, logits, None);
        assert_eq!(of(&[-1e30, 1e30, 0.0]), Measured { loss: 0.0, correct: 1 });
        assert_eq!(of(&[1e4, -1e4, 0.0]), Measured { loss: 2e4, correct: 0 });
        let broken = of(&[0.0, 1.0, f32::NAN]);
        assert!(broken.loss.is_nan() && broken.correct == 0);
    }

    /// Label smoothing, loss, and the gradient of the scores.
    const PYTORCH: [(f64, f64, [f64; 9]); 2] = [
        (
            0.0,
            0.676_928_211_9,
            [
                -0.066_059_939_3,
                0.010_242_246_8,
                0.055_817_692_5,
                0.031_146_780_4,
                0.068_612_201_3,
                -0.099_758_981_7,
                0.002_112_565_2,
                -0.019_800_857_1,
                0.017_688_291_9,
            ],
        ),
        (
            0.2,
            0.941_511_545_2,
            [
                -0.063_282_161_5,
                -0.011_979_975_4,
                0.075_262_137_0,
                0.050_591_224_8,
                0.046_389_979_1,
                -0.096_981_203_9,
                -0.020_109_657_0,
                0.024_643_587_3,
                -0.004_533_930_3,
            ],
        ),
    ];

    #[test]
    fn mixed_labels_cost_what_pytorch_says() {
        // torch 2.15.0, f64: share * F.cross_entropy(x, labels, label_smoothing=s) + (1 - share) * F.cross_entropy(x, others, …).
        let logits = [0.5, -1.25, 2.0, 1.5, 0.25, -0.75, -2.0, 3.0, 0.125];
        let mix = Some(Mix { labels: &[0, 2, 1], share: 0.625 });
        for (smoothing, loss, gradient) in PYTORCH {
            let targets = Targets { labels: &[2, 0, 1], classes: 3, smoothing, mix };
            let mut found = [0.0; 9];
            let measured = cross_entropy(&targets, &logits, Some(&mut found));
            assert!((measured.loss - loss).abs() < 1e-6, "{smoothing}: {measured:?}");
            assert_eq!(measured.correct, 3);
            assert!(found.iter().zip(gradient).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{smoothing}: {found:?}");
        }
    }
}
