//! Fully connected layers in evaluation: weights packed once, read as few times as can be.
//!
//! Weights lie panel × input × outputs of the panel, a panel being up to 64 outputs, so that whatever an input is multiplied
//! with in one panel is one piece of memory. Of a single image the inputs that are exactly 0 (after a rectifier, most) are
//! left out with all their weights. Sums over inputs are made in the same chunks either way, and adding a product with 0
//! changes nothing: an image's result does not depend on how many others it came with.

use crate::kernels::blocked::part::Shared;
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::team::Team;
use crate::kernels::tier::Tier;

/// Vectors of outputs in a panel.
const PANEL: usize = 4;
/// Inputs that are summed before their sum is added to the others: a chunk's weights fit the nearest cache.
const CHUNK: usize = 64;
/// Inputs whose weights are called for at once.
const FEW: usize = 4;
/// Images that one task multiplies, where there are too few panels for all threads.
const ROWS: usize = 16;

/// Sizes of a fully connected layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panels {
    /// Input features as they lie in memory, fillers included.
    pub inputs: usize,
    /// Output features.
    pub outputs: usize,
}

/// Parameters and what happens to the result.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// [`Panels::weights`] floats by [`Panels::place`].
    pub weights: &'a [f32],
    /// A number an output, filled up to a vector with zeros.
    pub bias: &'a [f32],
    /// Whether what is below 0 becomes 0.
    pub rectify: bool,
}

/// Vectors of a batch, one after another.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Numbers.
    pub values: &'a [f32],
    /// Floats from one vector to the next.
    pub stride: usize,
    /// Where numbers of the only vector are not 0; none where there are several.
    pub places: Option<&'a Places>,
}

/// Which numbers of a vector are not 0.
#[derive(Debug, Default)]
pub struct Places {
    /// Their positions.
    found: Vec<u32>,
    /// Up to where in `found` each chunk's go.
    ends: Vec<u32>,
}

impl Places {
    /// Looks through `vector`. Allocates only for a longer one than ever before.
    pub fn find(&mut self, vector: &[f32]) {
        if self.found.len() < vector.len() {
            self.found.resize(vector.len(), 0);
        }
        self.ends.clear();
        let (mut position, mut count) = (0, 0);
        for chunk in vector.chunks(CHUNK) {
            for &x in chunk {
                // Written in any case, and overwritten unless it counts: a branch would be guessed wrong half the time.
                self.found[count] = position;
                count += usize::from(x != 0.0);
                position += 1;
            }
            self.ends.push(count as u32);
        }
    }

    /// Those of each chunk.
    fn chunks(&self) -> impl Iterator<Item = &[u32]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let chunk = &self.found[start..end as usize];
            start = end as usize;
            chunk
        })
    }
}

impl Panels {
    /// Vectors of sixteen outputs.
    fn vectors(&self) -> usize {
        self.outputs.div_ceil(WIDTH)
    }

    /// Number of weights, fillers included.
    pub fn weights(&self) -> usize {
        self.inputs * self.vectors() * WIDTH
    }

    /// First vector, number of vectors and first weight of a panel.
    fn panel(&self, panel: usize) -> (usize, usize, usize) {
        let first = panel * PANEL;
        (first, PANEL.min(self.vectors() - first), first * self.inputs * WIDTH)
    }

    /// The place of a weight.
    pub fn place(&self, output: usize, input: usize) -> usize {
        let (first, vectors, start) = self.panel(output / (PANEL * WIDTH));
        start + input * vectors * WIDTH + output - first * WIDTH
    }

