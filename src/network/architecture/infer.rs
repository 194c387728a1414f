//! Shape and cost inference: what each layer takes, gives, owns and costs, or everything why the list is not a network.
//!
//! Everything compiled from a list relies on what is refused here: names, sources, shapes that fit, sizes that cannot wrap. A fault
//! does not hide those after it: a layer whose input is not known any more is still asked whatever needs no shape, and nothing
//! that only follows from an earlier fault is said.

use super::arguments::{self, MAX_ELEMENTS};
use super::draft::{Derived, Draft, LayerDraft, Reads};
use super::fault::Fault;
use super::output::{Refusal, keeps_shape, output, product, size_of, without_input};
use super::shape::{LayerShape, Shape, Source};
use super::spec::{Architecture, IMAGE, Input, LayerKind};
use crate::network::error::Error;
use crate::words::nearest;

pub(super) const MAX_LAYERS: usize = 1000;
/// Faults that are told; who has more has other worries.
pub(super) const MOST_FAULTS: usize = 100;
/// Names up to this length are compared with others to find what was meant, in a list's first few faults: a hostile list must not
/// keep a processor busy.
const COMPARED: usize = 32;
const HINTS: usize = 20;

/// Infers every layer of `architecture`, first to last, and checks that it ends in one score a class.
///
/// # Errors
/// All faults of the list.
pub fn infer(architecture: &Architecture) -> Result<Vec<LayerShape>, Error> {
    let (layers, faults) = examine(&Draft::of(architecture));
    if faults.is_empty() { Ok(layers) } else { Err(Error::Architecture(faults)) }
}

/// Every layer of `draft` that can be inferred (all of them, where there is no fault), and what is wrong beyond what could not be
/// read.
pub(super) fn examine(draft: &Draft) -> (Vec<LayerShape>, Vec<Fault>) {
    let mut walk = Walk { draft, image: None, done: Vec::new(), faults: Vec::new(), tangled: false, hints: 0 };
    walk.start();
    for layer in &draft.layers {
        if walk.faults.len() >= MOST_FAULTS {
            break;
        }
        walk.layer(layer);
    }
    walk.end();
    (walk.done.into_iter().filter_map(|done| done.shape).collect(), walk.faults)
}

/// A layer, as far as it is known.
#[derive(Debug, Default)]
struct Done {
    /// What it reads; none where that is not known.
    sources: Vec<Source>,
    output: Option<Shape>,
    /// The sides of the map that its vector was made of.
    flattened: Option<Vec<usize>>,
    shape: Option<LayerShape>,
}

/// On its way through a list.
struct Walk<'a> {
    draft: &'a Draft,
    image: Option<Shape>,
    done: Vec<Done>,
    faults: Vec<Fault>,
    /// Whether it is not known who reads whom.
    tangled: bool,
    hints: usize,
}

impl<'a> Walk<'a> {
    fn start(&mut self) {
        self.tangled = self.draft.layers.iter().any(|layer| layer.name.is_none() || layer.kind.is_none());
        if let Some(Input { channels, height, width }) = self.draft.input {
            let image = Shape::Map { channels, height, width };
            if size_of(&[channels, height, width]).is_none_or(|n| n == 0) {
                let error = format!(
                    "the network takes images of {image}: each side must be at least 1, and the whole at most {MAX_ELEMENTS} numbers"
                );
                self.faults.push(Fault { error, ..Fault::default() });
            } else {
                self.image = Some(image);
            }
        }
        let count = self.draft.layers.len();
        if count > MAX_LAYERS {
            let error = format!("the network has {count} layers; at most {MAX_LAYERS} are allowed");
            self.faults.push(Fault { error, ..Fault::default() });
        }
    }

    fn layer(&mut self, layer: &'a LayerDraft) {
        if self.done.len() >= MAX_LAYERS {
            return;
        }
        self.name(layer);
        let done = self.infer(layer);
        self.done.push(done);
    }

