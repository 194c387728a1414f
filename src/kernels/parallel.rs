//! Functions of one or two numbers over whole slices, in chunks of a fixed size shared among rayon's threads.

use rayon::prelude::*;

use super::real::Real;

/// Numbers a task: large enough that handing it over costs little, small enough to stay in a core's cache.
pub const CHUNK: usize = 1 << 14;

/// `y = f(x)`, element by element.
pub fn map<T: Real>(x: &[T], y: &mut [T], f: impl Fn(T) -> T + Sync) {
    assert_eq!(x.len(), y.len(), "as many outputs as inputs");
    let chunk = |(x, y): (&[T], &mut [T])| x.iter().zip(y).for_each(|(&x, y)| *y = f(x));
    if x.len() <= CHUNK {
        chunk((x, y));
    } else {
        x.par_chunks(CHUNK).zip(y.par_chunks_mut(CHUNK)).for_each(chunk);
    }
}

/// `y = f(a, b)`, element by element.
pub fn map2<T: Real>(a: &[T], b: &[T], y: &mut [T], f: impl Fn(T, T) -> T + Sync) {
    assert_eq!(a.len(), b.len(), "as many numbers on both sides");
    assert_eq!(a.len(), y.len(), "as many outputs as inputs");
    let chunk = |((a, b), y): ((&[T], &[T]), &mut [T])| a.iter().zip(b).zip(y).for_each(|((&a, &b), y)| *y = f(a, b));
    if a.len() <= CHUNK {
        chunk(((a, b), y));
    } else {
        a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK)).zip(y.par_chunks_mut(CHUNK)).for_each(chunk);
    }
}
