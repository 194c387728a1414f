//! Which rule moves which parameter in a step, and what the kernels make of it.

use super::error::Error;
use super::shape::{ParameterSpec, Role};
use crate::kernels::{adamw, newton_schulz, sgd};
use crate::optim::{AdamW, Muon, Rule, Sgd, muon};

/// What moves each trained parameter in one step.
#[derive(Debug, Clone, Copy)]
pub enum Rules<'a> {
    /// The same for all; its weight decay for filters and matrices only, as is usual.
    All(Rule),
    /// One for each trained parameter, in the architecture's order.
    Each(&'a [Rule]),
}

impl Rules<'_> {
    /// Of the trained parameter at position `at` among them.
    pub(super) fn of(self, at: usize, role: Role) -> Rule {
        match self {
            Self::All(rule) if role == Role::Weight => rule,
            Self::All(rule) => rule.without_decay(),
            Self::Each(rules) => rules[at],
        }
    }

    /// Refuses rules that are not as many as the parameters, and Muon where there is no matrix.
    pub(super) fn check<'a>(self, trained: impl Iterator<Item = &'a ParameterSpec>) -> Result<(), Error> {
        let mut count = 0;
        for spec in trained {
            let by_muon = match self {
                Self::All(rule) => matches!(rule, Rule::Muon(_)),
                Self::Each(rules) => matches!(rules.get(count), Some(Rule::Muon(_))),
            };
            if by_muon && spec.shape.len() < 2 {
                let name = &spec.name;
                return Err(Error::Network(format!("cannot move `{name}` by Muon, which moves filters and matrices")));
            }
            count += 1;
        }
        match self {
            Self::Each(rules) if rules.len() != count => {
                Err(Error::Network(format!("has {count} trained parameters, and there are {} rules", rules.len())))
            }
            _ => Ok(()),
        }
    }
}

impl From<Sgd> for sgd::Sgd {
    fn from(Sgd { learning_rate, momentum, nesterov, weight_decay }: Sgd) -> Self {
        Self { learning_rate, momentum, nesterov, weight_decay }
    }
}

impl From<AdamW> for adamw::AdamW {
    fn from(AdamW { learning_rate, betas, eps, weight_decay, step }: AdamW) -> Self {
        Self::new(learning_rate, betas, eps, weight_decay, step)
    }
}

impl From<Muon> for newton_schulz::NewtonSchulz {
    fn from(Muon { ns_steps, .. }: Muon) -> Self {
        Self { coefficients: muon::COEFFICIENTS, eps: muon::NORM_EPS, steps: ns_steps }
    }
}

/// Rows and columns of filters or a matrix, as Muon sees them.
pub(super) fn matrix(shape: &[usize]) -> [usize; 2] {
    [shape[0], shape[1..].iter().product()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{infer, presets, weights::specs};
    use crate::optim::AdjustLr;

    #[test]
    fn rules_that_do_not_fit_are_refused() {
        let layers = infer(&presets::named("tutorial").unwrap()).unwrap();
        let trained = || specs(&layers).filter(|spec| spec.role.trained());
        let sgd = Rule::Sgd(Sgd { learning_rate: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.5 });
        let muon = Rule::Muon(Muon {
            learning_rate: 0.1,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.0,
            ns_steps: 5,
            renormalize: false,
            adjust_lr: AdjustLr::None,
        });
        let count = trained().count();
        assert!(Rules::All(sgd).check(trained()).is_ok());
        assert!(Rules::Each(&vec![sgd; count]).check(trained()).is_ok());
        for wrong in [count - 1, count + 1] {
            assert!(Rules::Each(&vec![sgd; wrong]).check(trained()).is_err(), "{wrong} rules");
        }
        let refused = Rules::All(muon).check(trained()).unwrap_err().to_string();
        assert!(refused.contains("`conv1.bias`"), "{refused}");
        assert_eq!(Rules::All(sgd).of(0, Role::Weight), sgd);
        assert_eq!(Rules::All(sgd).of(1, Role::Bias), sgd.without_decay());
        assert_eq!(matrix(&[4, 3, 2, 2]), [4, 12]);
    }
}
