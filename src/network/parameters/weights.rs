//! A network's parameters as plain numbers, in the architecture's order: what a checkpoint holds, initialisation makes and
//! training changes. No tensor library below this line.

use crate::network::error::Error;
use crate::network::shape::{LayerShape, ParameterSpec, Role};

/// One named array of numbers, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// PyTorch's state-dict name: `conv1.weight`.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

impl Parameter {
    /// What is wrong where some of its numbers are not finite, as a sentence.
    fn not_finite(&self) -> Option<String> {
        // In pieces without a way out, which the compiler turns into a few instructions: all weights come by here.
        let finite = |piece: &[f32]| piece.iter().fold(true, |finite, value| finite & value.is_finite());
        if self.values.chunks(256).all(finite) {
            return None;
        }
        let first = self.values.iter().position(|value| !value.is_finite())?;
        let count = self.values[first..].iter().filter(|value| !value.is_finite()).count();
        let (name, all, value) = (&self.name, self.values.len(), self.values[first]);
        Some(format!("`{name}` has {count} of {all} numbers that are not finite (the first is {value}): they are no weights"))
    }
}

/// All parameters of one network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    entries: Vec<Parameter>,
}

impl Weights {
    /// The parameters that `layers` ask for, taken from `entries` in any order.
    ///
    /// # Errors
    /// Names every tensor that is missing, left over, of another shape or of another length, with what was expected, and every one
    /// with numbers that are not finite: they are no weights, and whatever is computed with them is nothing.
    pub fn fit(architecture: &str, layers: &[LayerShape], mut entries: Vec<Parameter>) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let mut fitted = Vec::new();
        for spec in specs(layers) {
            match entries.iter().position(|entry| entry.name == spec.name) {
                None => faults.push(format!("`{}` is missing: expected {:?}", spec.name, spec.shape)),
                Some(at) => {
                    let entry = entries.swap_remove(at);
                    if entry.shape != spec.shape {
                        faults.push(format!("`{}` is {:?}: expected {:?}", spec.name, entry.shape, spec.shape));
                    } else if entry.values.len() != entry.shape.iter().product::<usize>() {
                        faults.push(format!("`{}` has {} values for the shape {:?}", spec.name, entry.values.len(), spec.shape));
                    } else if let Some(fault) = entry.not_finite() {
                        faults.push(fault);
                    }
                    fitted.push(entry);
                }
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        faults.extend(entries.iter().map(|extra| format!("`{}` {:?} belongs to no layer", extra.name, extra.shape)));
        if faults.is_empty() {
            Ok(Self { entries: fitted })
        } else {
            Err(Error::Parameters { architecture: architecture.into(), faults })
        }
    }

    /// In the architecture's order.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.entries.iter()
    }

    /// In the architecture's order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.entries.iter_mut()
    }

    /// Whether these are the parameters that `layers` ask for.
    ///
    /// # Errors
    /// Where they are another network's.
    pub fn check(&self, architecture: &str, layers: &[LayerShape]) -> Result<(), Error> {
        let own = self.entries.iter().map(|entry| (&entry.name, &entry.shape));
        if own.eq(specs(layers).map(|spec| (&spec.name, &spec.shape))) {
            return Ok(());
        }
        Err(Error::Parameters { architecture: architecture.into(), faults: vec!["the weights are another network's".into()] })
    }

    /// What `layer` has in this role; none where it has no such parameter.
    pub fn of(&self, layer: &LayerShape, role: Role) -> Option<&[f32]> {
        layer.parameters.iter().find(|spec| spec.role == role).map(|spec| self.values(spec))
    }

    /// The values of a layer's parameter.
    ///
    /// # Panics
    /// Where the layer is another network's: whoever takes both from outside has asked [`Weights::check`].
    pub fn values(&self, spec: &ParameterSpec) -> &[f32] {
        match self.get(&spec.name) {
            Some(parameter) => &parameter.values,
            // `Weights::fit` has made them, for the layers they are kept with.
            None => unreachable!("`{}` is another network's", spec.name),
        }
    }

    /// The parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// What the layers own, in order.
pub fn specs(layers: &[LayerShape]) -> impl Iterator<Item = &ParameterSpec> {
    layers.iter().flat_map(|layer| &layer.parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{infer, presets};

    #[test]
    fn every_fault_is_named_at_once() {
        let architecture = presets::named("tutorial").unwrap();
        let layers = infer(&architecture).unwrap();
        let mut entries: Vec<Parameter> = specs(&layers)
            .map(|spec| Parameter {
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                values: vec![0.0; spec.shape.iter().product()],
            })
            .collect();
        assert!(Weights::fit("tutorial", &layers, entries.clone()).is_ok());
        let weights = Weights::fit("tutorial", &layers, entries.clone()).unwrap();
        assert!(weights.check("tutorial", &layers).is_ok());
        assert_eq!(weights.of(&layers[0], Role::Bias).map(<[f32]>::len), Some(32));
        assert_eq!(weights.of(&layers[1], Role::Weight), None);
        let mut other = architecture.clone();
        other.layers[0].name = "other".into();
        let message = weights.check("other", &infer(&other).unwrap()).unwrap_err().to_string();
        assert!(message.contains("the weights are another network's"), "{message}");
        entries[0].shape = vec![32, 3, 5, 5];
        entries[1].name = "conv1.b".into();
        let message = Weights::fit("tutorial", &layers, entries).unwrap_err().to_string();
        for part in [
            "`conv1.weight` is [32, 3, 5, 5]: expected [32, 3, 3, 3]",
            "`conv1.bias` is missing: expected [32]",
            "`conv1.b` [32] belongs to no layer",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_no_weights_and_are_named_by_tensor() {
        let architecture = presets::named("tutorial").unwrap();
        let layers = infer(&architecture).unwrap();
        let whole: Vec<Parameter> = specs(&layers)
            .map(|spec| Parameter {
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                values: vec![0.5; spec.shape.iter().product()],
            })
            .collect();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut entries = whole.clone();
            (entries[2].values[9_000], entries[2].values[9_215]) = (value, f32::NAN);
            let message = Weights::fit("tutorial", &layers, entries).unwrap_err().to_string();
            assert!(message.contains("`conv2.weight` has 2 of 9216 numbers that are not finite"), "{message}");
            assert!(message.contains(&format!("the first is {value}")) && !message.contains("conv1"), "{message}");
        }
        let mut entries = whole;
        entries[7].values[9] = f32::MAX;
        assert!(Weights::fit("tutorial", &layers, entries).is_ok());
    }
}
