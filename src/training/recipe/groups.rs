//! Groups of parameters that are trained otherwise than the rest of a network: which they are, and what is other.

use serde::{Deserialize, Serialize};

use super::{AdjustLrKind, Optimizer, Recipe};
use crate::network::shape::{LayerShape, ParameterSpec, Role};
use crate::words::nearest;

/// Every key of a [`Group`].
pub const GROUP_KEYS: [&str; 14] = [
    "layers",
    "roles",
    "optimizer",
    "learning_rate",
    "momentum",
    "nesterov",
    "weight_decay",
    "betas",
    "eps",
    "ns_steps",
    "renormalize_every",
    "adjust_lr",
    "frozen_until",
    "frozen_from",
];

/// Some parameters; a key that is not given is the recipe's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// Whose: names of layers, or the beginnings of such before a `*`; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// Which of theirs; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<GroupRole>,
    /// The update rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<Optimizer>,
    /// Step length at the schedule's peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Share of the previous step that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// Looks ahead along the momentum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesterov: Option<bool>,
    /// Pull towards 0 of all parameters of the group, biases too; the recipe's own is of weights only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Shares of AdamW's means that one step keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub betas: Option<[f64; 2]>,
    /// Added to the root that AdamW divides by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// Muon's iterations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_steps: Option<u32>,
    /// Steps from one bringing of Muon's weights to their norm to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renormalize_every: Option<u32>,
    /// How Muon's step length follows a matrix's shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjust_lr: Option<AdjustLrKind>,
    /// Epochs before which nothing of the group moves; its schedule begins there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<f64>,
    /// Epochs from which on nothing of the group moves; its schedule ends there. 0 for never trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_from: Option<f64>,
}

/// What a parameter is to its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupRole {
    /// A convolution's weights.
    Filters,
    /// A fully connected layer's weights.
    Matrix,
    /// What a convolution or a fully connected layer adds.
    Bias,
    /// What a batch norm multiplies with.
    Scale,
    /// What a batch norm adds.
    Shift,
}

impl GroupRole {
    fn of(layer: &LayerShape, spec: &ParameterSpec) -> Self {
        match spec.role {
            Role::Weight if spec.shape.len() > 2 => Self::Filters,
            Role::Weight => Self::Matrix,
            Role::Scale => Self::Scale,
            _ if layer.parameters.iter().any(|other| other.role == Role::Scale) => Self::Shift,
            _ => Self::Bias,
        }
    }
}

impl Group {
    fn names(&self, layer: &str) -> bool {
        self.layers.is_empty() || self.layers.iter().any(|name| matches(name, layer))
    }

    fn holds(&self, layer: &LayerShape, spec: &ParameterSpec) -> bool {
        self.names(&layer.name) && (self.roles.is_empty() || self.roles.contains(&GroupRole::of(layer, spec)))
    }

    /// Names of layers that there are none of, one sentence each.
    fn unknown(&self, layers: &[LayerShape]) -> Vec<String> {
        let known: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        let strange = self.layers.iter().filter(|name| !known.iter().any(|layer| matches(name, layer)));
        let sentence = |name: &String| match nearest(name, &known) {
            Some(near) => format!("there is no layer `{name}`; did you mean `{near}`?"),
            None => format!("there is no layer `{name}`; the layers are {}", known.join(", ")),
        };
        strange.map(sentence).collect()
    }
}

/// Whether a layer is one that `name` names.
fn matches(name: &str, layer: &str) -> bool {
    name.strip_suffix('*').map_or(name == layer, |beginning| layer.starts_with(beginning))
}

/// The group of each trained parameter, in order; none for those in no group.
pub(in crate::training) fn assigned(groups: &[Group], layers: &[LayerShape]) -> Vec<Option<usize>> {
    trained(layers).map(|(layer, spec)| groups.iter().position(|group| group.holds(layer, spec))).collect()
}

fn trained(layers: &[LayerShape]) -> impl Iterator<Item = (&LayerShape, &ParameterSpec)> {
    let of = |layer| -> (&LayerShape, _) { (layer, layer.parameters.iter().filter(|spec: &&ParameterSpec| spec.role.trained())) };
    layers.iter().map(of).flat_map(|(layer, specs)| specs.map(move |spec| (layer, spec)))
}