    /// `y = W·x + b` for `images` vectors; `output` has them every `stride` floats, each filled up to a vector.
    pub fn forward(
        &self,
        (tier, team): (Tier, &Team),
        layer: Layer<'_>,
        (input, images): (Rows<'_>, usize),
        (output, stride): (&mut [f32], usize),
    ) {
        let padded = self.vectors() * WIDTH;
        assert!(layer.weights.len() == self.weights() && layer.bias.len() == padded, "dense: parameters");
        assert!(images > 0 && input.values.len() >= (images - 1) * input.stride + self.inputs, "dense: inputs");
        assert!(output.len() >= (images - 1) * stride + padded && stride >= padded, "dense: outputs");
        let places = input.places;
        assert!(places.is_none_or(|places| images == 1 && places.ends.len() == self.inputs.div_ceil(CHUNK)), "dense: places");
        let panels = self.vectors().div_ceil(PANEL);
        let rows = if panels >= team.size() { images } else { ROWS };
        let bands = images.div_ceil(rows);
        // SAFETY: a task writes one panel's outputs of its own band of images.
        let shared = unsafe { Shared::new(output, panels * bands) };
        team.each(shared, |task, output| {
            let first = task / panels * rows;
            let rows = first..images.min(first + rows);
            let (vector, vectors, weight) = self.panel(task % panels);
            let weights = &layer.weights[weight..][..self.inputs * vectors * WIDTH];
            let bias = &layer.bias[vector * WIDTH..][..vectors * WIDTH];
            let (input, input_stride) = (&input.values[first * input.stride..], input.stride);
            let at = output.place(first * stride + vector * WIDTH, (rows.len() - 1) * stride + vectors * WIDTH);
            let task = Multiply { inputs: self.inputs, weights, bias, rectify: layer.rectify, input, at };
            if let Some(places) = places {
                tier.run(One(task, places));
            } else {
                tier.run(Many { task, rows: rows.len(), strides: (input_stride, stride) });
            }
        });
    }
}

/// One panel's outputs.
#[derive(Clone, Copy)]
struct Multiply<'a> {
    inputs: usize,
    weights: &'a [f32],
    bias: &'a [f32],
    rectify: bool,
    /// From the first vector on.
    input: &'a [f32],
    /// The panel's place in the first vector of outputs.
    at: *mut f32,
}

/// Of one vector, whose zeros are left out.
struct One<'a>(Multiply<'a>, &'a Places);

impl Kernel for One<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        match self.0.bias.len() / WIDTH {
            1 => self.0.one::<L, 1>(l, self.1),
            2 => self.0.one::<L, 2>(l, self.1),
            3 => self.0.one::<L, 3>(l, self.1),
            _ => self.0.one::<L, PANEL>(l, self.1),
        }
    }
}

impl Multiply<'_> {
    #[inline(always)]
    fn one<L: Lanes, const C: usize>(self, l: L, places: &Places) {
        assert!(self.bias.len() == C * WIDTH && self.weights.len() == self.inputs * C * WIDTH, "dense: a panel");
        // SAFETY: the bias is C vectors long.
        let mut totals: [L::V; C] = std::array::from_fn(|c| unsafe { l.load(self.bias.as_ptr().add(c * WIDTH)) });
        let input = &self.input[..self.inputs];
        for chunk in places.chunks() {
            let mut sums = [l.zero(); C];
            for &place in chunk {
                let place = place as usize;
                let x = l.splat(input[place]);
                for (c, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: each of the inputs has C vectors of weights, and `place` is below their number.
                    *sum = l.mul_add(x, unsafe { l.load(self.weights.as_ptr().add((place * C + c) * WIDTH)) }, *sum);
                }
            }
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total = l.add(*total, sum);
            }
        }
        for (c, total) in totals.into_iter().enumerate() {
            let y = if self.rectify { l.max(l.zero(), total) } else { total };
            // SAFETY: the place has room for C vectors.
            unsafe { l.store(self.at.add(c * WIDTH), y) }
        }
    }
}

/// Of several vectors.
struct Many<'a> {
    task: Multiply<'a>,
    rows: usize,
    /// From one vector to the next, of inputs and of outputs.
    strides: (usize, usize),
}

impl Kernel for Many<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Multiply { inputs, weights, bias, rectify, input, at } = self.task;
        let columns = bias.len() / WIDTH;
        assert!(weights.len() == inputs * bias.len() && input.len() >= (self.rows - 1) * self.strides.0 + inputs, "dense: a panel");
        for row in 0..self.rows {
            for column in 0..columns {
                // SAFETY: the bias has as many vectors as there are columns, and the place has room for every row's.
                unsafe { l.store(at.add(row * self.strides.1 + column * WIDTH), l.load(bias.as_ptr().add(column * WIDTH))) }
            }
        }
        for first in (0..inputs).step_by(CHUNK) {
            let steps = CHUNK.min(inputs - first);
            let mut tiles = Block { many: &self, columns, first, steps };
            // SAFETY: rows and columns are those of the output's place, and of inputs and weights as checked above.
            unsafe {
                if L::WIDE && columns == PANEL {
                    wide(l, self.rows, &mut tiles);
                } else {
                    sweep(l, Extent { rows: self.rows, columns, again: false }, &mut tiles);
                }
            }
        }
        for row in 0..if rectify { self.rows } else { 0 } {
            for column in 0..columns {
                // SAFETY: the place has room for every row's columns.
                unsafe {
                    let at = at.add(row * self.strides.1 + column * WIDTH);
                    l.store(at, l.max(l.zero(), l.load(at)));
                }
            }
        }
    }
}

