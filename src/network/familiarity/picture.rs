//! What a picture is like, whatever it shows: how light and how lively each channel is, how much changes from pixel to pixel and from
//! block to block, and how colours change.
//!
//! In a page of text, in noise, in a pattern or an even surface these stand in proportions that photographs do not have. They are
//! computed of a network's input, in f32 with sums of a fixed order: the same on every processor and device.

use crate::kernels::Tier;
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::network::spec::Input;

/// Added within logarithms: a change that is no more than a grey level's rounding is none.
const FLOOR: f64 = 0.004;
/// Sizes of blocks that are compared: 1, 2, 4 and 8 pixels a side.
const SCALES: usize = 4;
/// Values added at a time, each to a sum of its own: so many that none waits for its last addition.
const STRIDE: usize = 2 * WIDTH;

/// How many [`statistics`] there are of a network's input.
pub fn count(input: Input) -> usize {
    let colours = if input.channels > 1 { input.channels } else { 0 };
    2 * input.channels + 4 * scales(input) + 2 * colours
}

/// Sizes of blocks of which there are two in either direction.
fn scales(input: Input) -> usize {
    (0..SCALES).take_while(|scale| input.height.min(input.width) >> scale >= 2).count()
}

/// Of an image (channel × height × width): each channel's mean, then its standard deviation; for blocks of 1, 2, 4 and 8 pixels the
/// differences of neighbours' brightness, across and then down, root mean square and mean size of each; and of each channel without
/// the brightness the standard deviation, then the root mean square difference of neighbours. Those from the third on are logarithms.
pub fn statistics(image: &[f32], input: Input) -> Vec<f64> {
    found(Tier::detect(), image, input)
}

fn found(tier: Tier, image: &[f32], input: Input) -> Vec<f64> {
    let Input { channels, height, width } = input;
    let plane = height * width;
    let planes = || image.chunks_exact(plane);
    let mut found = Vec::with_capacity(count(input));
    found.extend(planes().map(|channel| mean(tier, channel)));
    for (at, channel) in planes().enumerate() {
        found.push(spread(tier, channel, found[at]));
    }
    let mut light = image[..plane].to_vec();
    for channel in planes().skip(1) {
        light.iter_mut().zip(channel).for_each(|(sum, value)| *sum += value);
    }
    let share = 1.0 / channels as f32;
    for sum in &mut light {
        *sum *= share;
    }
    let mut steps = vec![0.0; plane.next_multiple_of(STRIDE)];
    let mut colours = Vec::with_capacity(channels);
    if channels > 1 {
        let brightness = mean(tier, &light);
        let mut own = vec![0.0; plane];
        for (channel, &its_mean) in planes().zip(&found) {
            tier.run(Difference { values: channel, others: &light, to: &mut own });
            let [across, _] = across(tier, &own, width, &mut steps).sizes(tier);
            colours.push([spread(tier, &own, its_mean - brightness), across].map(logarithm));
        }
    }
    let (mut rows, mut columns) = (height, width);
    for scale in 0..scales(input) {
        if scale > 0 {
            light = halved(&light, rows, columns);
            (rows, columns) = (rows / 2, columns / 2);
        }
        for direction in [across, down] {
            found.extend(direction(tier, &light, columns, &mut steps).sizes(tier).map(logarithm));
        }
    }
    found.extend(colours.iter().map(|[spread, _]| spread));
    found.extend(colours.iter().map(|[_, steps]| steps));
    found
}

/// The image with a `share` of it replaced by itself, blurred by a binomial of 3 × 3 pixels whose border is repeated: what a lens, a
/// screen or a program that enlarges makes of it.
pub fn softened(image: &[f32], input: Input, share: f32) -> Vec<f32> {
    let Input { height, width, .. } = input;
    let weighed = |values: [f32; 3]| (values[0] + 2.0 * values[1] + values[2]) / 4.0;
    let mut soft = Vec::with_capacity(image.len());
    for plane in image.chunks_exact(height * width) {
        let row = |y: usize| &plane[y * width..][..width];
        let down = (0..height).flat_map(|y| {
            let [above, own, below] = [y.saturating_sub(1), y, (y + 1).min(height - 1)].map(row);
            (0..width).map(move |x| weighed([above[x], own[x], below[x]]))
        });
        let down: Vec<f32> = down.collect();
        for (own, blurred) in plane.chunks_exact(width).zip(down.chunks_exact(width)) {
            soft.extend((0..width).map(|x| {
                let blurred = weighed([blurred[x.saturating_sub(1)], blurred[x], blurred[(x + 1).min(width - 1)]]);
                own[x] + share * (blurred - own[x])
            }));
        }
    }
    soft
}

