//! Winograd's F(4×4, 3×3) at the points 0, ±5/8, ±3/2 and ∞, one vector of sixteen channels at a time.
//!
//! A tile of 6×6 inputs and a 3×3 filter give 4×4 outputs by 36 products instead of 144:
//! `Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A` (Lavin and Gray, arXiv 1509.09308). The points decide the rounding error; these were found by
//! search (Barabasz and others, arXiv 1803.10986) and lose half of what 0, ±1, ±2 lose. Each transform stands beside its
//! adjoint (the same matrix transposed), which is what the backward pass needs.

use crate::kernels::lanes::Lanes;

/// The points ±A and ±B.
const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;

/// Rows of G: 1 over the product of a point's distances to the others.
const G0: f32 = 1.0 / (A2 * B2);
const GA: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
const GB: f32 = 1.0 / (2.0 * B2 * (B2 - A2));

/// `Bᵀ d`: inputs to points.
#[inline(always)]
fn input<L: Lanes>(l: L, d: [L::V; 6]) -> [L::V; 6] {
    let (a, b, a2, b2) = (l.splat(A), l.splat(B), l.splat(A2), l.splat(B2));
    let (product, sum) = (l.splat(A2 * B2), l.splat(A2 + B2));
    let even_a = l.neg_mul_add(b2, d[2], d[4]);
    let odd_a = l.neg_mul_add(b2, d[1], d[3]);
    let even_b = l.neg_mul_add(a2, d[2], d[4]);
    let odd_b = l.neg_mul_add(a2, d[1], d[3]);
    [
        l.mul_add(product, d[0], l.neg_mul_add(sum, d[2], d[4])),
        l.mul_add(a, odd_a, even_a),
        l.neg_mul_add(a, odd_a, even_a),
        l.mul_add(b, odd_b, even_b),
        l.neg_mul_add(b, odd_b, even_b),
        l.mul_add(product, d[1], l.neg_mul_add(sum, d[3], d[5])),
    ]
}

/// `B v`: the adjoint of [`input`].
#[inline(always)]
fn input_adjoint<L: Lanes>(l: L, v: [L::V; 6]) -> [L::V; 6] {
    let (a2, b2, product, sum) = (l.splat(A2), l.splat(B2), l.splat(A2 * B2), l.splat(A2 + B2));
    let below = l.splat(-(A2 + B2));
    let even_a = l.add(v[1], v[2]);
    let odd_a = l.mul(l.splat(A), l.sub(v[1], v[2]));
    let even_b = l.add(v[3], v[4]);
    let odd_b = l.mul(l.splat(B), l.sub(v[3], v[4]));
    [
        l.mul(product, v[0]),
        l.neg_mul_add(b2, odd_a, l.neg_mul_add(a2, odd_b, l.mul(product, v[5]))),
        l.neg_mul_add(b2, even_a, l.neg_mul_add(a2, even_b, l.mul(below, v[0]))),
        l.neg_mul_add(sum, v[5], l.add(odd_a, odd_b)),
        l.add(v[0], l.add(even_a, even_b)),
        v[5],
    ]
}

/// `Aᵀ m`: points to outputs.
#[inline(always)]
fn output<L: Lanes>(l: L, m: [L::V; 6]) -> [L::V; 4] {
    let (even_a, odd_a) = (l.add(m[1], m[2]), l.sub(m[1], m[2]));
    let (even_b, odd_b) = (l.add(m[3], m[4]), l.sub(m[3], m[4]));
    [
        l.add(m[0], l.add(even_a, even_b)),
        l.mul_add(l.splat(A), odd_a, l.mul(l.splat(B), odd_b)),
        l.mul_add(l.splat(A2), even_a, l.mul(l.splat(B2), even_b)),
        l.mul_add(l.splat(A2 * A), odd_a, l.mul_add(l.splat(B2 * B), odd_b, m[5])),
    ]
}

/// `A y`: the adjoint of [`output`].
#[inline(always)]
fn output_adjoint<L: Lanes>(l: L, y: [L::V; 4]) -> [L::V; 6] {
    let even_a = l.mul_add(l.splat(A2), y[2], y[0]);
    let odd_a = l.mul_add(l.splat(A2 * A), y[3], l.mul(l.splat(A), y[1]));
    let even_b = l.mul_add(l.splat(B2), y[2], y[0]);
    let odd_b = l.mul_add(l.splat(B2 * B), y[3], l.mul(l.splat(B), y[1]));
    [y[0], l.add(even_a, odd_a), l.sub(even_a, odd_a), l.add(even_b, odd_b), l.sub(even_b, odd_b), y[3]]
}

