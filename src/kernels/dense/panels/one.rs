//! One image's vector: its zeros are left out, and with them most weights are never read.

use super::{PANEL, Places, Task, Weight};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::product;

/// One panel's outputs of one image.
pub(super) struct One<'a, W> {
    pub(super) task: Task<'a>,
    pub(super) weights: &'a [W],
    pub(super) places: &'a Places,
}

impl<W: Weight> Kernel for One<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        match self.task.bias.len() / WIDTH {
            1 => self.panel::<L, 1>(l),
            2 => self.panel::<L, 2>(l),
            3 => self.panel::<L, 3>(l),
            _ => self.panel::<L, PANEL>(l),
        }
    }
}

impl<W: Weight> One<'_, W> {
    #[inline(always)]
    fn panel<L: Lanes, const C: usize>(self, l: L) {
        let Self { task: Task { inputs, bias, rectify, input, at, .. }, weights, places } = self;
        assert!(
            bias.len() == C * WIDTH && weights.len() == product([inputs, C, WIDTH]) && places.inputs() == inputs,
            "dense: a panel"
        );
        // SAFETY: the bias is C vectors long.
        let mut totals: [L::V; C] = std::array::from_fn(|c| unsafe { l.load(bias.as_ptr().add(c * WIDTH)) });
        let input = &input[..inputs];
        for chunk in places.chunks() {
            let mut sums = [l.zero(); C];
            for &place in chunk {
                let place = place as usize;
                let x = l.splat(input[place]);
                for (c, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: each of the inputs has C vectors of weights, and `place` is below their number.
                    *sum = l.mul_add(x, unsafe { W::load(l, weights.as_ptr().add((place * C + c) * WIDTH)) }, *sum);
                }
            }
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total = l.add(*total, sum);
            }
        }
        for (c, total) in totals.into_iter().enumerate() {
            let y = if rectify { l.max(l.zero(), total) } else { total };
            // SAFETY: the place has room for C vectors.
            unsafe { l.store(at.add(c * WIDTH), y) }
        }
    }
}
