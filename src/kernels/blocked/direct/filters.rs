//! Filters in the order in which a direct convolution reads them, and their gradient back.

use super::Direct;
use crate::kernels::lanes::WIDTH;

/// Packs filters.
pub struct Pack<'a> {
    /// Sizes and direction.
    pub direct: &'a Direct,
    /// `[out, in / groups, k, k]`.
    pub weights: &'a [f32],
    /// [`Direct::filters`] floats.
    pub to: &'a mut [f32],
}

impl Pack<'_> {
    /// Packs.
    pub fn run(self) {
        assert!(self.weights.len() == self.direct.conv.weights() && self.to.len() == self.direct.filters, "direct: other filters");
        self.to.fill(0.0);
        self.direct.each(|place, weight| self.to[place] = self.weights[weight]);
    }
}

/// Adds the packed filters' gradient to their gradient.
pub struct Unpack<'a> {
    /// Sizes; of the forward pass.
    pub direct: &'a Direct,
    /// [`Direct::filters`] floats.
    pub packed: &'a [f32],
    /// `[out, in / groups, k, k]`, added to.
    pub weights: &'a mut [f32],
}

impl Unpack<'_> {
    /// Unpacks.
    pub fn run(self) {
        assert!(
            self.weights.len() == self.direct.conv.weights() && self.packed.len() == self.direct.filters,
            "direct: other filters"
        );
        self.direct.each(|place, weight| self.weights[weight] += self.packed[place]);
    }
}

impl Direct {
    /// Calls `f` with each packed place that holds a weight, and with that weight's place in `[out, in / groups, k, k]`.
    fn each(&self, mut f: impl FnMut(usize, usize)) {
        let (k, seen) = (self.conv.kernel, self.conv.seen());
        let outputs_a_group = self.conv.output.channels / self.conv.groups;
        for pair in &self.pairs {
            let mut place = pair.filters;
            let end = self.written.channels.min((pair.block + pair.columns) * WIDTH);
            for run in &pair.runs {
                // The adjoint turns the filters round.
                let (y, x) = if self.adjoint { (k - 1 - run.tap.0, k - 1 - run.tap.1) } else { run.tap };
                for read in run.channel..run.channel + run.count {
                    for written in pair.block * WIDTH..end {
                        let (output, input) = if self.adjoint { (read, written) } else { (written, read) };
                        if output / outputs_a_group == input / seen {
                            let weight = ((output * seen + input % seen) * k + y) * k + x;
                            f(place + written - pair.block * WIDTH, weight);
                        }
                    }
                    place += pair.columns * WIDTH;
                }
            }
        }
    }
}
