//! A tensor as PyTorch pickles it: a view, by offset, size and strides, into a storage of one number type.
//!
//! What is recognised is what `torch._utils` and `torch._tensor` write: `_rebuild_tensor_v2(storage, offset, size, stride, …)` and
//! its relatives, as it is or inside `_rebuild_parameter` or `_rebuild_from_type_v2`; the storage is the persistent id
//! `("storage", torch.FloatStorage, key, device, length)`.

use super::archive::Archive;
use super::value::{Id, Node, Tree};
use crate::checkpoint::Dtype;
use crate::checkpoint::import::view::{ALLOWED, Number, View};

/// Parameters in parameters in …: PyTorch writes one or two.
const MAX_WRAPPERS: usize = 8;

/// `id` as a tensor: none if it is something else, an error that follows its name if it is one that cannot be a weight.
pub(super) fn describe<'a>(tree: &Tree<'a>, id: Id, archive: &mut Archive<'a>) -> Option<Result<View<'a>, String>> {
    if matches!(tree.call(id), Some((module, "_reconstruct", _)) if module.starts_with("numpy")) {
        return Some(Err("is a NumPy array: save it as a tensor, `torch.from_numpy(array)`".into()));
    }
    let (mut builder, mut arguments) = rebuilt(tree, id)?;
    for _ in 0..MAX_WRAPPERS {
        let inner = match (builder, arguments) {
            ("_rebuild_parameter" | "_rebuild_parameter_with_state", &[tensor, ..]) => rebuilt(tree, tensor),
            ("_rebuild_from_type_v2" | "_rebuild_from_type", &[function, _, arguments, ..]) => {
                tree.global(function).zip(tree.tuple(arguments)).map(|((_, name), arguments)| (name, arguments))
            }
            ("_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3", &[storage, offset, size, stride, ref rest @ ..]) => {
                let view = Rebuild { typed: builder == "_rebuild_tensor_v3", storage, offset, size, stride, rest };
                return Some(view.view(tree, archive));
            }
            _ => None,
        };
        let Some(inner) = inner else { break };
        (builder, arguments) = inner;
    }
    Some(Err(format!("is built by PyTorch's `{builder}`: only plain dense tensors become weights")))
}

/// Name and arguments of the function that builds the tensor `id`.
fn rebuilt<'t, 'a>(tree: &'t Tree<'a>, id: Id) -> Option<(&'a str, &'t [Id])> {
    let (module, name, arguments) = tree.call(id)?;
    (matches!(module, "torch._utils" | "torch._tensor") && name.starts_with("_rebuild_")).then_some((name, arguments))
}

/// The arguments of `torch._utils._rebuild_tensor` and its later forms.
struct Rebuild<'t> {
    /// The number type is an argument, not the storage's class.
    typed: bool,
    storage: Id,
    offset: Id,
    size: Id,
    stride: Id,
    /// `requires_grad`, hooks, the number type if `typed`, and what is not yet done to the numbers.
    rest: &'t [Id],
}

impl Rebuild<'_> {
    fn view<'a>(&self, tree: &Tree<'a>, archive: &mut Archive<'a>) -> Result<View<'a>, String> {
        let damaged = || "is described in a way that PyTorch does not write".to_owned();
        let Node::Persistent(storage) = *tree.node(self.storage) else { return Err(damaged()) };
        let Some(&[_, class, key, ..]) = tree.tuple(storage) else { return Err(damaged()) };
        let class = if self.typed { self.rest.get(2).copied() } else { Some(class) };
        let (Some((_, class)), Some(key)) = (class.and_then(|class| tree.global(class)), tree.text(key)) else {
            return Err(damaged());
        };
        let number = number(class)?;
        let pending = self.rest.get(if self.typed { 3 } else { 2 });
        if pending.is_some_and(|&pending| !tree.items(pending).is_empty()) {
            return Err("is a conjugated or negated view: save `tensor.resolve_conj().resolve_neg()`".into());
        }
        let (offset, size, stride) = (tree.whole(self.offset), wholes(tree, self.size), wholes(tree, self.stride));
        let (Some(offset), Some(size), Some(stride)) = (offset, size, stride) else { return Err(damaged()) };
        View::strided(number, archive.entry(&format!("data/{key}"))?, offset, size, stride)
    }
}

/// The number type of a storage's class, or that a tensor names.
fn number(class: &str) -> Result<Number, String> {
    let other = match class {
        "FloatStorage" | "float32" => return Ok(Number::Stored(Dtype::F32)),
        "HalfStorage" | "float16" => return Ok(Number::Stored(Dtype::F16)),
        "BFloat16Storage" | "bfloat16" => return Ok(Number::Stored(Dtype::BF16)),
        "DoubleStorage" | "float64" => return Ok(Number::F64),
        "LongStorage" => "int64",
        "IntStorage" => "int32",
        "ShortStorage" => "int16",
        "CharStorage" => "int8",
        "ByteStorage" => "uint8",
        "BoolStorage" => "bool",
        other => other.trim_end_matches("Storage"),
    };
    Err(format!("is of type {other}: {ALLOWED}"))
}

fn wholes(tree: &Tree<'_>, id: Id) -> Option<Vec<usize>> {
    tree.tuple(id)?.iter().map(|&element| tree.whole(element)).collect()
}
