//! Which epoch of a run is the best, and whether a better one is still waited for.
//!
//! With a validation set that decides, and the test set never does: it only measures. Nothing here knows weights or files.

use super::event::{EpochRecord, Validation, plural};
use super::recipe::Recipe;
use crate::checkpoint::Preferred;

/// The epoch with the best figures: of equal accuracies the smaller loss, of equal losses the first. They are the validation set's
/// where there is one.
pub(super) fn best(records: &[EpochRecord]) -> Option<&EpochRecord> {
    let figures = |record: &EpochRecord| match &record.validation {
        Some(validation) => (validation.accuracy, validation.loss),
        None => (record.test_accuracy, record.test_loss),
    };
    records.iter().max_by(|a, b| {
        let (a, b, epochs) = (figures(a), figures(b), (a.epoch, b.epoch));
        a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)).then(epochs.1.cmp(&epochs.0))
    })
}

/// The best epoch on the validation set, where the recipe gives that one.
pub(super) fn restored<'a>(recipe: &Recipe, records: &'a [EpochRecord]) -> Option<&'a EpochRecord> {
    best(records).filter(|_| recipe.restores_best())
}

/// The epoch whose parameters a run gives: that, or the last.
pub(super) fn chosen<'a>(recipe: &Recipe, records: &'a [EpochRecord]) -> Option<&'a EpochRecord> {
    restored(recipe, records).or(records.last())
}

/// Whether as many epochs as the recipe waits for have brought nothing better.
pub(super) fn waited_enough(recipe: &Recipe, records: &[EpochRecord]) -> bool {
    waited(records) >= recipe.patience && recipe.patience > 0
}

/// Epochs since the best.
fn waited(records: &[EpochRecord]) -> u32 {
    best(records).map_or(0, |best| records.len() as u32 - best.epoch)
}

/// Why a run ended where it did and gives what it gives, in a sentence, where that is not its last epoch's because all are over.
pub(super) fn note(recipe: &Recipe, records: &[EpochRecord]) -> Option<String> {
    let (over, epochs) = (records.len(), recipe.epochs);
    let early = ((over as u32) < epochs && recipe.validation_share > 0.0).then(|| {
        format!("ended after epoch {over} of {epochs}, {} without a better one", plural(waited(records) as usize, "epoch"))
    });
    let best = preferred(recipe, records).map(|best| format!("the model is epoch {}'s, {}", best.version, best.because));
    let parts: Vec<String> = early.into_iter().chain(best).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What is to answer for a run, of whose epochs each is a version, where its validation set has chosen one: the epoch that
/// [`chosen`] gives.
pub(super) fn preferred(recipe: &Recipe, records: &[EpochRecord]) -> Option<Preferred> {
    let best = restored(recipe, records)?;
    Some(Preferred { version: best.epoch.into(), because: because(best.validation.as_ref()?) })
}

fn because(validation: &Validation) -> String {
    format!("the best on {} validation images ({:.2} %)", validation.images, 100.0 * validation.accuracy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs with these accuracies on the validation set, and the other way round on the test set.
    fn records(accuracies: &[f64], validated: bool) -> Vec<EpochRecord> {
        let record = |(&accuracy, epoch): (&f64, u32)| EpochRecord {
            epoch,
            epochs: 9,
            train_loss: 1.0,
            train_accuracy: 0.5,
            validation: validated.then_some(Validation { loss: 1.0, accuracy, images: 50, best_epoch: None }),
            test_loss: 1.0,
            test_accuracy: 1.0 - accuracy,
            test_images: 100,
            learning_rate: 0.1,
            images_per_second: 1.0,
            elapsed_seconds: 1.0,
        };
        accuracies.iter().zip(1..).map(record).collect()
    }

    fn recipe(patience: u32) -> Recipe {
        let recipe = Recipe::named("default").unwrap();
        Recipe { validation_share: 0.1, patience, epochs: 9, ..recipe }
    }

    #[test]
    fn the_validation_set_decides_where_there_is_one() {
        let accuracies = [0.2, 0.6, 0.4, 0.6, 0.1];
        let epoch = |records: &[EpochRecord]| best(records).unwrap().epoch;
        assert_eq!(epoch(&records(&accuracies, true)), 2, "the first of equals");
        assert_eq!(epoch(&records(&accuracies, false)), 5);
        let mut equal = records(&accuracies, true);
        equal[3].validation.as_mut().unwrap().loss = 0.5;
        assert_eq!(epoch(&equal), 4, "the smaller loss");
        assert_eq!(chosen(&recipe(0), &equal).unwrap().epoch, 4);
        let expected = Preferred { version: 4, because: "the best on 50 validation images (60.00 %)".into() };
        let plain = Recipe { validation_share: 0.0, ..recipe(0) };
        assert_eq!((preferred(&recipe(0), &equal), preferred(&plain, &records(&accuracies, false))), (Some(expected), None));
        assert_eq!(chosen(&plain, &records(&accuracies, false)).unwrap().epoch, 5);
        assert!(note(&plain, &records(&accuracies, false)).is_none() && best(&[]).is_none());
    }

    #[test]
    fn patience_counts_the_epochs_since_the_best() {
        let over = records(&[0.2, 0.6, 0.4, 0.5], true);
        let enough = |patience| waited_enough(&recipe(patience), &over);
        assert_eq!([0, 1, 2, 3].map(enough), [false, true, true, false]);
        assert_eq!(
            note(&recipe(2), &over).unwrap(),
            "ended after epoch 4 of 9, 2 epochs without a better one; the model is epoch 2's, the best on 50 validation images (60.00 %)"
        );
        let all = Recipe { epochs: 4, ..recipe(0) };
        assert_eq!(note(&all, &over).unwrap(), "the model is epoch 2's, the best on 50 validation images (60.00 %)");
    }

    #[test]
    fn a_recipe_may_want_the_last_epoch_whatever_the_validation_set_says() {
        let over = records(&[0.2, 0.6, 0.4, 0.5], true);
        let last = Recipe { restore_best: false, ..recipe(2) };
        assert_eq!((chosen(&last, &over).unwrap().epoch, preferred(&last, &over)), (4, None));
        assert!(waited_enough(&last, &over));
        assert_eq!(note(&last, &over).unwrap(), "ended after epoch 4 of 9, 2 epochs without a better one");
        assert_eq!(note(&Recipe { epochs: 4, ..last }, &over), None);
    }
}
