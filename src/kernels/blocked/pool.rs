//! Pooling in the blocked layout: the maximum or the mean of each window.

use std::ops::Range;

use super::Maps;
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::window::{adaptive, sliding};

/// A winner that gets no gradient: the maximum was not positive and is rectified.
pub const NOBODY: f32 = -1.0;

/// Windows over a plane: the rows and columns of the input that each row and column of the output covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// What is pooled.
    pub input: Maps,
    /// For each row of the output, its rows of the input; none is empty.
    pub rows: Vec<Range<usize>>,
    /// For each column of the output, its columns of the input; none is empty.
    pub columns: Vec<Range<usize>>,
    /// What a mean's sum is divided by; the window's own area where there is none.
    pub divisor: Option<usize>,
}

impl Windows {
    /// Square windows that slide over feature maps, with padding of at most half their side. A mean counts the padding as zeros
    /// (`count_include_pad`). PyTorch leaves out of the area what reaches beyond the padding; with windows that start inside, as
    /// all of these do, there is nothing there.
    pub fn sliding(input: Maps, kernel: usize, stride: usize, padding: usize) -> Self {
        let along = |side: usize| sliding(side, kernel, stride, padding);
        Self { input, rows: along(input.height), columns: along(input.width), divisor: Some(kernel * kernel) }
    }

    /// PyTorch's windows of adaptive pooling, so that `side` × `side` come out.
    pub fn adaptive(input: Maps, side: usize) -> Self {
        Self { input, rows: adaptive(input.height, side), columns: adaptive(input.width, side), divisor: None }
    }

    /// What comes out.
    pub fn output(&self) -> Maps {
        Maps { channels: self.input.channels, height: self.rows.len(), width: self.columns.len() }
    }

    /// Planes of sixteen channels in as many images as fill `len` floats of input.
    fn planes(&self, len: usize) -> usize {
        len / (self.input.plane() * WIDTH)
    }

    fn check(&self, input: usize, output: usize) {
        let planes = self.planes(input);
        assert!(
            input == planes * self.input.plane() * WIDTH && output == planes * self.output().plane() * WIDTH,
            "pooling: lengths"
        );
    }

    fn share(&self, rows: &Range<usize>, columns: &Range<usize>) -> f32 {
        1.0 / self.divisor.unwrap_or(rows.len() * columns.len()) as f32
    }

    /// Calls `f` with each window: its output's place, its rows and its columns.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(usize, &Range<usize>, &Range<usize>)) {
        let mut place = 0;
        for rows in &self.rows {
            for columns in &self.columns {
                f(place, rows, columns);
                place += 1;
            }
        }
    }
}

/// The maximum of each window; a tie goes to the first in row order, NaN wins.
pub struct Max<'a> {
    /// Windows.
    pub windows: &'a Windows,
    /// Whether the maximum is rectified: below 0 it becomes 0. (The same as pooling rectified numbers.)
    pub rectify: bool,
    /// Images.
    pub input: &'a [f32],
    /// As many pooled images.
    pub output: &'a mut [f32],
    /// Position in its window of each output's winner, row by row, or [`NOBODY`]; left out where no gradient will be asked for. (Positions
    /// are floats, so that they are compared and chosen in the same vectors as the numbers they belong to.)
    pub winners: Option<&'a mut [f32]>,
}

impl Kernel for Max<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let Windows { input: Maps { width, .. }, .. } = *self.windows;
        let (from, to) = (self.windows.input.plane(), self.windows.output().plane());
        self.windows.check(self.input.len(), self.output.len());
        let (inputs, outputs) = (self.input.as_chunks::<WIDTH>().0, self.output.as_chunks_mut::<WIDTH>().0);
        let mut winners = self.winners.as_deref_mut().map(|winners| winners.as_chunks_mut::<WIDTH>().0);
        for plane in 0..inputs.len() / from {
            let input = &inputs[plane * from..][..from];
            let output = &mut outputs[plane * to..][..to];
            let mut winners = winners.as_deref_mut().map(|winners| &mut winners[plane * to..][..to]);
            self.windows.each(|place, rows, columns| {
                let first = l.read(&input[rows.start * width + columns.start]);
                let (mut best, mut winner, mut at) = (first, l.zero(), 0.0);
                for row in rows.clone() {
                    for pixel in &input[row * width + columns.start..row * width + columns.end] {
                        let pixel = l.read(pixel);
                        winner = l.where_greater((pixel, best), l.splat(at), winner);
                        best = l.where_greater((pixel, best), pixel, best);
                        at += 1.0;
                    }
                }
                if self.rectify {
                    winner = l.where_greater((best, l.zero()), winner, l.splat(NOBODY));
                    best = l.where_greater((best, l.zero()), best, l.zero());
                }
                l.write(&mut output[place], best);
                if let Some(winners) = winners.as_deref_mut() {
                    l.write(&mut winners[place], winner);
                }
            });
        }
    }
}