impl Recipe {
    /// As the parameters of `group` are trained.
    pub(in crate::training) fn of_group(&self, group: &Group) -> Self {
        let mut own = Self { groups: Vec::new(), ..self.clone() };
        own.optimizer = group.optimizer.unwrap_or(own.optimizer);
        own.learning_rate = group.learning_rate.unwrap_or(own.learning_rate);
        own.momentum = group.momentum.unwrap_or(own.momentum);
        own.nesterov = group.nesterov.unwrap_or(own.nesterov);
        own.weight_decay = group.weight_decay.unwrap_or(own.weight_decay);
        own.betas = group.betas.unwrap_or(own.betas);
        own.eps = group.eps.unwrap_or(own.eps);
        own.ns_steps = group.ns_steps.unwrap_or(own.ns_steps);
        own.renormalize_every = group.renormalize_every.unwrap_or(own.renormalize_every);
        own.adjust_lr = group.adjust_lr.unwrap_or(own.adjust_lr);
        own
    }

    /// What of the groups does not fit a network of these `layers`.
    pub(super) fn group_faults(&self, layers: &[LayerShape]) -> Vec<String> {
        let mut faults = Vec::new();
        let assigned = assigned(&self.groups, layers);
        for (at, group) in self.groups.iter().enumerate() {
            let strange = group.unknown(layers);
            if strange.is_empty() && !assigned.contains(&Some(at)) {
                faults.push(format!("`groups[{at}]` holds no parameter of this network that an earlier group does not hold"));
            }
            faults.extend(strange.into_iter().map(|sentence| format!("`groups[{at}].layers`: {sentence}")));
        }
        for ((_, spec), group) in trained(layers).zip(assigned) {
            let group = group.map(|at| &self.groups[at]);
            let optimizer = group.and_then(|group| group.optimizer).unwrap_or(self.optimizer);
            let never = group.and_then(|group| group.frozen_from) == Some(0.0);
            if optimizer == Optimizer::Muon && spec.shape.len() < 2 && !never {
                faults.push(format!(
                    "Muon moves filters and matrices, and `{}` is neither: let `optimizer` be `sgd` or `adamw`, and `muon` in a group \
                     with `roles = [\"filters\"]`, as the recipe `muon` has it",
                    spec.name
                ));
                break;
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{infer, presets};
    use crate::training::Recipe;

    fn recipe(groups: &str) -> Recipe {
        Recipe::from_toml(groups).unwrap()
    }

    #[test]
    fn the_first_group_that_holds_a_parameter_counts() {
        let layers = infer(&presets::named("tutorial").unwrap()).unwrap();
        let recipe = recipe(
            "[[groups]]\nlayers = ['conv1']\nroles = ['bias']\n[[groups]]\nroles = ['filters']\n[[groups]]\nlayers = ['fc*', 'conv2']",
        );
        let expected = [Some(1), Some(0), Some(1), Some(2), Some(2), Some(2), Some(2), Some(2)];
        assert_eq!(assigned(&recipe.groups, &layers), expected);
        assert_eq!(recipe.group_faults(&layers), [""; 0]);
    }

    #[test]
    fn groups_that_hold_nothing_are_named_with_the_nearest_layer() {
        let layers = infer(&presets::named("tutorial").unwrap()).unwrap();
        let recipe = recipe(
            "[[groups]]\nlayers = ['conv']\n[[groups]]\nroles = ['scale']\n[[groups]]\n[[groups]]\nlayers = ['conv1']\noptimizer = 'muon'",
        );
        let faults = recipe.group_faults(&layers).join("\n");
        for part in
            ["`groups[0].layers`: there is no layer `conv`; did you mean `conv1`?", "`groups[1]` holds no", "`groups[3]` holds no"]
        {
            assert!(faults.contains(part), "{faults}");
        }
    }

    #[test]
    fn muon_is_for_filters_and_matrices() {
        let layers = infer(&presets::named("tutorial").unwrap()).unwrap();
        let faults = recipe("optimizer = 'muon'").group_faults(&layers);
        assert!(faults.len() == 1 && faults[0].contains("`conv1.bias` is neither"), "{faults:?}");
        let kept = "optimizer = 'muon'\n[[groups]]\nroles = ['bias']\nfrozen_from = 0";
        assert_eq!(recipe(kept).group_faults(&layers), [""; 0], "what never moves has no rule");
    }

    #[test]
    fn every_key_is_listed() {
        let all = Group {
            layers: vec!["a".into()],
            roles: vec![GroupRole::Bias],
            optimizer: Some(Optimizer::Sgd),
            learning_rate: Some(0.1),
            momentum: Some(0.1),
            nesterov: Some(true),
            weight_decay: Some(0.1),
            betas: Some([0.1; 2]),
            eps: Some(0.1),
            ns_steps: Some(1),
            renormalize_every: Some(1),
            adjust_lr: Some(AdjustLrKind::None),
            frozen_until: Some(0.1),
            frozen_from: Some(0.1),
        };
        let value = serde_json::to_value(&all).unwrap();
        let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let mut listed = GROUP_KEYS.to_vec();
        keys.sort_unstable();
        listed.sort_unstable();
        assert_eq!(keys, listed);
    }
}
