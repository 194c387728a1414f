//! What a picture is like, whatever it shows: how light and how lively each channel is, how much changes from pixel to pixel and from
//! block to block, and how colours change.
//!
//! In a page of text, in noise, in a pattern or an even surface these stand in proportions that photographs do not have. They are
//! computed of a network's input, in f32 with sums of a fixed order: the same on every processor and device.

use crate::kernels::Tier;
use crate::kernels::lanes::{Kernel, Lanes};
use crate::network::spec::Input;

/// Added within logarithms: a change that is no more than a grey level's rounding is none.
const FLOOR: f64 = 0.004;
/// Sizes of blocks that are compared: 1, 2, 4 and 8 pixels a side.
const SCALES: usize = 4;
/// Sums that go on side by side: so many that none waits for its last addition.
const LANES: usize = 32;

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
    Tier::detect().run(Statistics { image, input })
}

/// Compiled for every instruction set as it is: its sums are [`LANES`] wide whatever the registers are, so the bits are the same.
struct Statistics<'a> {
    image: &'a [f32],
    input: Input,
}

impl Kernel for Statistics<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Vec<f64> {
        found(self.image, self.input)
    }
}

#[inline(always)]
fn found(image: &[f32], input: Input) -> Vec<f64> {
    let Input { channels, height, width } = input;
    let plane = height * width;
    let mut found = Vec::with_capacity(count(input));
    found.extend(image.chunks_exact(plane).map(mean));
    for channel in 0..channels {
        found.push(spread(&image[channel * plane..][..plane], found[channel]));
    }
    let mut light = image[..plane].to_vec();
    for channel in image.chunks_exact(plane).skip(1) {
        light.iter_mut().zip(channel).for_each(|(sum, value)| *sum += value);
    }
    let share = 1.0 / channels as f32;
    for sum in &mut light {
        *sum *= share;
    }
    let mut steps = vec![0.0; plane];
    let mut colours = Vec::with_capacity(channels);
    if channels > 1 {
        let brightness = mean(&light);
        let mut own = vec![0.0; plane];
        for (channel, &its_mean) in image.chunks_exact(plane).zip(&found) {
            own.iter_mut().zip(channel).zip(&light).for_each(|((own, value), light)| *own = value - light);
            let across = across(&own, width, &mut steps);
            colours.push([spread(&own, its_mean - brightness), across.root_mean_square()].map(logarithm));
        }
    }
    let (mut rows, mut columns) = (height, width);
    for scale in 0..scales(input) {
        if scale > 0 {
            light = halved(&light, rows, columns);
            (rows, columns) = (rows / 2, columns / 2);
        }
        // Not one loop over both functions: through a pointer neither would be compiled for the instruction set.
        let steps_across = across(&light, columns, &mut steps);
        found.extend([steps_across.root_mean_square(), steps_across.mean_size()].map(logarithm));
        let steps_down = down(&light, columns, &mut steps);
        found.extend([steps_down.root_mean_square(), steps_down.mean_size()].map(logarithm));
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
#[inline(always)]
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
    values: &'a [f32],
    /// How many of them are differences; the others are 0.
    count: usize,
}

impl Steps<'_> {
    #[inline(always)]
    fn root_mean_square(&self) -> f64 {
        (total(self.values, |step| step * step) / self.count.max(1) as f64).sqrt()
    }

    #[inline(always)]
    fn mean_size(&self) -> f64 {
        total(self.values, f32::abs) / self.count.max(1) as f64
    }
}

/// Of neighbours in a row. `room` is at least as long as `values`.
#[inline(always)]
fn across<'a>(values: &[f32], columns: usize, room: &'a mut [f32]) -> Steps<'a> {
    let steps = &mut room[..values.len() - 1];
    steps.iter_mut().zip(&values[1..]).zip(values).for_each(|((step, next), value)| *step = next - value);
    // From a row's end to the next one's beginning is no step.
    steps.iter_mut().skip(columns - 1).step_by(columns).for_each(|step| *step = 0.0);
    Steps { values: steps, count: values.len() - values.len() / columns }
}

/// Of neighbours in a column.
#[inline(always)]
fn down<'a>(values: &[f32], columns: usize, room: &'a mut [f32]) -> Steps<'a> {
    let steps = &mut room[..values.len() - columns];
    steps.iter_mut().zip(&values[columns..]).zip(values).for_each(|((step, below), value)| *step = below - value);
    Steps { count: steps.len(), values: steps }
}

fn logarithm(value: f64) -> f64 {
    (FLOOR + value).ln()
}

#[inline(always)]
fn mean(values: &[f32]) -> f64 {
    total(values, |value| value) / values.len().max(1) as f64
}

/// Standard deviation about `mean`.
#[inline(always)]
fn spread(values: &[f32], mean: f64) -> f64 {
    let mean = mean as f32;
    (total(values, |value| (value - mean) * (value - mean)) / values.len().max(1) as f64).sqrt()
}

#[inline(always)]
fn total(values: &[f32], of: impl Fn(f32) -> f32) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(sum, &value)| *sum += of(value));
    }
    // Halves upon halves: thirty additions that wait for one another would take as long as all before them.
    let mut sums = lanes.map(f64::from);
    let mut half = LANES / 2;
    while half > 0 {
        let (left, right) = sums.split_at_mut(half);
        left.iter_mut().zip(right).for_each(|(sum, other)| *sum += *other);
        half /= 2;
    }
    sums[0] + rest.iter().map(|&value| f64::from(of(value))).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            for tier in Tier::all() {
                assert_eq!(tier.run(Statistics { image: &image, input }), found(&image, input), "{tier} {input:?}");
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
