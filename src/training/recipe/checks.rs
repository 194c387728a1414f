//! Numbers of a recipe and their ranges.

use super::{Group, Recipe, ScheduleKind};
use crate::dataset::Augmentation;

/// A key, its value, whether that is in its range, and the range.
type Check = (&'static str, f64, bool, &'static str);

const BELOW_ONE: &str = "at least 0 and below 1";

fn share(value: f64) -> bool {
    (0.0..1.0).contains(&value)
}

impl Recipe {
    /// Every number that is outside its range.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut checks = vec![
            ("warmup", self.warmup, share(self.warmup), BELOW_ONE),
            ("warmup_epochs", self.warmup_epochs, (0.0..=1e5).contains(&self.warmup_epochs), "between 0 and 100000"),
            ("start_factor", self.start_factor, (0.0..=1.0).contains(&self.start_factor), "between 0 and 1"),
            ("end_factor", self.end_factor, (0.0..=1.0).contains(&self.end_factor), "between 0 and 1"),
            ("gamma", self.gamma, self.gamma > 0.0 && self.gamma <= 10.0, "above 0, and at most 10"),
            ("batch_size", self.batch_size as f64, (1..=65_536).contains(&self.batch_size), "between 1 and 65536"),
            ("epochs", self.epochs.into(), (1..=100_000).contains(&self.epochs), "between 1 and 100000"),
            ("label_smoothing", self.label_smoothing, share(self.label_smoothing), BELOW_ONE),
            ("ema_decay", self.ema_decay, share(self.ema_decay), BELOW_ONE),
            ("last_std", self.last_std, (0.0..=10.0).contains(&self.last_std), "between 0 and 10"),
            ("whitening_eps", self.whitening_eps, (1e-12..=1.0).contains(&self.whitening_eps), "between 1e-12 and 1"),
            ("seed", self.seed as f64, self.seed < 1 << 53, "below 9007199254740992"),
        ];
        let Augmentation { rotation, brightness, contrast, .. } = self.augmentation;
        let most = "between 0 and 1";
        checks.extend([
            ("augmentation.rotation", rotation, (0.0..=180.0).contains(&rotation), "between 0 and 180"),
            ("augmentation.brightness", brightness, (0.0..=1.0).contains(&brightness), most),
            ("augmentation.contrast", contrast, (0.0..=1.0).contains(&contrast), most),
            ("mixup", self.mixup, (0.0..=4.0).contains(&self.mixup), "between 0 and 4"),
            ("validation_share", self.validation_share, share(self.validation_share), BELOW_ONE),
            ("patience", self.patience.into(), self.patience <= 100_000, "at most 100000"),
        ]);
        let lookahead = self.lookahead;
        checks.push((
            "lookahead.alpha",
            lookahead.alpha,
            lookahead.alpha > 0.0 && lookahead.alpha <= 1.0,
            "above 0, and at most 1",
        ));
        checks.push(("lookahead.power", lookahead.power, (0.0..=100.0).contains(&lookahead.power), "between 0 and 100"));
        checks.extend(self.dropout.values().map(|&p| ("dropout", p, share(p), BELOW_ONE)));
        checks.extend(self.milestones.iter().map(|&m| ("milestones", m, (0.0..=1e5).contains(&m), "between 0 and 100000")));
        let mut faults = outside("", &checks);
        faults.extend(self.rule_faults(""));
        if self.schedule == ScheduleKind::OneCycle && self.warmup_epochs > 0.0 {
            faults.push("`warmup_epochs` is of the other schedules: a one-cycle schedule goes up by its share `warmup`".into());
        }
        if self.augmentation.alternating && !self.augmentation.flip {
            faults.push("`augmentation.alternating` says when images are mirrored: set `augmentation.flip` to true".into());
        }
        if self.patience > 0 && self.validation_share == 0.0 {
            faults.push("`patience` waits for a better epoch on the validation images: set `validation_share` above 0".into());
        }
        if self.calibrate && self.validation_share == 0.0 {
            faults.push("`calibrate` fits a temperature to the validation images: set `validation_share` above 0".into());
        }
        for (at, group) in self.groups.iter().enumerate() {
            let place = format!("groups[{at}].");
            // A number that is the recipe's own is said once.
            let common = self.rule_faults(&place);
            faults.extend(self.of_group(group).rule_faults(&place).into_iter().filter(|fault| !common.contains(fault)));
            faults.extend(group.frozen_faults(&place));
        }
        faults
    }

    /// Of those that an update rule has.
    fn rule_faults(&self, place: &str) -> Vec<String> {
        let rate = self.learning_rate;
        let checks = [
            ("learning_rate", rate, rate > 0.0 && rate <= 100.0, "above 0, and at most 100"),
            ("momentum", self.momentum, share(self.momentum), BELOW_ONE),
            ("weight_decay", self.weight_decay, (0.0..=1e5).contains(&self.weight_decay), "between 0 and 100000"),
            ("betas", self.betas[0], share(self.betas[0]), BELOW_ONE),
            ("betas", self.betas[1], share(self.betas[1]), BELOW_ONE),
            ("eps", self.eps, self.eps > 0.0 && self.eps <= 1.0, "above 0, and at most 1"),
            ("ns_steps", self.ns_steps.into(), (1..=20).contains(&self.ns_steps), "between 1 and 20"),
        ];
        let mut faults = outside(place, &checks);
        if self.nesterov && self.momentum == 0.0 {
            faults.push(format!(
                "`{place}nesterov` looks ahead along the momentum: set `{place}momentum` above 0, or `{place}nesterov` to false"
            ));
        }
        faults
    }
}

impl Group {
    fn frozen_faults(&self, place: &str) -> Vec<String> {
        let ends = [("frozen_until", self.frozen_until), ("frozen_from", self.frozen_from)];
        let given = ends.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let checks: Vec<Check> =
            given.map(|(key, value)| (key, value, (0.0..=1e5).contains(&value), "between 0 and 100000")).collect();
        let mut faults = outside(place, &checks);
        if let (Some(until), Some(from)) = (self.frozen_until, self.frozen_from)
            && until >= from
        {
            faults.push(format!("`{place}frozen_until` is {until}: it must be below `frozen_from`, which is {from}"));
        }
        faults
    }
}

fn outside(place: &str, checks: &[Check]) -> Vec<String> {
    let outside = checks.iter().filter(|(_, _, holds, _)| !holds);
    outside.map(|(key, value, _, range)| format!("`{place}{key}` is {value}: it must be {range}")).collect()
}
