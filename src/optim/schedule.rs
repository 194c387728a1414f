//! The learning rate as a function of how far a run has come. It remembers nothing, so a resumed run needs no state of it.

/// A shape, scaled by its peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// The peak, always.
    Constant,
    /// A straight line up from 0 to the peak, then a straight line down to 0 (Smith and Topin, "Super-Convergence", 2017, in
    /// its triangular form).
    OneCycle {
        /// Share of the run on the way up, at least 0 and below 1.
        warmup: f64,
    },
}

impl Schedule {
    /// The learning rate of `step`, counted from 0, of `total` steps.
    pub fn learning_rate(self, peak: f64, step: u64, total: u64) -> f64 {
        match self {
            Self::Constant => peak,
            Self::OneCycle { warmup } => {
                // The middle of the step: neither the first nor the last step is spent on a learning rate of 0.
                let position = ((step as f64 + 0.5) / total.max(1) as f64).min(1.0);
                peak * if position < warmup { position / warmup } else { (1.0 - position) / (1.0 - warmup) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cycle_is_a_triangle() {
        let schedule = Schedule::OneCycle { warmup: 0.25 };
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
        let schedule = Schedule::OneCycle { warmup: 0.0 };
        assert!(
            (schedule.learning_rate(1.0, 0, 2) - 0.75).abs() < 1e-12 && (schedule.learning_rate(1.0, 1, 2) - 0.25).abs() < 1e-12
        );
    }

    #[test]
    fn constant_is_constant() {
        assert!([0, 5, 9].iter().all(|&step| Schedule::Constant.learning_rate(0.001, step, 10) == 0.001));
    }
}