/// The gradient of [`Max`]'s input: each output's goes to its winner.
pub struct MaxBackward<'a> {
    /// Windows.
    pub windows: &'a Windows,
    /// By [`Max`].
    pub winners: &'a [f32],
    /// Gradient of the output.
    pub output: &'a [f32],
    /// Gradient of the input, overwritten.
    pub input: &'a mut [f32],
}

impl Kernel for MaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Windows { input: Maps { width, .. }, .. } = *self.windows;
        let (from, to) = (self.windows.input.plane(), self.windows.output().plane());
        self.windows.check(self.input.len(), self.output.len());
        let (inputs, outputs) = (self.input.as_chunks_mut::<WIDTH>().0, self.output.as_chunks::<WIDTH>().0);
        let winners = self.winners.as_chunks::<WIDTH>().0;
        for plane in 0..inputs.len() / from {
            let input = &mut inputs[plane * from..][..from];
            input.as_flattened_mut().fill(0.0);
            let (output, winners) = (&outputs[plane * to..][..to], &winners[plane * to..][..to]);
            self.windows.each(|place, rows, columns| {
                let (gradient, winner, mut at) = (l.read(&output[place]), l.read(&winners[place]), 0.0);
                for row in rows.clone() {
                    for pixel in &mut input[row * width + columns.start..row * width + columns.end] {
                        let own = l.where_equal((winner, l.splat(at)), gradient, l.zero());
                        let sum = l.add(l.read(pixel), own);
                        l.write(pixel, sum);
                        at += 1.0;
                    }
                }
            });
        }
    }
}

/// The mean of each window.
pub struct Mean<'a> {
    /// Windows.
    pub windows: &'a Windows,
    /// Images.
    pub input: &'a [f32],
    /// As many pooled images.
    pub output: &'a mut [f32],
}

impl Kernel for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let width = self.windows.input.width;
        let (from, to) = (self.windows.input.plane(), self.windows.output().plane());
        self.windows.check(self.input.len(), self.output.len());
        let (inputs, outputs) = (self.input.as_chunks::<WIDTH>().0, self.output.as_chunks_mut::<WIDTH>().0);
        for (input, output) in inputs.chunks_exact(from).zip(outputs.chunks_exact_mut(to)) {
            self.windows.each(|place, rows, columns| {
                let mut sum = l.zero();
                for row in rows.clone() {
                    for pixel in &input[row * width + columns.start..row * width + columns.end] {
                        sum = l.add(sum, l.read(pixel));
                    }
                }
                l.write(&mut output[place], l.mul(sum, l.splat(self.windows.share(rows, columns))));
            });
        }
    }
}

/// The gradient of [`Mean`]'s input: each output's is spread evenly over its window.
pub struct MeanBackward<'a> {
    /// Windows.
    pub windows: &'a Windows,
    /// Gradient of the output.
    pub output: &'a [f32],
    /// Gradient of the input, overwritten.
    pub input: &'a mut [f32],
}

impl Kernel for MeanBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let width = self.windows.input.width;
        let (from, to) = (self.windows.input.plane(), self.windows.output().plane());
        self.windows.check(self.input.len(), self.output.len());
        self.input.fill(0.0);
        let (inputs, outputs) = (self.input.as_chunks_mut::<WIDTH>().0, self.output.as_chunks::<WIDTH>().0);
        for (input, output) in inputs.chunks_exact_mut(from).zip(outputs.chunks_exact(to)) {
            self.windows.each(|place, rows, columns| {
                let share = l.mul(l.read(&output[place]), l.splat(self.windows.share(rows, columns)));
                for row in rows.clone() {
                    for pixel in &mut input[row * width + columns.start..row * width + columns.end] {
                        let sum = l.add(l.read(pixel), share);
                        l.write(pixel, sum);
                    }
                }
            });
        }
    }
}
