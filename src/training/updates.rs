//! Which rule moves which parameter at which step of a run: a recipe's groups and schedules, with their numbers.

use super::recipe::groups::assigned;
use super::recipe::{Optimizer, Recipe};
use crate::network::LayerShape;
use crate::network::shape::Role;
use crate::network::weights::specs;
use crate::optim::{AdamW, Muon, Rule, Schedule, Sgd};

/// The rules of a run. They remember nothing of the steps before.
pub(super) struct Updates {
    /// Those of no group, then the groups'.
    sets: Vec<Set>,
    /// Of each trained parameter its set, and whether it decays.
    parameters: Vec<(usize, bool)>,
    /// The rules of one step.
    rules: Vec<Rule>,
}

/// Parameters that are trained alike.
struct Set {
    recipe: Recipe,
    schedule: Schedule,
    /// The first step that moves them, and the first that does not any more.
    steps: [u64; 2],
}

impl Updates {
    /// For a network of these layers, an epoch having so many steps.
    pub(super) fn new(recipe: &Recipe, layers: &[LayerShape], steps_an_epoch: u64) -> Self {
        let an_epoch = steps_an_epoch as f64;
        let total = u64::from(recipe.epochs) * steps_an_epoch;
        // A part of an epoch ends with the step that it ends in.
        let steps = |epochs: f64| ((epochs * an_epoch).ceil() as u64).min(total);
        let set = |recipe: &Recipe, from: u64, until: u64| {
            let mut schedule = recipe.schedule(an_epoch);
            schedule.begin_at(from as f64);
            Set { recipe: recipe.clone(), schedule, steps: [from, until] }
        };
        let mut sets = vec![set(recipe, 0, total)];
        for group in &recipe.groups {
            let from = group.frozen_until.map_or(0, steps);
            sets.push(set(&recipe.of_group(group), from, group.frozen_from.map_or(total, steps).max(from)));
        }
        let trained = specs(layers).filter(|spec| spec.role.trained());
        let parameters = trained.zip(assigned(&recipe.groups, layers)).map(|(spec, group)| {
            let own = group.is_some_and(|at| recipe.groups[at].weight_decay.is_some());
            (group.map_or(0, |at| at + 1), own || spec.role == Role::Weight)
        });
        Self { parameters: parameters.collect(), sets, rules: Vec::new() }
    }

    /// The learning rate, at `step` of the run from 0, of parameters in no group.
    pub(super) fn learning_rate(&self, step: u64) -> f64 {
        self.sets[0].learning_rate(step)
    }

    /// Of each trained parameter the rule that moves it when it first moves: every set has one optimizer all along.
    pub(super) fn first(&self) -> Vec<Rule> {
        self.parameters.iter().map(|&(set, _)| self.sets[set].rule(self.sets[set].steps[0])).collect()
    }

    /// The rule of each trained parameter at `step` of the run, from 0.
    pub(super) fn at(&mut self, step: u64) -> &[Rule] {
        let sets: Vec<Rule> = self.sets.iter().map(|set| set.rule(step)).collect();
        self.rules.clear();
        let rules = self.parameters.iter().map(|&(set, decays)| if decays { sets[set] } else { sets[set].without_decay() });
        self.rules.extend(rules);
        &self.rules
    }
}

impl Set {
    fn learning_rate(&self, step: u64) -> f64 {
        let [from, until] = self.steps;
        self.schedule.learning_rate(self.recipe.learning_rate, step.saturating_sub(from), until - from)
    }

