//! Lengths that `unsafe` code relies on: right, or a panic.
//!
//! A product that wraps around is a small number, which a slice of that length then satisfies; whoever reads by the factors reads
//! outside it. Release builds do not check arithmetic, so lengths are made here.

/// Floats that an address space can hold: offsets of pointers are at most `isize::MAX` bytes.
const MOST: usize = isize::MAX as usize / size_of::<f32>();

/// The product of `factors` as a number of floats.
///
/// # Panics
/// Where no memory could hold so many: sizes from outside are bounded where they enter, long before.
pub(crate) const fn product<const N: usize>(factors: [usize; N]) -> usize {
    let (mut product, mut at) = (1usize, 0);
    while at < N {
        product = match product.checked_mul(factors[at]) {
            Some(product) if product <= MOST => product,
            _ => too_large(),
        };
        at += 1;
    }
    product
}

/// The sum of `terms` as a number of floats.
///
/// # Panics
/// As [`product`].
pub(crate) const fn sum<const N: usize>(terms: [usize; N]) -> usize {
    let (mut sum, mut at) = (0usize, 0);
    while at < N {
        sum = match sum.checked_add(terms[at]) {
            Some(sum) if sum <= MOST => sum,
            _ => too_large(),
        };
        at += 1;
    }
    sum
}

#[cold]
#[inline(never)]
const fn too_large() -> ! {
    panic!("sizes that no memory could hold")
}

#[cfg(test)]
mod tests {
    use super::super::testing::refusal;
    use super::*;

    #[test]
    fn what_wraps_around_is_refused_and_what_does_not_is_exact() {
        assert_eq!((product([3, 5, 7]), product::<0>([]), sum([1, 2, 3])), (105, 1, 6));
        assert_eq!(product([MOST, 1]), MOST);
        for factors in [[1 << 32, 1 << 32, 1], [usize::MAX, 2, 1], [MOST, 2, 1], [1 << 31, 1 << 31, 16]] {
            assert_eq!(refusal(|| assert!(product(factors) > 0)), "sizes that no memory could hold", "{factors:?}");
        }
        for terms in [[usize::MAX, 1], [MOST, 1]] {
            assert_eq!(refusal(|| assert!(sum(terms) > 0)), "sizes that no memory could hold", "{terms:?}");
        }
    }
}
