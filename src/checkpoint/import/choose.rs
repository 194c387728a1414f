//! Which of a file's dicts is the network's, and what stands before its names: found by trying all of them against the
//! architecture.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::state_dict::{Entry, StateDict};
use super::view::View;
use crate::checkpoint::container::is_counter;
use crate::network::shape::ParameterSpec;

/// The dict that fits best, and how.
#[derive(Debug)]
pub(super) struct Choice {
    /// Its place in the list.
    pub(super) at: usize,
    /// What its names begin with and the architecture's do not, up to a `.`; mostly nothing.
    pub(super) prefix: String,
    /// How many of the architecture's tensors it has by name.
    pub(super) names: usize,
    /// Others that fit as well and are not the same tensors.
    pub(super) also: Vec<usize>,
}

/// The best of `dicts` for a network that owns `wanted`; the first of several. None if there are no dicts.
pub(super) fn choose(dicts: &[StateDict<'_>], wanted: &[&ParameterSpec]) -> Option<Choice> {
    let wanted = Wanted::new(wanted);
    let fits: Vec<Fit<'_>> = dicts.iter().map(|dict| wanted.fit(dict)).collect();
    let rank = |at: usize| (fits[at].names, fits[at].shapes, Reverse(dicts[at].tensors().saturating_sub(fits[at].names)));
    let at = if fits.iter().any(|fit| fit.names > 0) {
        (0..dicts.len()).rev().max_by_key(|&at| rank(at))?
    } else {
        // None is right; the largest is the one that was meant.
        (0..dicts.len()).rev().max_by_key(|&at| dicts[at].tensors())?
    };
    let rivals = (0..dicts.len()).filter(|&other| other != at && fits[at].names > 0 && rank(other) == rank(at));
    let also = rivals.filter(|&other| !dicts[other].same_tensors(&dicts[at])).collect();
    Some(Choice { at, prefix: fits[at].prefix.to_owned(), names: fits[at].names, also })
}

/// Names and shapes, and the length of the longest name.
struct Wanted<'w> {
    shapes: HashMap<&'w str, &'w [usize]>,
    longest: usize,
}

/// How well a dict fits with a prefix taken off.
#[derive(Debug, Default, Clone, Copy)]
struct Fit<'a> {
    prefix: &'a str,
    names: usize,
    shapes: usize,
}

impl<'w> Wanted<'w> {
    fn new(specs: &[&'w ParameterSpec]) -> Self {
        let shapes: HashMap<_, _> = specs.iter().map(|spec| (spec.name.as_str(), spec.shape.as_slice())).collect();
        Self { longest: shapes.keys().map(|name| name.len()).max().unwrap_or(0), shapes }
    }

    /// The prefix with which most of the dict's names are the architecture's; the shortest of several.
    fn fit<'a>(&self, dict: &StateDict<'a>) -> Fit<'a> {
        let mut fits: HashMap<&str, Fit<'a>> = HashMap::new();
        for (name, entry) in &dict.entries {
            let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
            // Looking up what is longer than every wanted name would only cost time.
            for start in starts.filter(|start| name.len() - start <= self.longest) {
                let (prefix, rest) = name.split_at(start);
                if let Some(&shape) = self.shapes.get(rest) {
                    let fit = fits.entry(prefix).or_insert(Fit { prefix, ..Fit::default() });
                    fit.names += 1;
                    fit.shapes += usize::from(matches!(entry, Entry::Tensor(view) if view.shape() == shape));
                }
            }
        }
        fits.into_values()
            .max_by_key(|fit| (fit.names, fit.shapes, Reverse(fit.prefix.len()), Reverse(fit.prefix)))
            .unwrap_or_default()
    }
}

impl StateDict<'_> {
    /// Whether both name the same numbers of the file.
    fn same_tensors(&self, other: &Self) -> bool {
        fn views<'s>(dict: &'s StateDict<'_>) -> HashMap<&'s str, &'s View<'s>> {
            let views = dict.entries.iter().filter_map(|(name, entry)| match entry {
                Entry::Tensor(view) if !is_counter(name) => Some((*name, view)),
                _ => None,
            });
            views.collect()
        }
        views(self) == views(other)
    }
}
