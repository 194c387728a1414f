//! The numbers behind a feature map: what JSON clients get, and what the grid's scales are made of.

use serde::Serialize;

use super::feature_map::{Error, FeatureMap, Scale};

/// One channel in numbers. Values that are not finite are counted and otherwise left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Channel {
    /// Smallest value; 0 where none is finite.
    pub min: f32,
    /// Largest value; 0 where none is finite.
    pub max: f32,
    /// Mean; 0 where none is finite.
    pub mean: f32,
    /// Share of values that are exactly 0: 1 is a dead channel.
    pub zeros: f32,
    /// How many values are NaN or infinite.
    pub non_finite: usize,
}

/// A layer in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// One a channel.
    pub channels: Vec<Channel>,
    /// What the layer's one scale runs from and to: 0 to the maximum, or symmetric about 0 if any value is below it.
    pub range: [f32; 2],
}

/// Measures every channel of `map`.
pub fn summary(map: &FeatureMap<'_>) -> Result<Summary, Error> {
    let area = map.area()?;
    let channels: Vec<Channel> = map.values.chunks_exact(area).map(measure).collect();
    let range = extent(&channels);
    Ok(Summary { channels, range })
}

impl Summary {
    /// Whether any value is below 0.
    pub fn signed(&self) -> bool {
        self.range[0] < 0.0
    }

    /// What `scale` maps to the two ends of the colours in `channel`.
    pub fn range_of(&self, channel: usize, scale: Scale) -> [f32; 2] {
        let Channel { min, max, .. } = self.channels[channel];
        match scale {
            Scale::Layer => self.range,
            Scale::Channel if self.signed() => symmetric(min, max),
            Scale::Channel => [0.0, max],
            Scale::Tutorial => [min, max],
        }
    }

    /// What the two ends of the colours stand for in a picture of one `channel`, or of all: with a scale a channel and several
    /// of them there is no one answer, and it is the layer's.
    pub fn range_shown(&self, channel: Option<usize>, scale: Scale) -> [f32; 2] {
        channel.map_or(self.range, |channel| self.range_of(channel, scale))
    }
}

fn measure(values: &[f32]) -> Channel {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let count = finite().count();
    let zeros = finite().filter(|value| *value == 0.0).count() as f32 / values.len() as f32;
    let non_finite = values.len() - count;
    if count == 0 {
        return Channel { min: 0.0, max: 0.0, mean: 0.0, zeros, non_finite };
    }
    let (min, max) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let mean = (finite().map(f64::from).sum::<f64>() / count as f64) as f32;
    Channel { min, max, mean, zeros, non_finite }
}

fn extent(channels: &[Channel]) -> [f32; 2] {
    let min = channels.iter().map(|channel| channel.min).fold(0.0, f32::min);
    let max = channels.iter().map(|channel| channel.max).fold(0.0, f32::max);
    if min < 0.0 { symmetric(min, max) } else { [0.0, max] }
}

fn symmetric(min: f32, max: f32) -> [f32; 2] {
    // A dead channel of a signed layer keeps some extent, so that its zeros are the middle.
    let furthest = min.abs().max(max.abs()).max(f32::MIN_POSITIVE);
    [-furthest, furthest]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_measured_without_what_is_not_finite() {
        let values = [0.0, 1.0, 2.0, f32::NAN, f32::NAN, f32::INFINITY, f32::NAN, f32::NAN];
        let summary = summary(&FeatureMap { channels: 2, height: 2, width: 2, values: &values }).unwrap();
        assert_eq!(summary.channels[0], Channel { min: 0.0, max: 2.0, mean: 1.0, zeros: 0.25, non_finite: 1 });
        assert_eq!(summary.channels[1], Channel { min: 0.0, max: 0.0, mean: 0.0, zeros: 0.0, non_finite: 4 });
        assert_eq!(summary.range, [0.0, 2.0]);
    }

    #[test]
    fn scales_follow_the_sign() {
        let map = FeatureMap { channels: 2, height: 1, width: 2, values: &[-4.0, 1.0, 2.0, 3.0] };
        let summary = summary(&map).unwrap();
        assert_eq!(summary.range_of(1, Scale::Layer), [-4.0, 4.0]);
        assert_eq!(summary.range_of(1, Scale::Channel), [-3.0, 3.0]);
        assert_eq!(summary.range_of(1, Scale::Tutorial), [2.0, 3.0]);
    }
}
