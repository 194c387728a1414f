//! Lookahead (Zhang, Lucas, Hinton, Ba: "Lookahead Optimizer: k steps forward, 1 step back", 2019): slow parameters follow those
//! that are trained, which start again from them.

/// The slow parameters, in slices that always come in the same order and lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookahead {
    values: Vec<Vec<f32>>,
}

impl Lookahead {
    /// Starts at `values`.
    pub fn new(values: Vec<Vec<f32>>) -> Self {
        Self { values }
    }

    /// Moves the slow parameters by `alpha` of the way to `parameters`, and those to where the slow ones are now.
    ///
    /// # Panics
    /// Where `parameters` are not the slices it started with.
    pub fn update<'a>(&mut self, parameters: impl Iterator<Item = &'a mut [f32]>, alpha: f64) {
        let mut moved = 0;
        for (slow, fast) in self.values.iter_mut().zip(parameters) {
            assert_eq!(slow.len(), fast.len());
            for (slow, fast) in slow.iter_mut().zip(fast) {
                *slow += alpha as f32 * (*fast - *slow);
                *fast = *slow;
            }
            moved += 1;
        }
        assert_eq!(moved, self.values.len());
    }

    /// The slow parameters.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_parameters_go_a_share_of_the_way_and_fast_ones_start_from_there() {
        let mut lookahead = Lookahead::new(vec![vec![0.0], vec![8.0, 4.0]]);
        let mut fast = [vec![4.0f32], vec![0.0, 4.0]];
        lookahead.update(fast.iter_mut().map(Vec::as_mut_slice), 0.25);
        assert_eq!(lookahead.values(), [vec![1.0], vec![6.0, 4.0]]);
        assert_eq!(fast, [vec![1.0], vec![6.0, 4.0]]);
        fast[0][0] = 3.0;
        lookahead.update(fast.iter_mut().map(Vec::as_mut_slice), 1.0);
        assert_eq!((lookahead.values()[0][0], fast[0][0]), (3.0, 3.0));
    }
}
