//! What is wrong at one place of a layer list.

use std::fmt;

use serde::Serialize;

/// One fault, with what is known of its place. Serialised as it is told: `layer`, `index`, `error`, and the `line` of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Fault {
    /// The layer's name, where it has one.
    pub layer: Option<String>,
    /// Position of the layer in the list, from 0; none where the fault is none of a layer's.
    pub index: Option<usize>,
    /// Line of the file, from 1; none where the list did not come as a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The layer's kind, where it is known.
    #[serde(skip)]
    pub kind: Option<&'static str>,
    /// What is wrong and what to do.
    pub error: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match (&self.layer, self.index) {
            (Some(name), _) => write!(f, "layer `{name}`")?,
            (None, Some(index)) => write!(f, "layer {}", index + 1)?,
            (None, None) => return f.write_str(&self.error),
        }
        if let Some(kind) = self.kind {
            write!(f, " ({kind})")?;
        }
        write!(f, ": {}", self.error)
    }
}