    /// What holds for the list as a whole.
    fn end(&mut self) {
        let (layers, count) = (&self.draft.layers, self.done.len());
        if layers.is_empty() && self.draft.faults.is_empty() {
            self.faults.push(Fault { error: "the network has no layers".into(), ..Fault::default() });
        }
        if count < layers.len() || layers.is_empty() {
            return;
        }
        // Layers whose output nobody reads would be computed, and trained, for nothing.
        if !self.tangled {
            let read = |at: usize| self.done.iter().any(|done| done.sources.contains(&Source::Layer(at)));
            let unread: Vec<usize> = (0..count - 1).filter(|&at| !read(at)).collect();
            for at in unread {
                let error = "nothing reads it: name it in a later layer's `from`, or leave it out";
                self.fault(at, None, error.into());
            }
        }
        match self.done[count - 1].output {
            Some(Shape::Vector(1..)) | None => {}
            Some(shape) => {
                let error = format!("the network ends in {shape}: end it with a vector of one score a class");
                self.fault(count - 1, None, error);
            }
        }
    }

    /// Notes what is wrong with the layer at `index`, with its argument `key` where it is that.
    fn fault(&mut self, index: usize, key: Option<&str>, error: String) {
        let layer = &self.draft.layers[index];
        let (line, kind) = (layer.line_of(key), layer.kind_name);
        self.faults.push(Fault { line, index: Some(index), layer: layer.name.clone(), kind, error });
    }

    fn name(&mut self, layer: &LayerDraft) {
        let Some(name) = &layer.name else { return };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let at = self.done.len();
        let earlier = self.draft.layers[..at].iter().position(|earlier| earlier.name.as_ref() == Some(name));
        let reason = if name.is_empty() || !name.chars().all(plain) {
            "must be letters, digits, `_`, `-` or `.`".into()
        } else if name == IMAGE {
            "is what the image is called; choose another".into()
        } else if let Some(earlier) = earlier {
            format!("is taken by an earlier layer, the {}; choose another", ordinal(earlier + 1))
        } else {
            return;
        };
        self.tangled = true;
        self.fault(at, Some("name"), format!("the name `{name}` {reason}"));
    }

    fn infer(&mut self, layer: &LayerDraft) -> Done {
        let at = self.done.len();
        let sources = self.sources(layer);
        let (first, input) = match sources.as_deref() {
            Some([first, ..]) => (Some(*first), self.output(*first)),
            _ => (None, None),
        };
        for derived in &layer.derived {
            let error = self.derived(derived, first, layer.kind_name);
            self.fault(at, Some(derived.key), error);
        }
        let sources = sources.unwrap_or_default();
        let Some(kind) = &layer.kind else { return Done { sources, ..Done::default() } };
        let wrong = arguments::faults(kind);
        let usable = wrong.is_empty();
        for (key, sentence) in wrong {
            self.fault(at, Some(key), sentence);
        }
        let flattened = match (kind, input, first) {
            (LayerKind::Flatten, Some(shape @ Shape::Map { .. }), _) => Some(shape.dims()),
            (kind, Some(_), Some(Source::Layer(before))) if keeps_shape(kind) => self.done[before].flattened.clone(),
            _ => None,
        };
        let mut done = Done { output: without_input(kind), flattened, sources, shape: None };
        let Some(input) = input else { return done };
        if keeps_shape(kind) {
            done.output = Some(input);
        }
        if !self.sums(layer, kind, &done.sources) {
            done.output = None;
            return done;
        }
        if !usable {
            return done;
        }
        let name = layer.name.as_deref().unwrap_or_default();
        match output(name, kind, input) {
            Ok((output, parameters, multiply_adds)) => {
                done.output = Some(output);
                let sources = done.sources.clone();
                done.shape = Some(LayerShape { name: name.into(), sources, input, output, parameters, multiply_adds });
            }
            Err(refusal) => {
                if keeps_shape(kind) {
                    done.output = None;
                }
                let source = first.map_or(IMAGE, |first| self.called(first));
                let error = match refusal {
                    Refusal::Misfit(reason) => format!("cannot take {input} from `{source}`: {reason}"),
                    Refusal::TooLarge => format!("on {input} from `{source}` it would hold more than {MAX_ELEMENTS} numbers"),
                };
                self.fault(at, None, error);
            }
        }
        done
    }

    /// Whether what a sum adds has one shape; said where it has not.
    fn sums(&mut self, layer: &LayerDraft, kind: &LayerKind, sources: &[Source]) -> bool {
        let (LayerKind::Add, [previous, from]) = (kind, sources) else { return true };
        let (Some(one), Some(other)) = (self.output(*previous), self.output(*from)) else { return false };
        if one != other {
            let (previous, from) = (self.called(*previous), self.called(*from));
            let error = format!("cannot take {one} from `{previous}`: `{from}` gives {other}, and both must have one shape");
            let key = layer.lines.iter().any(|(key, _)| key == "from").then_some("from");
            self.fault(self.done.len(), key, error);
        }
        one == other
    }