    fn rule(&self, step: u64) -> Rule {
        let [from, until] = self.steps;
        if !(from..until).contains(&step) {
            return Rule::Frozen;
        }
        let (learning_rate, own) = (self.learning_rate(step), step - from);
        let Recipe { momentum, nesterov, weight_decay, betas, eps, ns_steps, .. } = self.recipe;
        let every = u64::from(self.recipe.renormalize_every);
        match self.recipe.optimizer {
            Optimizer::Sgd => Rule::Sgd(Sgd {
                learning_rate: learning_rate as f32,
                momentum: momentum as f32,
                nesterov,
                weight_decay: weight_decay as f32,
            }),
            Optimizer::Adamw => Rule::AdamW(AdamW { learning_rate, betas, eps, weight_decay, step: own + 1 }),
            Optimizer::Muon => Rule::Muon(Muon {
                learning_rate: learning_rate as f32,
                momentum: momentum as f32,
                nesterov,
                weight_decay: weight_decay as f32,
                ns_steps,
                renormalize: every > 0 && own.is_multiple_of(every),
                adjust_lr: self.recipe.adjust_lr.into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{infer, presets};

    fn updates(text: &str) -> Updates {
        let layers = infer(&presets::named("tutorial").unwrap()).unwrap();
        Updates::new(&Recipe::from_toml(text).unwrap(), &layers, 10)
    }

    #[test]
    fn without_groups_weights_decay_and_the_rest_does_not() {
        let mut updates = updates("epochs = 2\nschedule = 'constant'\nweight_decay = 0.5");
        let decays: Vec<bool> =
            updates.at(3).iter().map(|rule| matches!(rule, Rule::Sgd(sgd) if sgd.weight_decay == 0.5)).collect();
        assert_eq!(decays, [true, false, true, false, true, false, true, false]);
        assert_eq!(updates.learning_rate(3), 0.02);
    }

    #[test]
    fn a_group_moves_between_its_ends_along_its_own_schedule() {
        let mut updates = updates(
            "epochs = 4\nschedule = 'one_cycle'\nwarmup = 0\n\
             [[groups]]\nlayers = ['conv1']\nroles = ['bias']\nlearning_rate = 1\nweight_decay = 0.25\nfrozen_from = 1.45\n\
             [[groups]]\nroles = ['filters']\noptimizer = 'muon'\nrenormalize_every = 2\nfrozen_until = 2\n\
             [[groups]]\nlayers = ['fc4']\nfrozen_from = 0",
        );
        let rate = |rule: Rule| match rule {
            Rule::Sgd(sgd) => f64::from(sgd.learning_rate),
            Rule::Muon(muon) => f64::from(muon.learning_rate),
            _ => 0.0,
        };
        // The bias: a straight line over 15 steps, and decay because its group says so.
        let first = updates.at(0).to_vec();
        assert!(
            (rate(first[1]) - (1.0 - 0.5 / 15.0)).abs() < 1e-6 && matches!(first[1], Rule::Sgd(sgd) if sgd.weight_decay == 0.25)
        );
        assert!(rate(updates.at(14)[1]) > 0.0);
        assert_eq!(updates.at(15)[1], Rule::Frozen);
        // The filters: from the third epoch on.
        assert_eq!((first[0], updates.at(19)[0]), (Rule::Frozen, Rule::Frozen));
        assert!((rate(updates.at(20)[0]) - 0.02 * (1.0 - 0.5 / 20.0)).abs() < 1e-6);
        let renormalized: Vec<bool> =
            (20..24).map(|step| matches!(updates.at(step)[2], Rule::Muon(muon) if muon.renormalize)).collect();
        assert_eq!(renormalized, [true, false, true, false]);
        assert!((0..40).all(|step| updates.at(step)[6..] == [Rule::Frozen; 2]));
        let first = updates.first();
        assert!(matches!(first[0], Rule::Muon(_)) && matches!(first[4], Rule::Sgd(_)) && first[6] == Rule::Frozen);
    }

    #[test]
    fn adamw_counts_the_steps_that_its_parameters_moved_in() {
        let mut updates = updates("epochs = 2\n[[groups]]\nlayers = ['fc4']\noptimizer = 'adamw'\nfrozen_until = 1");
        assert_eq!(updates.at(9)[6], Rule::Frozen);
        assert!(matches!(updates.at(10)[6], Rule::AdamW(AdamW { step: 1, .. })));
        assert!(matches!(updates.at(12)[7], Rule::AdamW(AdamW { step: 3, weight_decay: 0.0, .. })));
    }
}
