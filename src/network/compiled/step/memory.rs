//! Where a group of images has its values while its nodes are computed.

use super::program::{Program, Value};
use crate::kernels::Buffer;

/// What one thread computes in.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// Values that nobody reads later.
    pub(super) scratch: Buffer,
    /// What a convolution computes in.
    pub(super) conv: Buffer,
    /// A second gradient of a value that has two readers.
    pub(super) spare: Buffer,
    /// Gradients of a group's values, in programs of one segment.
    pub(super) gradients: Buffer,
}

impl Workspace {
    pub(super) fn new(program: &Program) -> Self {
        let sizes = &program.sizes;
        let gradients = if program.segments.len() == 1 { program.gradients_a_group() } else { 0 };
        Self {
            scratch: Buffer::zeros(sizes.scratch * program.group),
            conv: Buffer::zeros(sizes.workspace),
            spare: Buffer::zeros(sizes.largest * program.group),
            gradients: Buffer::zeros(gradients),
        }
    }
}

impl Program {
    /// Floats that a group keeps.
    pub(super) fn saved_a_group(&self) -> usize {
        self.sizes.saved * self.group + self.sizes.partial
    }

    /// Floats of a group's gradients.
    pub(super) fn gradients_a_group(&self) -> usize {
        self.sizes.gradients * self.group + self.sizes.partial
    }

    /// Where a norm's partial sums lie in a group's values, or (in the backward pass) gradients.
    pub(super) fn partial(&self, norm: usize, an_image: usize) -> std::ops::Range<usize> {
        let norm = &self.norms[norm];
        let start = an_image * self.group + norm.partial;
        start..start + 3 * norm.maps.len() / norm.maps.plane()
    }
}

/// A group's values: those kept and those in scratch.
pub(super) struct Values<'a> {
    pub(super) program: &'a Program,
    /// Images in this group.
    pub(super) images: usize,
    pub(super) saved: &'a mut [f32],
    pub(super) scratch: &'a mut [f32],
}

impl Values<'_> {
    fn place(&self, value: usize) -> (bool, std::ops::Range<usize>) {
        let Value { maps, saved, offset, .. } = &self.program.values[value];
        let start = offset * self.program.group;
        (*saved, start..start + maps.len() * self.images)
    }

    /// A value, to be changed.
    pub(super) fn get(&mut self, value: usize) -> &mut [f32] {
        let (saved, range) = self.place(value);
        if saved { &mut self.saved[range] } else { &mut self.scratch[range] }
    }

    /// One value to read and another to write.
    pub(super) fn pair(&mut self, read: usize, write: usize) -> (&[f32], &mut [f32]) {
        let ((read_saved, read), (write_saved, write)) = (self.place(read), self.place(write));
        match (read_saved, write_saved) {
            (true, true) => disjoint(self.saved, read, write),
            (false, false) => disjoint(self.scratch, read, write),
            (true, false) => (&self.saved[read], &mut self.scratch[write]),
            (false, true) => (&self.scratch[read], &mut self.saved[write]),
        }
    }
}

/// Two ranges of one slice that do not overlap.
pub(super) fn disjoint(slice: &mut [f32], read: std::ops::Range<usize>, write: std::ops::Range<usize>) -> (&[f32], &mut [f32]) {
    if read.end <= write.start {
        let (left, right) = slice.split_at_mut(write.start);
        (&left[read], &mut right[..write.end - write.start])
    } else {
        let (left, right) = slice.split_at_mut(read.start);
        (&right[..read.end - read.start], &mut left[write])
    }
}