    /// What `layer` reads, where that is known.
    fn sources(&mut self, layer: &LayerDraft) -> Option<Vec<Source>> {
        let at = self.done.len();
        let previous = at.checked_sub(1).map_or(Source::Image, Source::Layer);
        let sum = layer.kind == Some(LayerKind::Add);
        let from = match &layer.from {
            Reads::Before if sum => {
                self.tangled = true;
                self.fault(at, None, "`from` is missing: name the earlier layer that is added".into());
                return None;
            }
            Reads::Before => return Some(vec![previous]),
            Reads::Unreadable => None,
            Reads::Named(name) if name == IMAGE => Some(Source::Image),
            Reads::Named(name) => {
                let found = self.draft.layers[..at].iter().position(|earlier| earlier.name.as_ref() == Some(name));
                if found.is_none() {
                    let error = self.unknown(name, at);
                    self.fault(at, Some("from"), error);
                }
                found.map(Source::Layer)
            }
        };
        self.tangled |= from.is_none();
        Some(if sum { vec![previous, from?] } else { vec![from?] })
    }

    fn unknown(&mut self, from: &str, at: usize) -> String {
        let layers = &self.draft.layers;
        let named = |layers: &'a [LayerDraft]| layers.iter().filter_map(|layer| layer.name.as_deref());
        if let Some(later) = named(&layers[at..]).position(|name| name == from) {
            let where_it_is = if later == 0 { "is this layer itself" } else { "comes later" };
            return format!("`from` names `{from}`, which {where_it_is}: a layer reads earlier ones");
        }
        self.hints += 1;
        let names: Vec<&str> = named(&layers[..at]).chain([IMAGE]).filter(|name| name.len() <= COMPARED).collect();
        let compared = from.len() <= COMPARED && self.hints <= HINTS;
        let hint = compared.then(|| nearest(from, &names)).flatten().map(|near| format!("; did you mean `{near}`?"));
        format!("`from` names `{from}`, which is not an earlier layer{}", hint.unwrap_or_default())
    }

    /// What to say of an argument that follows from `source`.
    fn derived(&self, derived: &Derived, source: Option<Source>, kind: Option<&'static str>) -> String {
        let Derived { key, given } = derived;
        let needed = source.and_then(|source| match (kind?, *key, self.output(source)?) {
            ("linear", "in_features", Shape::Vector(length)) => match source {
                Source::Layer(at) => Some((length, self.done[at].flattened.as_deref().map_or(length.to_string(), product))),
                Source::Image => None,
            },
            // What a `flatten` before it would give.
            ("linear", "in_features", shape) => Some((shape.elements(), product(&shape.dims()))),
            ("conv2d", "in_channels", Shape::Map { channels, .. })
            | ("batch_norm2d", "num_features", Shape::Map { channels, .. }) => Some((channels, channels.to_string())),
            _ => None,
        });
        match needed {
            Some((number, arithmetic)) if number.to_string() != *given => {
                let what = if *key == "in_features" { "inputs" } else { "channels" };
                format!(
                    "`{key}` is {given}, and the layer needs {arithmetic} {what}; it follows from the layer before, leave it out"
                )
            }
            Some((_, arithmetic)) => format!("`{key}` follows from the layer before ({arithmetic}); leave it out"),
            None => format!("`{key}` follows from the layer before; leave it out"),
        }
    }

    fn output(&self, source: Source) -> Option<Shape> {
        match source {
            Source::Image => self.image,
            Source::Layer(at) => self.done[at].output,
        }
    }

    fn called(&self, source: Source) -> &'a str {
        match source {
            Source::Image => IMAGE,
            Source::Layer(at) => self.draft.layers[at].name.as_deref().unwrap_or_default(),
        }
    }
}

/// `1st`, `2nd`, `3rd`, `4th`.
fn ordinal(number: usize) -> String {
    let ending = match number % 10 {
        1 if number % 100 != 11 => "st",
        2 if number % 100 != 12 => "nd",
        3 if number % 100 != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests;
