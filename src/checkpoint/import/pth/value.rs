//! What a pickle describes.

use std::borrow::Cow;

/// The place of a node in its tree's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(pub(super) u32);

impl Id {
    pub(super) fn place(self) -> usize {
        self.0 as usize
    }
}

/// All objects of a pickle. They may refer to each other in circles.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Id,
}

/// One object.
#[derive(Debug, PartialEq)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A float, or an integer of more than 64 bits: neither is a part of a tensor's description.
    Number,
    Text(&'a str),
    Bytes,
    Set,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or a function.
    Global {
        module: &'a str,
        name: &'a str,
    },
    /// What a call would give.
    Object(Box<Object>),
    /// What is kept outside the pickle, under this name.
    Persistent(Id),
}

/// A call that was not made, and what was put into its result.
#[derive(Debug, PartialEq)]
pub(super) struct Object {
    pub(super) callable: Id,
    pub(super) arguments: Id,
    /// A list's elements.
    pub(super) appended: Vec<Id>,
    /// A dict's.
    pub(super) items: Vec<(Id, Id)>,
    /// Its attributes.
    pub(super) state: Option<Id>,
}

impl<'a> Tree<'a> {
    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.place()]
    }

    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        if let Node::Text(text) = *self.node(id) { Some(text) } else { None }
    }

    /// `id` as a non-negative whole number.
    pub(super) fn whole(&self, id: Id) -> Option<usize> {
        if let Node::Int(number) = *self.node(id) { usize::try_from(number).ok() } else { None }
    }

    /// `id` as a tuple's elements.
    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        if let Node::Tuple(elements) = self.node(id) { Some(elements) } else { None }
    }

    /// Module and name of the class or function `id`.
    pub(super) fn global(&self, id: Id) -> Option<(&'a str, &'a str)> {
        if let Node::Global { module, name } = *self.node(id) { Some((module, name)) } else { None }
    }

    /// What was called for `id`, and with which arguments.
    pub(super) fn call(&self, id: Id) -> Option<(&'a str, &'a str, &[Id])> {
        let Node::Object(object) = self.node(id) else { return None };
        let (module, name) = self.global(object.callable)?;
        Some((module, name, self.tuple(object.arguments).unwrap_or_default()))
    }

    /// Keys and values of a dict, or of an object that is one.
    pub(super) fn items(&self, id: Id) -> &[(Id, Id)] {
        match self.node(id) {
            Node::Dict(items) => items,
            Node::Object(object) => &object.items,
            _ => &[],
        }
    }

    /// `id` in a few words, with an article.
    pub(super) fn kind(&self, id: Id) -> Cow<'static, str> {
        Cow::Borrowed(match self.node(id) {
            Node::None => "nothing",
            Node::Bool(_) => "a truth value",
            Node::Int(_) | Node::Number => "a number",
            Node::Text(_) => "a text",
            Node::Bytes => "a string of bytes",
            Node::Set => "a set",
            Node::Tuple(_) => "a tuple",
            Node::List(_) => "a list",
            Node::Dict(_) => "a dict",
            Node::Global { .. } => "a class or function",
            Node::Persistent(_) => "a storage",
            Node::Object(_) => {
                let call = self.call(id).map(|(module, name, _)| Cow::Owned(format!("a `{module}.{name}`")));
                return call.unwrap_or(Cow::Borrowed("an object"));
            }
        })
    }
}