/// Covers a whole panel with tiles of all its columns, so that weights are read in the order in which they lie.
///
/// # Safety
/// `tiles` can compute every tile of `rows` rows and a panel's columns.
#[inline(always)]
unsafe fn wide<L: Lanes>(l: L, rows: usize, tiles: &mut impl Tiles) {
    let mut row = 0;
    // SAFETY: every tile's rows lie inside.
    unsafe {
        while row + 6 <= rows && row + 8 != rows {
            tiles.tile::<L, 6, PANEL>(l, row, 0);
            row += 6;
        }
        while row + 4 <= rows {
            tiles.tile::<L, 4, PANEL>(l, row, 0);
            row += 4;
        }
        while row + 2 <= rows {
            tiles.tile::<L, 2, PANEL>(l, row, 0);
            row += 2;
        }
        if row < rows {
            tiles.tile::<L, 1, PANEL>(l, row, 0);
        }
    }
}

/// A chunk of inputs times its weights.
struct Block<'a> {
    many: &'a Many<'a>,
    columns: usize,
    first: usize,
    steps: usize,
}

impl Tiles for Block<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let Many { task, strides: (read, written), .. } = *self.many;
        // SAFETY: the run method checked that inputs, weights and outputs have room for every row and column it sweeps.
        unsafe {
            let a = task.input.as_ptr().add(row * read + self.first);
            let b = task.weights.as_ptr().add((self.first * self.columns + column) * WIDTH);
            let (b_step, b_column) = (self.columns * WIDTH, WIDTH);
            let mut sums = [[l.zero(); C]; R];
            // The last images of a chunk call for the next chunk's weights.
            let few = if row + R == self.many.rows && C == PANEL { FEW } else { self.steps };
            for first in (0..self.steps).step_by(few) {
                if few == FEW {
                    for vector in 0..FEW * C {
                        l.prefetch(b.wrapping_add((CHUNK + first) * b_step + vector * WIDTH));
                    }
                }
                let operands =
                    Operands { a: a.add(first), row: |r: usize| r * read, a_step: 1, b: b.add(first * b_step), b_step, b_column };
                operands.accumulate(l, &mut sums, few.min(self.steps - first));
            }
            let at = task.at.add(row * written + column * WIDTH);
            store(l, &sums, Target { at, row: written, column: WIDTH, add: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::noise;

    #[test]
    fn the_product_is_the_formulas_and_no_image_depends_on_another() {
        for (inputs, outputs, images) in [(1, 1, 1), (300, 10, 9), (128, 64, 2), (515, 200, 19), (77, 33, 3), (256, 130, 8)] {
            let panels = Panels { inputs, outputs };
            let (w, b, mut x) = (noise(1, inputs * outputs), noise(2, outputs), noise(3, inputs * images));
            for x in &mut x {
                *x = x.max(0.0);
            }
            let (padded, stride) = (outputs.next_multiple_of(WIDTH), outputs.next_multiple_of(WIDTH) + 5);
            let mut weights = vec![0.0; panels.weights()];
            w.iter().enumerate().for_each(|(i, &w)| weights[panels.place(i / inputs, i % inputs)] = w);
            let mut bias = b.clone();
            bias.resize(padded, 0.0);
            for (tier, threads) in Tier::all().flat_map(|tier| [1, 3].map(|threads| (tier, threads))) {
                let team = Team::new(threads);
                for rectify in [false, true] {
                    let layer = Layer { weights: &weights, bias: &bias, rectify };
                    let run = |values: &[f32], images: usize| {
                        let mut y = vec![f32::NAN; images * stride];
                        let mut places = Places::default();
                        places.find(&values[..inputs]);
                        let places = (images == 1).then_some(&places);
                        panels.forward((tier, &team), layer, (Rows { values, stride: inputs, places }, images), (&mut y, stride));
                        y
                    };
                    let y = run(&x, images);
                    for (image, x) in x.chunks_exact(inputs).enumerate() {
                        let alone = run(x, 1);
                        assert_eq!(y[image * stride..][..padded], alone[..padded], "{tier} {threads}");
                        for (output, &got) in alone[..outputs].iter().enumerate() {
                            let w = &w[output * inputs..][..inputs];
                            let sum: f64 = w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                            let sum = sum + f64::from(b[output]);
                            let expected = if rectify { sum.max(0.0) } else { sum };
                            assert!((f64::from(got) - expected).abs() < 3e-5, "{tier}: {got} for {expected}");
                        }
                    }
                }
            }
        }
    }
}
