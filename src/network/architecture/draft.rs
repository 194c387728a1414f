//! Layers as far as they could be read: what inference goes on with where a part of a list is wrong.

use super::fault::Fault;
use super::spec::{Architecture, Input, Layer, LayerKind};

/// A layer list before it is known to be a network.
#[derive(Debug)]
pub(super) struct Draft {
    /// None where it could not be read.
    pub(super) name: Option<String>,
    pub(super) input: Option<Input>,
    pub(super) layers: Vec<LayerDraft>,
    /// What could not be read, and why.
    pub(super) faults: Vec<Fault>,
}

/// One layer.
#[derive(Debug, Default)]
pub(super) struct LayerDraft {
    /// Where it begins; none where the list did not come as a file.
    pub(super) line: Option<usize>,
    /// Keys and their lines.
    pub(super) lines: Vec<(String, Option<usize>)>,
    pub(super) name: Option<String>,
    /// The kind's name, which may be known where its arguments are not.
    pub(super) kind_name: Option<&'static str>,
    pub(super) kind: Option<LayerKind>,
    pub(super) from: Reads,
    /// What was written of its input, which follows from the layer before.
    pub(super) derived: Vec<Derived>,
}

/// What a layer reads.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Reads {
    /// The layer before.
    #[default]
    Before,
    Named(String),
    /// It is written, and cannot be read.
    Unreadable,
}

/// `in_channels`, `in_features` or `num_features`, as PyTorch wants them written.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) key: &'static str,
    /// As it was written.
    pub(super) given: String,
}

impl LayerDraft {
    /// A layer that was read whole.
    fn of(layer: &Layer) -> Self {
        let Layer { name, kind, from } = layer.clone();
        let from = from.map_or(Reads::Before, Reads::Named);
        Self { name: Some(name), kind_name: Some(kind.name()), kind: Some(kind), from, ..Self::default() }
    }

    /// The line of `key`, or of the layer.
    pub(super) fn line_of(&self, key: Option<&str>) -> Option<usize> {
        let own = key.and_then(|key| self.lines.iter().find(|(known, _)| known == key));
        own.and_then(|(_, line)| *line).or(self.line)
    }
}

impl Draft {
    /// A list that was read whole.
    pub(super) fn of(architecture: &Architecture) -> Self {
        Self {
            name: Some(architecture.name.clone()),
            input: Some(architecture.input),
            layers: architecture.layers.iter().map(LayerDraft::of).collect(),
            faults: Vec::new(),
        }
    }

    /// The list itself, where all of it could be read.
    pub(super) fn architecture(self) -> Option<Architecture> {
        let layer = |draft: LayerDraft| {
            let from = match draft.from {
                Reads::Before => None,
                Reads::Named(name) => Some(name),
                Reads::Unreadable => return None,
            };
            Some(Layer { name: draft.name?, kind: draft.kind?, from })
        };
        let layers = self.layers.into_iter().map(layer).collect::<Option<_>>()?;
        Some(Architecture { name: self.name?, input: self.input?, layers })
    }
}