/// Means of two by two pixels; a last row or column that has no other is left out.
fn halved(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut half = Vec::with_capacity(rows / 2 * (columns / 2));
    for pair in values.chunks_exact(2 * columns) {
        let (upper, lower) = pair.split_at(columns);
        let blocks = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
        half.extend(blocks.map(|([a, b], [c, d])| 0.25 * ((a + b) + (c + d))));
    }
    half
}

/// Differences of neighbours.
struct Steps<'a> {
    /// With 0 after them, as many as make [`STRIDE`]s.
    values: &'a [f32],
    /// How many of them are differences; the others are 0.
    count: usize,
}

impl<'a> Steps<'a> {
    /// The first `length` of `room`, of which `count` are differences.
    fn new(room: &'a mut [f32], length: usize, count: usize) -> Self {
        let padded = length.next_multiple_of(STRIDE);
        room[length..padded].fill(0.0);
        Self { values: &room[..padded], count }
    }

    /// Root mean square and mean size.
    fn sizes(&self, tier: Tier) -> [f64; 2] {
        let [squares, sizes] = tier.run(Off { values: self.values, middle: 0.0 });
        let count = self.count.max(1) as f64;
        [(squares / count).sqrt(), sizes / count]
    }
}

/// Of neighbours in a row. `room` is at least as long as `values`, and made of [`STRIDE`]s.
fn across<'a>(tier: Tier, values: &[f32], columns: usize, room: &'a mut [f32]) -> Steps<'a> {
    let steps = &mut room[..values.len() - 1];
    tier.run(Difference { values: &values[1..], others: &values[..steps.len()], to: steps });
    // From a row's end to the next one's beginning is no step.
    steps.iter_mut().skip(columns - 1).step_by(columns).for_each(|step| *step = 0.0);
    Steps::new(room, values.len() - 1, values.len() - values.len() / columns)
}

/// Of neighbours in a column, with such a `room`.
fn down<'a>(tier: Tier, values: &[f32], columns: usize, room: &'a mut [f32]) -> Steps<'a> {
    let count = values.len() - columns;
    tier.run(Difference { values: &values[columns..], others: &values[..count], to: &mut room[..count] });
    Steps::new(room, count, count)
}

fn logarithm(value: f64) -> f64 {
    (FLOOR + value).ln()
}

fn mean(tier: Tier, values: &[f32]) -> f64 {
    tier.run(Total { values }) / values.len().max(1) as f64
}

/// Standard deviation about `mean`.
fn spread(tier: Tier, values: &[f32], mean: f64) -> f64 {
    let [squares, _] = tier.run(Off { values, middle: mean as f32 });
    (squares / values.len().max(1) as f64).sqrt()
}

// One small function a kind, not a copy wherever it is needed: after a pass over the weights code comes from memory, as data does.

/// The sum of values.
struct Total<'a> {
    values: &'a [f32],
}

impl Kernel for Total<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> f64 {
        let [total] = totals(lanes, self.values, |value| [value]);
        total
    }
}

/// How far values are from a middle: the sums of squares and of sizes.
struct Off<'a> {
    values: &'a [f32],
    middle: f32,
}

impl Kernel for Off<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> [f64; 2] {
        let middle = lanes.splat(self.middle);
        totals(lanes, self.values, |value| {
            let off = lanes.sub(value, middle);
            [lanes.mul(off, off), lanes.max(off, lanes.sub(lanes.zero(), off))]
        })
    }
}

/// `values - others`, each with its own, as many as there is room for.
struct Difference<'a> {
    values: &'a [f32],
    others: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Difference<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let ((values, last), (others, last_others)) = (self.values.as_chunks(), self.others.as_chunks());
        let (to, last_to) = self.to.as_chunks_mut();
        for ((to, value), other) in to.iter_mut().zip(values).zip(others) {
            lanes.write(to, lanes.sub(lanes.read(value), lanes.read(other)));
        }
        last_to.iter_mut().zip(last).zip(last_others).for_each(|((to, value), other)| *to = value - other);
    }
}

