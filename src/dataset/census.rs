//! What is in a set, in words: how many images a class has, whether classes are uneven, and which test images are training images too.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::images::Images;
use super::{Dataset, listed};

/// Classes that are all named.
const NAMED: usize = 20;
/// Of two classes' images, what is uneven: so often the smaller in the larger.
const UNEVEN: usize = 3;

/// One part of a set.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Class of each image.
    pub(super) labels: Vec<u32>,
    /// Fingerprint of each image's content.
    pub(super) prints: Vec<u64>,
    /// What each is called.
    pub(super) names: Vec<String>,
}

/// Equal for equal content; of unequal content once in 2⁶⁴.
pub(super) fn fingerprint(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    hasher.finish()
}

impl Part {
    fn of(images: &Images) -> Self {
        let indices = || 0..images.len();
        Self {
            labels: images.labels().to_vec(),
            prints: indices().map(|index| fingerprint(images.pixels(index))).collect(),
            names: indices().map(|index| images.name(index)).collect(),
        }
    }

    /// Images of each class.
    pub(super) fn counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }
}

impl Dataset {
    /// What to know of its images before anything is learned from them, a sentence each.
    pub fn census(&self) -> Vec<String> {
        notes(&self.classes, &Part::of(&self.train), &Part::of(&self.test))
    }
}

/// The sentences.
pub(super) fn notes(classes: &[String], train: &Part, test: &Part) -> Vec<String> {
    let counts = train.counts(classes.len());
    let mut notes = vec![format!("training images by class: {}", by_class(classes, &counts))];
    if !test.labels.is_empty() {
        notes.push(format!("test images by class: {}", by_class(classes, &test.counts(classes.len()))));
    }
    notes.extend(uneven(classes, &counts));
    notes.extend(in_both(train, test));
    notes
}

fn extremes(counts: &[usize]) -> Option<(usize, usize)> {
    // Of equals the first.
    let least = (0..counts.len()).min_by_key(|&class| counts[class])?;
    let most = (0..counts.len()).rev().max_by_key(|&class| counts[class])?;
    Some((least, most))
}

fn by_class(classes: &[String], counts: &[usize]) -> String {
    match extremes(counts) {
        Some((least, most)) if classes.len() > NAMED => format!(
            "from {} (`{}`) to {} (`{}`), in {} classes",
            counts[least],
            classes[least],
            counts[most],
            classes[most],
            classes.len()
        ),
        _ => classes.iter().zip(counts).map(|(class, count)| format!("{class} {count}")).collect::<Vec<_>>().join(", "),
    }
}

fn uneven(classes: &[String], counts: &[usize]) -> Option<String> {
    let (least, most) = extremes(counts)?;
    (counts[most] >= UNEVEN * counts[least].max(1)).then(|| {
        format!(
            "the classes are uneven: `{}` has {} training images and `{}` {}, so that accuracy says more of the first; look at it class by class, \
             or add images",
            classes[most], counts[most], classes[least], counts[least]
        )
    })
}

fn in_both(train: &Part, test: &Part) -> Option<String> {
    let known: HashMap<u64, usize> = train.prints.iter().copied().zip(0..).collect();
    let pairs = test.prints.iter().zip(&test.names).filter_map(|(print, name)| {
        let twin = known.get(print)?;
        Some(format!("{name} = {}", train.names[*twin]))
    });
    let mut pairs: Vec<String> = pairs.collect();
    pairs.sort_unstable();
    let (one, several) = (
        "test image is a training image too, and makes the accuracy look better than it is",
        "test images are training images too, and make the accuracy look better than it is",
    );
    (!pairs.is_empty()).then(|| listed(pairs.len(), one, several, &pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(labels: &[u32], prints: &[u64]) -> Part {
        let names = (0..labels.len()).map(|at| format!("{at}.png")).collect();
        Part { labels: labels.into(), prints: prints.into(), names }
    }

    #[test]
    fn counts_unevenness_and_twins_are_said() {
        let classes = ["ant", "bee"].map(String::from);
        let even = notes(&classes, &part(&[0, 1, 0, 1], &[1, 2, 3, 4]), &part(&[0], &[5]));
        assert_eq!(even, ["training images by class: ant 2, bee 2", "test images by class: ant 1, bee 0"]);
        let odd = notes(&classes, &part(&[0, 1, 1, 1], &[1, 2, 3, 4]), &part(&[0, 0], &[5, 3]));
        assert!(odd[2].starts_with("the classes are uneven: `bee` has 3 training images and `ant` 1"), "{odd:?}");
        assert!(odd[3].starts_with("1 test image is a training image too") && odd[3].ends_with(": 1.png = 2.png"), "{odd:?}");
        let many: Vec<String> = (0..30).map(|class| format!("c{class}")).collect();
        let labels: Vec<u32> = (0..30).chain([7]).collect();
        let note = notes(&many, &part(&labels, &[0; 31]), &Part::default()).remove(0);
        assert_eq!(note, "training images by class: from 1 (`c0`) to 2 (`c7`), in 30 classes");
    }
}
