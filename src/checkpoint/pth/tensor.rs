//! A tensor as PyTorch pickles it: a view, by offset, size and strides, into a storage of one number type.
//!
//! What is recognised is what `torch._utils` and `torch._tensor` write:
//! `_rebuild_tensor_v2(storage, offset, size, stride, …)`, as it is or inside `_rebuild_parameter` or
//! `_rebuild_from_type_v2`; the storage is the persistent id `("storage", torch.FloatStorage, key, device, length)`.

use candle_core::pickle::Object;

use crate::checkpoint::Dtype;

/// Where a tensor's numbers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    /// The storage's entry under `data/`.
    pub(super) storage: String,
    dtype: Number,
    /// Elements before the first.
    offset: usize,
    size: Vec<usize>,
    /// Elements between neighbours, a dimension; a channels-last or transposed tensor's are not in descending order.
    stride: Vec<usize>,
}

/// The number types that become weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Stored(Dtype),
    Double,
}

/// `object` as a tensor: none if it is something else, an error that follows its name if it is one of another kind.
pub(super) fn describe(object: &Object) -> Option<Result<Description, String>> {
    let Object::Reduce { callable, args } = object else { return None };
    let (Object::Class { module_name, class_name }, Object::Tuple(args)) = (&**callable, &**args) else { return None };
    match (module_name.as_str(), class_name.as_str(), args.as_slice()) {
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state", [tensor, ..]) => describe(tensor),
        ("torch._tensor", "_rebuild_from_type_v2", [function, _, args, ..]) => {
            let inner = Object::Reduce { callable: Box::new(function.clone()), args: Box::new(args.clone()) };
            describe(&inner)
        }
        ("torch._utils", "_rebuild_tensor_v2", [storage, offset, size, stride, ..]) => Some(view(storage, offset, size, stride)),
        ("torch._utils", builder, _) if builder.starts_with("_rebuild_") => {
            Some(Err(format!("is built by PyTorch's `{builder}`: only plain dense tensors become weights")))
        }
        _ => None,
    }
}

fn view(storage: &Object, offset: &Object, size: &Object, stride: &Object) -> Result<Description, String> {
    let damaged = || "is described in a way that PyTorch does not write".to_owned();
    let Object::PersistentLoad(id) = storage else { return Err(damaged()) };
    let Object::Tuple(id) = &**id else { return Err(damaged()) };
    let [_, Object::Class { class_name, .. }, Object::Unicode(key), ..] = id.as_slice() else { return Err(damaged()) };
    let dtype = match class_name.as_str() {
        "FloatStorage" => Number::Stored(Dtype::F32),
        "HalfStorage" => Number::Stored(Dtype::F16),
        "BFloat16Storage" => Number::Stored(Dtype::BF16),
        "DoubleStorage" => Number::Double,
        other => return Err(format!("has its numbers in a {other}: weights must be float32, float16, bfloat16 or float64")),
    };
    let (offset, size, stride) = (whole(offset), wholes(size), wholes(stride));
    let (Some(offset), Some(size), Some(stride)) = (offset, size, stride) else { return Err(damaged()) };
    if size.len() != stride.len() {
        return Err(damaged());
    }
    Ok(Description { storage: key.clone(), dtype, offset, size, stride })
}

fn whole(object: &Object) -> Option<usize> {
    match object {
        Object::Int(number) => usize::try_from(*number).ok(),
        Object::Long(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

fn wholes(object: &Object) -> Option<Vec<usize>> {
    if let Object::Tuple(objects) = object { objects.iter().map(whole).collect() } else { None }
}

impl Description {
    /// The tensor's shape, and its numbers in row-major order, out of its storage's bytes. `budget` is how many more bytes
    /// of numbers all tensors together may have: overlapping views could else be larger than any file.
    pub(super) fn read(&self, storage: &[u8], budget: &mut usize) -> Result<(Vec<usize>, Vec<f32>), String> {
        let width = if let Number::Stored(dtype) = self.dtype { dtype.size() } else { 8 };
        let past = || format!("reaches past its storage of {} numbers", storage.len() / width);
        let count = self.size.iter().try_fold(1usize, |product, &side| product.checked_mul(side)).ok_or_else(past)?;
        if count == 0 {
            return Ok((self.size.clone(), Vec::new()));
        }
        let span = self
            .size
            .iter()
            .zip(&self.stride)
            .try_fold(1usize, |span, (side, stride)| span.checked_add((side - 1).checked_mul(*stride)?));
        let end = span.and_then(|span| span.checked_add(self.offset)?.checked_mul(width));
        let window = end.and_then(|end| storage.get(self.offset * width..end)).ok_or_else(past)?;
        *budget = count
            .checked_mul(width)
            .and_then(|bytes| budget.checked_sub(bytes))
            .ok_or("shares its numbers with too many others")?;
        let numbers = match self.dtype {
            Number::Stored(dtype) => dtype.decode(window),
            Number::Double => window.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect(),
        };
        Ok((self.size.clone(), self.gather(numbers, count)))
    }

    /// `numbers`, from the first element on, in row-major order.
    fn gather(&self, numbers: Vec<f32>, count: usize) -> Vec<f32> {
        let mut expected = 1;
        let row_major = self.size.iter().zip(&self.stride).rev().all(|(&side, &stride)| {
            let fits = side == 1 || stride == expected;
            expected *= side;
            fits
        });
        if row_major {
            return numbers;
        }
        let mut index = vec![0; self.size.len()];
        let mut at = 0;
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            out.push(numbers[at]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.stride[axis];
                if index[axis] < self.size[axis] {
                    break;
                }
                at -= self.stride[axis] * index[axis];
                index[axis] = 0;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: usize, size: &[usize], stride: &[usize]) -> Description {
        let dtype = Number::Stored(Dtype::F32);
        Description { storage: "0".into(), dtype, offset, size: size.to_vec(), stride: stride.to_vec() }
    }

    #[test]
    fn strides_are_followed_and_nothing_is_read_past_the_storage() {
        let storage: Vec<u8> = (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let read = |view: Description| view.read(&storage, &mut 1000).map(|(_, values)| values);
        assert_eq!(read(view(1, &[2, 3], &[3, 1])).unwrap(), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(read(view(0, &[3, 2], &[1, 3])).unwrap(), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(read(view(0, &[1, 2, 2, 2], &[8, 1, 4, 2])).unwrap(), [0., 2., 4., 6., 1., 3., 5., 7.]);
        assert_eq!(read(view(11, &[], &[])).unwrap(), [11.]);
        assert_eq!(read(view(99, &[0, 4], &[4, 1])).unwrap(), [0f32; 0]);
        for past in [view(1, &[12], &[1]), view(0, &[2], &[12]), view(usize::MAX, &[1], &[1]), view(0, &[3, 3], &[usize::MAX, 1])] {
            assert_eq!(read(past).unwrap_err(), "reaches past its storage of 12 numbers");
        }
        assert!(read(view(0, &[1 << 40], &[0])).unwrap_err().contains("shares its numbers"));
    }
}
