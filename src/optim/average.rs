//! The exponential moving average of parameters: usually better on unseen images than the last step's parameters, and smoother
//! from epoch to epoch.

/// An average of slices that always come in the same order and lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Ema {
    decay: f64,
    values: Vec<Vec<f32>>,
}

impl Ema {
    /// Starts at `values`. `decay`, at least 0 and below 1, is the share of the average that one step of training keeps.
    pub fn new(decay: f64, values: Vec<Vec<f32>>) -> Self {
        Self { decay, values }
    }

    /// Takes in the parameters after `step` steps of the run, `since` steps after they were last taken in.
    ///
    /// Early on less is kept, (1 + step) / (10 + step) a step, so that the first, random values are soon forgotten (as
    /// `tf.train.ExponentialMovingAverage` does with `num_updates`).
    ///
    /// # Panics
    /// Where `parameters` are not the slices it started with.
    pub fn update<'a>(&mut self, parameters: impl Iterator<Item = &'a [f32]>, step: u64, since: u64) {
        let early = (1.0 + step as f64) / (10.0 + step as f64);
        let keep = self.decay.min(early).powf(since as f64);
        let take = (1.0 - keep) as f32;
        let mut taken = 0;
        for (average, now) in self.values.iter_mut().zip(parameters) {
            assert_eq!(average.len(), now.len());
            average.iter_mut().zip(now).for_each(|(average, now)| *average += take * (now - *average));
            taken += 1;
        }
        assert_eq!(taken, self.values.len());
    }

    /// The averages, in the order of the parameters.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_weighted_sum_of_what_it_saw() {
        let mut average = Ema::new(0.5, vec![vec![0.0], vec![8.0, 8.0]]);
        for value in [4.0f32, 2.0] {
            let seen = [vec![value], vec![value, 0.0]];
            average.update(seen.iter().map(Vec::as_slice), 1000, 1);
        }
        assert_eq!(average.values(), [vec![2.0], vec![4.0, 2.0]]);
    }

    #[test]
    fn two_steps_at_once_keep_what_two_steps_keep() {
        let mut one_by_one = Ema::new(0.9, vec![vec![1.0]]);
        let mut at_once = one_by_one.clone();
        let now = [3.0f32];
        one_by_one.update([&now[..]].into_iter(), 1000, 1);
        one_by_one.update([&now[..]].into_iter(), 1001, 1);
        at_once.update([&now[..]].into_iter(), 1001, 2);
        assert!((one_by_one.values()[0][0] - at_once.values()[0][0]).abs() < 1e-6);
    }

    #[test]
    fn the_first_values_are_soon_forgotten() {
        let mut average = Ema::new(0.999, vec![vec![1000.0]]);
        for step in 1..=100 {
            average.update([&[1.0f32][..]].into_iter(), step, 1);
        }
        assert!((average.values()[0][0] - 1.0).abs() < 0.1, "{:?}", average.values());
    }
}
