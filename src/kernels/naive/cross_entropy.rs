//! Softmax, targets and loss, each written out.

use crate::kernels::cross_entropy::{Measured, Targets};

/// [`crate::kernels::cross_entropy::cross_entropy`]; exponentials are not kept in range.
pub fn cross_entropy(targets: &Targets<'_>, logits: &[f64], gradient: &mut [f64]) -> Measured {
    let (batch, classes) = (targets.labels.len(), targets.classes);
    let (mut loss, mut correct) = (0.0, 0);
    for (image, &label) in targets.labels.iter().enumerate() {
        let scores = &logits[image * classes..(image + 1) * classes];
        let total: f64 = scores.iter().map(|x| x.exp()).sum();
        let (other, share) = targets.other(image);
        let mut best = 0;
        for class in 0..classes {
            let is = |label: usize| if class == label { 1.0 } else { 0.0 };
            let hard = share * is(label as usize) + (1.0 - share) * is(other);
            let target = hard * (1.0 - targets.smoothing) + targets.smoothing / classes as f64;
            let probability = scores[class].exp() / total;
            loss -= target * probability.ln() / batch as f64;
            gradient[image * classes + class] = (probability - target) / batch as f64;
            best = if scores[class] > scores[best] { class } else { best };
        }
        correct += usize::from(best == label as usize);
    }
    Measured { loss, correct }
}
