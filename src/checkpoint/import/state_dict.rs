//! A dict in which a file has tensors, whichever program wrote it: what the choice among several is made from.

use std::borrow::Cow;

use super::view::View;

/// One dict, in the file's order.
#[derive(Debug, Default)]
pub(super) struct StateDict<'a> {
    /// The keys that lead to it, outermost first; none where the file is the dict.
    pub(super) place: Vec<Cow<'a, str>>,
    /// Names and what is there.
    pub(super) entries: Vec<(&'a str, Entry<'a>)>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// A tensor that can be a weight.
    Tensor(View<'a>),
    /// A tensor that cannot; the reason follows its name.
    Unreadable(String),
    /// Something else, with its article.
    Other(String),
}

impl StateDict<'_> {
    /// How many tensors it has, readable or not.
    pub(super) fn tensors(&self) -> usize {
        self.entries.iter().filter(|(_, entry)| !matches!(entry, Entry::Other(_))).count()
    }

    /// Its place as a reader would look it up: `trainer`.`weights`.
    pub(super) fn place(&self) -> String {
        self.place.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(".")
    }
}
