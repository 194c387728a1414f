//! The learning rate as a function of how far a run has come. It remembers nothing, so a resumed run needs no state of it.

use std::f64::consts::PI;

/// A shape, scaled by its peak.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// What the rate does once it is warm.
    pub shape: Shape,
    /// Steps of a straight line up from `start_factor` to 1 before that, which any shape may have.
    pub warmup_steps: f64,
    /// Share of the peak that a way up starts from.
    pub start_factor: f64,
    /// Share of the peak that a one-cycle or cosine schedule ends at.
    pub end_factor: f64,
}

/// What a rate does once it is warm.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// The peak, always.
    Constant,
    /// A straight line up to the peak, then a straight line down (Smith and Topin, "Super-Convergence", 2017, in its triangular
    /// form).
    OneCycle {
        /// Share of the run on the way up, at least 0 and below 1.
        warmup: f64,
    },
    /// Half a cosine wave down (Loshchilov and Hutter, "SGDR", 2016, without restarts).
    Cosine,
    /// Multiplied at some steps (`torch.optim.lr_scheduler.MultiStepLR`).
    Step {
        /// These steps, from 0.
        milestones: Vec<f64>,
        /// What by.
        gamma: f64,
    },
}

impl Schedule {
    /// `shape` from 0 and to 0, without further warm-up.
    pub fn of(shape: Shape) -> Self {
        Self { shape, warmup_steps: 0.0, start_factor: 0.0, end_factor: 0.0 }
    }

    /// Counts from the step at `first` of a run on: its milestones are that much earlier.
    pub fn begin_at(&mut self, first: f64) {
        if let Shape::Step { milestones, .. } = &mut self.shape {
            for milestone in milestones {
                *milestone -= first;
            }
        }
    }

    /// The learning rate of `step`, counted from 0, of `total` steps.
    pub fn learning_rate(&self, peak: f64, step: u64, total: u64) -> f64 {
        // The middle of the step: neither the first nor the last step is spent on a learning rate of 0.
        let middle = step as f64 + 0.5;
        let (start, end) = (self.start_factor, self.end_factor);
        if middle < self.warmup_steps {
            return peak * (start + (1.0 - start) * (middle / self.warmup_steps));
        }
        let left = (total.max(1) as f64 - self.warmup_steps).max(1.0);
        let position = ((middle - self.warmup_steps) / left).min(1.0);
        match &self.shape {
            Shape::Constant => peak,
            Shape::OneCycle { warmup } if position < *warmup => peak * (start + (1.0 - start) * (position / warmup)),
            Shape::OneCycle { warmup } => peak * (end + (1.0 - end) * ((1.0 - position) / (1.0 - warmup))),
            Shape::Cosine => peak * (end + (1.0 - end) * 0.5 * (1.0 + (PI * position).cos())),
            Shape::Step { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&milestone| step as f64 >= milestone).count();
                peak * gamma.powi(passed as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: &Schedule, total: u64) -> Vec<f64> {
        (0..total).map(|step| schedule.learning_rate(1.0, step, total)).collect()
    }

    fn assert_near(found: &[f64], expected: &[f64]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn one_cycle_is_a_triangle() {
        let schedule = Schedule::of(Shape::OneCycle { warmup: 0.25 });
        let rates: Vec<f64> = (0..1000).map(|step| schedule.learning_rate(0.02, step, 1000)).collect();
        assert!(rates[..250].windows(2).all(|pair| pair[0] < pair[1]) && rates[250..].windows(2).all(|pair| pair[0] > pair[1]));
        assert!(rates.iter().all(|&rate| rate > 0.0 && rate <= 0.02));
        for (step, share) in [(0, 0.002), (124, 0.498), (250, 0.9993), (625, 0.4993), (999, 0.000_667)] {
            assert!((rates[step] / 0.02 - share).abs() < 1e-3, "step {step}: {}", rates[step]);
        }
        let mean = rates.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.01).abs() < 1e-6, "half the peak on average: {mean}");
    }

    #[test]
    fn without_warm_up_it_only_falls() {
        assert_near(&rates(&Schedule::of(Shape::OneCycle { warmup: 0.0 }), 2), &[0.75, 0.25]);
    }

    #[test]
    fn a_way_up_starts_and_a_way_down_ends_where_it_is_told() {
        let schedule = Schedule { start_factor: 0.2, end_factor: 0.1, ..Schedule::of(Shape::OneCycle { warmup: 0.5 }) };
        assert_near(&rates(&schedule, 4), &[0.4, 0.8, 0.775, 0.325]);
    }

    #[test]
    fn constant_is_constant_and_warms_up_where_it_is_asked_to() {
        let constant = Schedule::of(Shape::Constant);
        assert!([0, 5, 9].iter().all(|&step| constant.learning_rate(0.001, step, 10) == 0.001));
        let warm = Schedule { warmup_steps: 2.0, ..constant };
        assert_near(&rates(&warm, 4), &[0.25, 0.75, 1.0, 1.0]);
        // However long the run becomes.
        assert_near(&rates(&warm, 400)[..3], &[0.25, 0.75, 1.0]);
    }

    #[test]
    fn a_cosine_falls_slowly_at_both_ends() {
        let at = |position: f64| 0.5 * (1.0 + (PI * position).cos());
        assert_near(&rates(&Schedule::of(Shape::Cosine), 4), &[at(0.125), at(0.375), at(0.625), at(0.875)]);
        let warm = Schedule { warmup_steps: 1.0, end_factor: 0.5, ..Schedule::of(Shape::Cosine) };
        assert_near(&rates(&warm, 3), &[0.5, 0.5 + 0.5 * at(0.25), 0.5 + 0.5 * at(0.75)]);
    }

    #[test]
    fn steps_fall_at_their_milestones() {
        let schedule = Schedule::of(Shape::Step { milestones: vec![2.0, 3.0], gamma: 0.1 });
        assert_near(&rates(&schedule, 5), &[1.0, 1.0, 0.1, 0.01, 0.01]);
        let mut later = schedule;
        later.begin_at(2.0);
        assert_near(&rates(&later, 2), &[0.1, 0.01]);
    }
}
