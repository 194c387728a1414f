//! Which numbers of a vector are not 0.

use super::CHUNK;

/// Positions, in order.
#[derive(Debug, Default)]
pub struct Places {
    found: Vec<u32>,
    /// Up to where in `found` each chunk's go.
    ends: Vec<u32>,
    /// Length of what was looked through.
    inputs: usize,
}

impl Places {
    /// Looks through `vector`. Allocates only for a longer one than ever before.
    pub fn find(&mut self, vector: &[f32]) {
        if self.found.len() < vector.len() {
            self.found.resize(vector.len(), 0);
        }
        self.inputs = vector.len();
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

    /// Length of what was looked through; every position is below.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Positions in each chunk of inputs.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u32]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let chunk = &self.found[start..end as usize];
            start = end as usize;
            chunk
        })
    }
}
