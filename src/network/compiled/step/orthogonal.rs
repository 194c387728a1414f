//! The filters that move by Muon: made orthogonal several at a time, so that threads have work however few rows one has.

use std::ops::Range;

use super::moves::{Moves, lengths};
use super::parameters::Plain;
use crate::kernels::newton_schulz::Squares;
use crate::kernels::team::Chunks;
use crate::kernels::{Team, Tier};
use crate::optim::{Muon, Rule};

/// Numbers of the matrices that are brought on together, at most, unless one alone has more: several megabytes, in three copies.
const TOGETHER: usize = 1 << 21;

/// Room for them, and which they are.
#[derive(Debug, Default)]
pub(super) struct Orthogonal {
    squares: Squares,
    /// Those of this step, in the order of the layers.
    matrices: Vec<Filters>,
}

/// One matrix.
#[derive(Debug, Clone, Copy)]
struct Filters {
    /// Its layer, and its place among the layer's parameters.
    layer: usize,
    place: usize,
    sides: [usize; 2],
    rule: Muon,
}

impl Orthogonal {
    /// Moves those of `layers` that move by Muon, by what was left in place of their gradients.
    pub(super) fn step(&mut self, (tier, team): (Tier, &Team), moves: Moves<'_>, layers: &mut [Vec<Plain>]) {
        let Self { squares, matrices } = self;
        matrices.clear();
        for (layer, parameters) in layers.iter().enumerate() {
            let trained = parameters.iter().enumerate().filter(|(_, plain)| plain.role.trained());
            matrices.extend(trained.enumerate().filter_map(|(own, (place, plain))| {
                let (Rule::Muon(rule), Some(sides)) = (moves.of(layer, own, plain.role), plain.sides) else { return None };
                Some(Filters { layer, place, sides, rule })
            }));
        }
        let mut rest = &matrices[..];
        while let Some(first) = rest.first() {
            let alike = rest.iter().take_while(|other| other.rule.ns_steps == first.rule.ns_steps);
            let (some, others) = rest.split_at(together(alike.map(|filters| filters.sides)));
            rest = others;
            squares.take(some.iter().map(|filters| filters.sides));
            squares.load(team, |at, row, column| {
                let Filters { layer, place, sides, .. } = some[at];
                layers[layer][place].gradient[row * sides[1] + column]
            });
            squares.run(tier, team, &first.rule.into());
            let squares = &*squares;
            team.each(Chunks::new(layers, 1), |layer, parameters| {
                for (at, filters) in some.iter().enumerate().filter(|(_, filters)| filters.layer == layer) {
                    let weights = &mut parameters[0][filters.place].trained.values[..];
                    let [kept, length] = lengths(&filters.rule, filters.sides, weights);
                    for (row, weights) in weights.chunks_exact_mut(filters.sides[1]).enumerate() {
                        for (column, w) in weights.iter_mut().enumerate() {
                            *w = kept * *w - length * squares.entry(at, row, column);
                        }
                    }
                }
            });
        }
    }
}

/// How many of these matrices, one at least, are brought on together.
fn together(sides: impl Iterator<Item = [usize; 2]>) -> usize {
    let mut numbers = 0;
    let fits = |sides: &[usize; 2]| {
        numbers += Squares::numbers(*sides);
        numbers <= TOGETHER
    };
    sides.take_while(fits).count().max(1)
}

/// Bytes of the room for matrices of these `sides`, all of which move by Muon in the same way.
pub(super) fn bytes(sides: &[[usize; 2]]) -> usize {
    let of = |range: Range<usize>| Squares::bytes(sides[range].iter().copied());
    let (mut most, mut first) = (0, 0);
    while first < sides.len() {
        let end = first + together(sides[first..].iter().copied());
        most = most.max(of(first..end));
        first = end;
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_brought_on_together_as_stay_in_a_few_megabytes() {
        let large = [1024, 1024];
        assert_eq!(together([large; 5].into_iter()), 2);
        assert_eq!(together([[4096, 4096], large].into_iter()), 1, "one that has more alone");
        assert_eq!(together([[64, 576]; 9].into_iter()), 9);
        assert_eq!(bytes(&[large; 5]), Squares::bytes([large; 2].into_iter()));
        assert_eq!((bytes(&[]), bytes(&[[4096, 4096], large])), (0, Squares::bytes([[4096, 4096]].into_iter())));
    }
}
