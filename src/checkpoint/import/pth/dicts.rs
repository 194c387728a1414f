//! Every dict in a pickle that has tensors, wherever it is: people keep state dicts under keys of their own, in lists, in
//! objects of their own classes.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::archive::Archive;
use super::tensor;
use super::value::{Id, Node, Tree};
use crate::checkpoint::import::state_dict::{Entry, StateDict};

/// No script keeps its weights deeper.
const MAX_DEPTH: usize = 16;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found<'a> {
    /// Outer dicts before inner ones, else in the file's order.
    pub(crate) dicts: Vec<StateDict<'a>>,
    /// The outermost dict's keys.
    pub(crate) keys: Vec<Cow<'a, str>>,
    /// The class of a module that was saved whole.
    pub(crate) module: Option<String>,
}

/// Looks at every object once, outer ones first.
pub(super) fn find<'a>(tree: &Tree<'a>, archive: &mut Archive<'a>) -> Found<'a> {
    let mut search = Search { tree, seen: vec![false; tree.nodes.len()], places: Vec::new(), queue: VecDeque::new() };
    let keys = tree.items(tree.root).iter().map(|&(key, _)| label(tree, key)).collect();
    let mut found = Found { keys, ..Found::default() };
    search.add(tree.root, None, 0);
    while let Some(at) = search.queue.pop_front() {
        let mut entries = Vec::new();
        for &(key, value) in tree.items(at.id) {
            let entry = match tensor::describe(tree, value, archive) {
                Some(Ok(view)) => Entry::Tensor(view),
                Some(Err(reason)) => Entry::Unreadable(reason),
                None => {
                    search.enter(value, &at, || label(tree, key));
                    Entry::Other(tree.kind(value).into_owned())
                }
            };
            // `_metadata` is PyTorch's own bookkeeping.
            entries.extend(tree.text(key).filter(|key| *key != "_metadata").map(|key| (key, entry)));
        }
        if entries.iter().any(|(_, entry)| !matches!(entry, Entry::Other(_))) {
            found.dicts.push(StateDict { place: search.place(at.place), entries });
        }
        if found.module.is_none() {
            found.module = module(tree, at.id);
        }
        search.enter_rest(&at);
    }
    found
}

/// An object that was reached, by which key, and how deep it is.
struct Reached {
    id: Id,
    place: Option<usize>,
    depth: usize,
}

struct Search<'t, 'a> {
    tree: &'t Tree<'a>,
    seen: Vec<bool>,
    /// Each key with the place of the one before it.
    places: Vec<(Option<usize>, Cow<'a, str>)>,
    queue: VecDeque<Reached>,
}

impl<'a> Search<'_, 'a> {
    fn add(&mut self, id: Id, place: Option<usize>, depth: usize) {
        let container = matches!(self.tree.node(id), Node::Dict(_) | Node::List(_) | Node::Tuple(_) | Node::Object(_));
        if container && depth <= MAX_DEPTH && !std::mem::replace(&mut self.seen[id.place()], true) {
            self.queue.push_back(Reached { id, place, depth });
        }
    }

    /// Queues what `at` has under the key `label`.
    fn enter(&mut self, id: Id, at: &Reached, label: impl FnOnce() -> Cow<'a, str>) {
        if !self.seen[id.place()] {
            self.places.push((at.place, label()));
            self.add(id, Some(self.places.len() - 1), at.depth + 1);
        }
    }

    /// Queues a sequence's elements, and an object's arguments and attributes, which have no key of their own.
    fn enter_rest(&mut self, at: &Reached) {
        let tree = self.tree;
        let elements = match tree.node(at.id) {
            Node::Tuple(elements) | Node::List(elements) => elements,
            Node::Object(object) => {
                for id in [Some(object.arguments), object.state].into_iter().flatten() {
                    self.add(id, at.place, at.depth + 1);
                }
                &object.appended
            }
            _ => return,
        };
        for (i, &element) in elements.iter().enumerate() {
            self.enter(element, at, || Cow::Owned(i.to_string()));
        }
    }

    /// The keys that lead to `place`, outermost first.
    fn place(&self, mut place: Option<usize>) -> Vec<Cow<'a, str>> {
        let mut keys = Vec::new();
        while let Some((before, key)) = place.map(|place| &self.places[place]) {
            keys.push(key.clone());
            place = *before;
        }
        keys.reverse();
        keys
    }
}

fn label<'a>(tree: &Tree<'a>, key: Id) -> Cow<'a, str> {
    match (tree.text(key), tree.whole(key)) {
        (Some(text), _) => Cow::Borrowed(text),
        (None, Some(number)) => Cow::Owned(number.to_string()),
        (None, None) => Cow::Borrowed("…"),
    }
}

/// The class of `id`, if it is a `torch.nn.Module` as pickle keeps one.
fn module(tree: &Tree<'_>, id: Id) -> Option<String> {
    let Node::Object(object) = tree.node(id) else { return None };
    let has = |wanted: &str| tree.items(object.state?).iter().any(|&(key, _)| tree.text(key) == Some(wanted)).then_some(());
    has("_parameters").and(has("_modules"))?;
    // `copyreg.__newobj__` aside, the class is what is called, or its first argument.
    tree.global(object.callable).map(|(module, name)| format!("{module}.{name}"))
}
