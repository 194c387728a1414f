//! A tensor in the bytes of another program's file: found and checked, its numbers not read yet.

use crate::checkpoint::Dtype;

/// The number types that become weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// As a model stores them.
    Stored(Dtype),
    /// IEEE 754 double precision, rounded to single.
    F64,
}

/// What is said of a tensor whose numbers are of another type.
pub(super) const ALLOWED: &str = "weights must be float32, float16, bfloat16 or float64";

impl Number {
    fn size(self) -> usize {
        match self {
            Self::Stored(dtype) => dtype.size(),
            Self::F64 => 8,
        }
    }

    fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::Stored(dtype) => out.extend(dtype.decode(bytes)),
            Self::F64 => out.extend(bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32)),
        }
    }
}

/// A view, by size and strides, into a slice of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View<'a> {
    number: Number,
    shape: Vec<usize>,
    /// Elements between neighbours, a dimension; a channels-last or transposed tensor's are not in descending order.
    stride: Vec<usize>,
    /// From the first element to the last one that a stride reaches.
    window: &'a [u8],
}

impl<'a> View<'a> {
    /// The tensor of `shape` whose first element is `offset` elements into `storage`. The fault follows the tensor's name.
    pub(super) fn strided(
        number: Number,
        storage: &'a [u8],
        offset: usize,
        shape: Vec<usize>,
        stride: Vec<usize>,
    ) -> Result<Self, String> {
        let size = number.size();
        if shape.len() != stride.len() {
            return Err("has another number of strides than of sizes".into());
        }
        let window = if shape.contains(&0) {
            Some(&storage[..0])
        } else {
            let span = shape
                .iter()
                .zip(&stride)
                .try_fold(1usize, |span, (side, stride)| span.checked_add((side - 1).checked_mul(*stride)?));
            let end = span.and_then(|span| span.checked_add(offset)?.checked_mul(size));
            // `offset` times the size is below `end`, which was checked.
            end.and_then(|end| storage.get(offset * size..end))
        };
        let window = window.ok_or_else(|| format!("reaches past its storage of {} numbers", storage.len() / size))?;
        Ok(Self { number, shape, stride, window })
    }

    /// The tensor of `shape` that is the whole of `bytes`, row-major.
    pub(super) fn whole(number: Number, bytes: &'a [u8], shape: &[usize]) -> Result<Self, String> {
        Self::strided(number, bytes, 0, shape.to_vec(), row_major(shape))
    }

    /// Its size, outermost dimension first.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether its numbers lose precision when they are read.
    pub(super) fn is_rounded(&self) -> bool {
        self.number == Number::F64
    }

    /// Its numbers in row-major order: as many as the shape says, which may be more than the file has, since a stride may be
    /// 0. So whoever reads has compared the shape with the one that is wanted.
    pub(super) fn values(&self) -> Vec<f32> {
        let count = self.shape.iter().product();
        let mut out = Vec::with_capacity(count);
        let contiguous = row_major(&self.shape);
        if self.shape.iter().zip(&self.stride).zip(contiguous).all(|((&side, &stride), plain)| side == 1 || stride == plain) {
            self.number.decode(self.window, &mut out);
            return out;
        }
        let size = self.number.size();
        let (mut index, mut at) = (vec![0; self.shape.len()], 0);
        for _ in 0..count {
            self.number.decode(&self.window[at * size..(at + 1) * size], &mut out);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.stride[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.stride[axis] * index[axis];
                index[axis] = 0;
            }
        }
        out
    }
}

/// The strides of a contiguous tensor; what would overflow belongs to no tensor that fits in memory.
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_followed_and_nothing_is_read_past_the_storage() {
        let storage: Vec<u8> = (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let view = |offset: usize, size: &[usize], stride: &[usize]| {
            View::strided(Number::Stored(Dtype::F32), &storage, offset, size.to_vec(), stride.to_vec())
        };
        let read = |offset, size: &[usize], stride: &[usize]| view(offset, size, stride).unwrap().values();
        assert_eq!(read(1, &[2, 3], &[3, 1]), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(read(0, &[3, 2], &[1, 3]), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(read(0, &[1, 2, 2, 2], &[8, 1, 4, 2]), [0., 2., 4., 6., 1., 3., 5., 7.]);
        assert_eq!(read(3, &[2, 2], &[0, 1]), [3., 4., 3., 4.]);
        assert_eq!(read(11, &[], &[]), [11.]);
        assert_eq!(read(99, &[0, 4], &[4, 1]), [0f32; 0]);
        for (offset, size, stride) in
            [(1, [12, 1], [1, 1]), (0, [2, 1], [12, 1]), (usize::MAX, [1, 1], [1, 1]), (0, [3, 3], [usize::MAX, 1])]
        {
            assert_eq!(view(offset, &size, &stride).unwrap_err(), "reaches past its storage of 12 numbers");
        }
        assert!(view(0, &[2], &[]).is_err());
        // Nothing is allocated for what a shape claims.
        assert_eq!(view(0, &[1 << 40], &[0]).unwrap().shape(), [1 << 40]);
    }
}