/// The sums of all that `of` makes of the values.
#[inline(always)]
fn totals<L: Lanes, const N: usize>(lanes: L, values: &[f32], of: impl Fn(L::V) -> [L::V; N]) -> [f64; N] {
    let (chunks, rest) = values.as_chunks::<STRIDE>();
    let mut sums = [[lanes.zero(); STRIDE / WIDTH]; N];
    for chunk in chunks {
        for (place, part) in chunk.as_chunks().0.iter().enumerate() {
            for (sum, value) in sums.iter_mut().zip(of(lanes.read(part))) {
                sum[place] = lanes.add(sum[place], value);
            }
        }
    }
    // No `map`: a closure behind a pointer is not compiled for the instruction set.
    let mut totals = [0.0; N];
    for (total, sums) in totals.iter_mut().zip(sums) {
        *total = together(lanes, sums);
    }
    for part in rest.chunks(WIDTH) {
        let mut padded = [0.0; WIDTH];
        padded[..part.len()].copy_from_slice(part);
        for (total, value) in totals.iter_mut().zip(of(lanes.read(&padded))) {
            lanes.write(&mut padded, value);
            *total += padded[..part.len()].iter().map(|&value| f64::from(value)).sum::<f64>();
        }
    }
    totals
}

/// All lanes' sum. Halves upon halves: thirty additions that wait for one another would take as long as all before them.
#[inline(always)]
fn together<L: Lanes>(lanes: L, [left, right]: [L::V; 2]) -> f64 {
    let mut parts = [[0.0; WIDTH]; 2];
    lanes.write(&mut parts[0], left);
    lanes.write(&mut parts[1], right);
    let mut sums = [0.0; WIDTH];
    for ((sum, &left), &right) in sums.iter_mut().zip(&parts[0]).zip(&parts[1]) {
        *sum = f64::from(left) + f64::from(right);
    }
    let mut half = WIDTH / 2;
    while half > 0 {
        let (left, right) = sums.split_at_mut(half);
        left.iter_mut().zip(right).for_each(|(sum, other)| *sum += *other);
        half /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::lanes::portable::Portable;

    const INPUT: Input = Input { channels: 3, height: 9, width: 6 };

    fn image(of: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
        let places = (0..3).flat_map(|channel| (0..9).flat_map(move |y| (0..6).map(move |x| (channel, y, x))));
        places.map(|(channel, y, x)| of(channel, y, x)).collect()
    }

    #[test]
    fn each_statistic_is_what_it_is_called() {
        let plain = statistics(&image(|channel, _, _| channel as f32), INPUT);
        assert_eq!(plain.len(), count(INPUT));
        assert_eq!(count(INPUT), 6 + 4 * 2 + 6, "no two blocks of four pixels beside each other");
        assert_eq!(plain[..6], [0.0, 1.0, 2.0, 0.0, 0.0, 0.0]);
        assert!(plain[6..].iter().all(|&value| (value - FLOOR.ln()).abs() < 1e-6), "{plain:?}");
        let stripes = statistics(&image(|_, _, x| (x % 2) as f32), INPUT);
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-4, "{stripes:?}");
        close(stripes[0], 0.5);
        close(stripes[3], 0.5);
        // Across all changes, down nothing does; blocks are all alike.
        close(stripes[6], (FLOOR + 1.0).ln());
        close(stripes[7], (FLOOR + 1.0).ln());
        (8..14).for_each(|at| close(stripes[at], FLOOR.ln()));
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for (channels, height, width) in [(1, 1, 1), (3, 7, 33), (3, 32, 32)] {
            let input = Input { channels, height, width };
            let image: Vec<f32> = (0..channels * height * width).map(|i| ((i * 7919) % 97) as f32 / 97.0 - 0.4).collect();
            let plain = found(Tier::Portable(Portable), &image, input);
            for tier in Tier::all() {
                assert_eq!(found(tier, &image, input), plain, "{tier} {input:?}");
            }
        }
    }

    #[test]
    fn any_size_and_grey_have_their_statistics() {
        for (channels, height, width) in [(1, 1, 1), (1, 2, 2), (3, 1, 40), (1, 33, 17), (3, 64, 64)] {
            let input = Input { channels, height, width };
            let values: Vec<f32> = (0..channels * height * width).map(|i| ((i * 7919) % 97) as f32 / 97.0).collect();
            let found = statistics(&values, input);
            assert_eq!(found.len(), count(input), "{input:?}");
            assert!(found.iter().all(|value| value.is_finite()), "{input:?}");
            assert_eq!(softened(&values, input, 1.0).len(), values.len());
        }
    }

    #[test]
    fn softening_keeps_what_is_even_and_takes_from_what_is_not() {
        let even = image(|_, _, _| 0.5);
        assert_eq!(softened(&even, INPUT, 1.0), even);
        let point = image(|_, y, x| f32::from(u8::from((y, x) == (4, 3))));
        assert_eq!(softened(&point, INPUT, 0.0), point);
        let soft = softened(&point, INPUT, 1.0);
        assert_eq!([soft[4 * 6 + 3], soft[4 * 6 + 2], soft[3 * 6 + 2], soft[2 * 6 + 3]], [0.25, 0.125, 0.0625, 0.0]);
    }
}