/// `G g`: filter to points.
#[inline(always)]
fn filter<L: Lanes>(l: L, g: [L::V; 3]) -> [L::V; 6] {
    let even_a = l.mul(l.splat(GA), l.mul_add(l.splat(A2), g[2], g[0]));
    let odd_a = l.mul(l.splat(GA * A), g[1]);
    let even_b = l.mul(l.splat(GB), l.mul_add(l.splat(B2), g[2], g[0]));
    let odd_b = l.mul(l.splat(GB * B), g[1]);
    [l.mul(l.splat(G0), g[0]), l.add(even_a, odd_a), l.sub(even_a, odd_a), l.add(even_b, odd_b), l.sub(even_b, odd_b), g[2]]
}

/// `Gᵀ u`: the adjoint of [`filter`].
#[inline(always)]
fn filter_adjoint<L: Lanes>(l: L, u: [L::V; 6]) -> [L::V; 3] {
    let even_a = l.mul(l.splat(GA), l.add(u[1], u[2]));
    let even_b = l.mul(l.splat(GB), l.add(u[3], u[4]));
    let odd_a = l.mul(l.splat(GA * A), l.sub(u[1], u[2]));
    let odd_b = l.mul(l.splat(GB * B), l.sub(u[3], u[4]));
    [
        l.mul_add(l.splat(G0), u[0], l.add(even_a, even_b)),
        l.add(odd_a, odd_b),
        l.mul_add(l.splat(A2), even_a, l.mul_add(l.splat(B2), even_b, u[5])),
    ]
}

/// A matrix that turns N vectors into M.
pub(super) trait Matrix<const N: usize, const M: usize> {
    /// The product.
    fn apply<L: Lanes>(l: L, v: [L::V; N]) -> [L::V; M];
}

macro_rules! matrices {
    ($($name:ident = $function:ident: $n:literal to $m:literal;)*) => {$(
        pub(super) struct $name;
        impl Matrix<$n, $m> for $name {
            #[inline(always)]
            fn apply<L: Lanes>(l: L, v: [L::V; $n]) -> [L::V; $m] {
                $function(l, v)
            }
        }
    )*};
}

// Types rather than functions: a function passed as a value is not surely inlined, and these must be.
matrices! {
    Input = input: 6 to 6;
    InputAdjoint = input_adjoint: 6 to 6;
    Output = output: 6 to 4;
    OutputAdjoint = output_adjoint: 4 to 6;
    Filter = filter: 3 to 6;
    FilterAdjoint = filter_adjoint: 6 to 3;
}

/// Where the vectors of a square lie.
pub(super) trait Square {
    /// Floats from the square's base to a vector; none where there is no such vector: it reads as zeros and is not written.
    fn place(&self, row: usize, column: usize) -> Option<usize>;
}

/// A whole square; strides count floats.
#[derive(Clone, Copy)]
pub(super) struct Whole {
    pub(super) row: usize,
    pub(super) column: usize,
}

impl Square for Whole {
    #[inline(always)]
    fn place(&self, row: usize, column: usize) -> Option<usize> {
        Some(row * self.row + column * self.column)
    }
}

/// A square in memory: its base, and where from there its vectors lie.
pub(super) struct Lying<'a, P, S> {
    pub(super) base: P,
    pub(super) places: &'a S,
}

// Derived, they would ask the places to be copied, too.
impl<P: Copy, S> Copy for Lying<'_, P, S> {}

impl<P: Copy, S> Clone for Lying<'_, P, S> {
    fn clone(&self) -> Self {
        *self
    }
}

/// What happens to a result.
pub(super) trait Sink<L: Lanes> {
    /// Puts `v` at `to`.
    ///
    /// # Safety
    /// `to` is valid for reads and writes of sixteen floats.
    unsafe fn put(&self, l: L, to: *mut f32, v: L::V);
}

/// It is written.
pub(super) struct Write;

/// It is added to what is there.
pub(super) struct Add;

/// This is added to it and it is written.
pub(super) struct Plus<V>(pub(super) V);

/// This is added to it and what is not below 0 is written.
pub(super) struct PlusRectified<V>(pub(super) V);

impl<L: Lanes> Sink<L> for Write {
    #[inline(always)]
    unsafe fn put(&self, l: L, to: *mut f32, v: L::V) {
        // SAFETY: as the caller promises.
        unsafe { l.store(to, v) }
    }
}

impl<L: Lanes> Sink<L> for Add {
    #[inline(always)]
    unsafe fn put(&self, l: L, to: *mut f32, v: L::V) {
        // SAFETY: as the caller promises.
        unsafe { l.store(to, l.add(l.load(to), v)) }
    }
}

impl<L: Lanes> Sink<L> for Plus<L::V> {
    #[inline(always)]
    unsafe fn put(&self, l: L, to: *mut f32, v: L::V) {
        // SAFETY: as the caller promises.
        unsafe { l.store(to, l.add(v, self.0)) }
    }
}

impl<L: Lanes> Sink<L> for PlusRectified<L::V> {
    #[inline(always)]
    unsafe fn put(&self, l: L, to: *mut f32, v: L::V) {
        // SAFETY: as the caller promises.
        unsafe { l.store(to, l.max(l.zero(), l.add(v, self.0))) }
    }
}

/// A transform along both axes of a square, columns first.
///
/// # Safety
/// Of the N × N places of `from` those that there are are valid for reads of sixteen floats from its base on, of the M × M of
/// `to` for reads and writes.
#[inline(always)]
pub(super) unsafe fn square<L: Lanes, T: Matrix<N, M>, const N: usize, const M: usize>(
    l: L,
    _: T,
    from: Lying<'_, *const f32, impl Square>,
    to: Lying<'_, *mut f32, impl Square>,
    sink: &impl Sink<L>,
) {
    let mut columns = [[l.zero(); M]; N];
    for (column, out) in columns.iter_mut().enumerate() {
        let mut line = [l.zero(); N];
        for (row, v) in line.iter_mut().enumerate() {
            if let Some(place) = from.places.place(row, column) {
                // SAFETY: row and column are below N.
                *v = unsafe { l.load(from.base.add(place)) };
            }
        }
        *out = T::apply(l, line);
    }
    for row in 0..M {
        let mut line = [l.zero(); N];
        for (v, column) in line.iter_mut().zip(&columns) {
            *v = column[row];
        }
        for (column, v) in T::apply(l, line).into_iter().enumerate() {
            if let Some(place) = to.places.place(row, column) {
                // SAFETY: row and column are below M.
                unsafe { sink.put(l, to.base.add(place), v) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::lanes::portable::Portable;

    fn lanes<const N: usize>(values: [f32; N]) -> [<Portable as Lanes>::V; N] {
        values.map(|x| Portable.splat(x))
    }

    fn first(v: <Portable as Lanes>::V) -> f32 {
        let mut out = [0.0; 16];
        Portable.write(&mut out, v);
        out[0]
    }

    #[test]
    fn one_line_is_a_convolution() {
        let (d, g) = ([0.3, -1.2, 0.8, 2.0, -0.4, 1.1], [0.5, -0.7, 0.2]);
        let (v, u) = (input(Portable, lanes(d)), filter(Portable, lanes(g)));
        let y = output(Portable, std::array::from_fn(|i| Portable.mul(v[i], u[i])));
        for (i, y) in y.into_iter().enumerate() {
            let direct: f32 = (0..3).map(|k| d[i + k] * g[k]).sum();
            assert!((first(y) - direct).abs() < 1e-5, "{i}: {} for {direct}", first(y));
        }
    }

    #[test]
    fn adjoints_are_transposes() {
        let dot = |x: &[<Portable as Lanes>::V], y: &[f32]| x.iter().zip(y).map(|(&x, y)| first(x) * y).sum::<f32>();
        let (six, other) = ([0.3, -1.2, 0.8, 2.0, -0.4, 1.1], [1.0, 0.2, -0.6, 0.9, 1.4, -2.0]);
        let (four, three) = ([0.7, -0.1, 1.3, 0.4], [0.9, -1.5, 0.6]);
        let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-4, "{a} {b}");
        close(dot(&input(Portable, lanes(six)), &other), dot(&input_adjoint(Portable, lanes(other)), &six));
        close(dot(&output(Portable, lanes(six)), &four), dot(&output_adjoint(Portable, lanes(four)), &six));
        close(dot(&filter(Portable, lanes(three)), &six), dot(&filter_adjoint(Portable, lanes(six)), &three));
    }
}
