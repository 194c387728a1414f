//! Activations as a PNG: one tile a channel, one pixel between tiles, coloured by a palette.
//!
//! A PNG's pixel is an index into its palette, so a value is quantised to one of [`LEVELS`] colours and stored as one byte.

use std::num::NonZeroU32;
use std::ops::Range;

use super::colormap::Colormap;
use super::encode;
pub use super::feature_map::{Error, FeatureMap, MAX_PIXELS, Scale};
use super::summary::{Summary, summary};

/// Colours of the map in a grid's palette; the two left are for what is no number and for gaps.
pub const LEVELS: usize = 254;
const NOT_A_NUMBER: u8 = 254;
const GAP: u8 = 255;

/// How a grid is drawn; what is none is chosen to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GridOptions {
    /// This channel only.
    pub channel: Option<usize>,
    /// Tiles in a row.
    pub columns: Option<NonZeroU32>,
    /// Screen pixels a value is wide and high.
    pub zoom: Option<NonZeroU32>,
    /// Colours.
    pub colormap: Option<Colormap>,
    /// What their ends stand for.
    pub scale: Scale,
}

impl GridOptions {
    /// The channels asked for, of a layer that has `count`.
    pub fn channels(&self, count: usize) -> Result<Range<usize>, Error> {
        match self.channel {
            None => Ok(0..count),
            Some(channel) if channel < count => Ok(channel..channel + 1),
            Some(channel) => Err(Error::Channel { channel, last: count.saturating_sub(1) }),
        }
    }
}

/// A drawn grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Columns of the PNG.
    pub width: u32,
    /// Rows of the PNG.
    pub height: u32,
    /// Its bytes.
    pub png: Vec<u8>,
    /// What the two ends of the colours stand for: [`Summary::range_shown`].
    pub range: [f32; 2],
    /// The colours used.
    pub colormap: Colormap,
}

/// Draws `map`.
pub fn render(map: &FeatureMap<'_>, options: &GridOptions) -> Result<Grid, Error> {
    let summary = summary(map)?;
    let layout = Layout::new([map.channels, map.height, map.width], options)?;
    let default = match options.scale {
        Scale::Layer | Scale::Channel if summary.signed() => Colormap::Rdbu,
        _ => Colormap::Viridis,
    };
    let colormap = options.colormap.unwrap_or(default);
    let pixels = layout.paint(map, &summary, options.scale);
    // Gaps show what is behind the picture.
    let png = encode::indexed([layout.width as usize, layout.height as usize], &pixels, &palette(colormap), GAP)?;
    let range = summary.range_shown(options.channel, options.scale);
    Ok(Grid { width: layout.width, height: layout.height, png, range, colormap })
}

/// Where every tile of a grid lies: known from the shape, before there are any values.
#[derive(Debug, Clone)]
pub struct Layout {
    channels: Range<usize>,
    columns: usize,
    /// Screen pixels a value is wide and high.
    cell: [usize; 2],
    gap: usize,
    width: u32,
    height: u32,
}

impl Layout {
    /// Lays out maps of `[channels, height, width]` (a vector's last two are 1), at most [`MAX_PIXELS`] in all.
    pub fn new([channels, height, width]: [usize; 3], options: &GridOptions) -> Result<Self, Error> {
        if channels == 0 || height == 0 || width == 0 {
            return Err(Error::Values { shape: [channels, height, width], count: 0 });
        }
        let shown = options.channels(channels)?;
        let tiles = shown.len();
        let vector = (height, width) == (1, 1);
        // A vector is a strip; maps are laid out near-square.
        let natural = if vector { tiles } else { tiles.isqrt() + usize::from(tiles.isqrt().pow(2) < tiles) };
        let asked = |number: NonZeroU32| number.get() as usize;
        let columns = options.columns.map_or(natural, asked).min(tiles);
        // Tiles come out about as large as a thumbnail, one alone and strips as large as a picture.
        let side = if vector { columns } else { height.max(width) };
        let target = match (vector, tiles) {
            (true, _) => 640,
            (false, 1) => 320,
            (false, _) => 96,
        };
        let zoom = options.zoom.map_or((target / side).clamp(1, 32), asked);
        // A strip of one pixel's height could not be seen.
        let cell = if vector { [zoom, zoom.max(16)] } else { [zoom, zoom] };
        let gap = usize::from(!vector);
        let rows = tiles.div_ceil(columns);
        let length = |count: usize, values: usize, cell: usize| {
            let tile = (values as u64).saturating_mul(cell as u64).saturating_add(gap as u64);
            (count as u64).saturating_mul(tile).saturating_sub(gap as u64)
        };
        let (across, down) = (length(columns, width, cell[0]), length(rows, height, cell[1]));
        if across.saturating_mul(down) > MAX_PIXELS {
            return Err(Error::TooLarge { width: across, height: down });
        }
        Ok(Self { channels: shown, columns, cell, gap, width: across as u32, height: down as u32 })
    }

    /// Pixels of the whole grid, a byte each while it is drawn.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Palette indices, row by row.
    fn paint(&self, map: &FeatureMap<'_>, summary: &Summary, scale: Scale) -> Vec<u8> {
        let (width, [cell_width, cell_height]) = (self.width as usize, self.cell);
        let mut pixels = vec![GAP; width * self.height as usize];
        let (tile_width, tile_height) = (map.width * cell_width + self.gap, map.height * cell_height + self.gap);
        for (tile, channel) in self.channels.clone().enumerate() {
            let (left, top) = (tile % self.columns * tile_width, tile / self.columns * tile_height);
            let range = summary.range_of(channel, scale);
            let values = &map.values[channel * map.height * map.width..][..map.height * map.width];
            for (row, values) in values.chunks_exact(map.width).enumerate() {
                let first = (top + row * cell_height) * width + left;
                let line = first..first + map.width * cell_width;
                for (cell, value) in pixels[line.clone()].chunks_exact_mut(cell_width).zip(values) {
                    cell.fill(level(*value, range));
                }
                for copy in 1..cell_height {
                    pixels.copy_within(line.clone(), first + copy * width);
                }
            }
        }
        pixels
    }
}

/// The palette index of `value`; the lowest where the range has no extent, as matplotlib has it.
fn level(value: f32, [low, high]: [f32; 2]) -> u8 {
    if value.is_nan() {
        return NOT_A_NUMBER;
    }
    // In f64, where the width of the widest range is finite.
    let (low, high) = (f64::from(low), f64::from(high));
    let share = if high > low { ((f64::from(value) - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
    (share * (LEVELS - 1) as f64).round() as u8
}

/// The map's colours spread over [`LEVELS`] entries, then magenta for what is no number, then white for gaps.
fn palette(colormap: Colormap) -> [[u8; 3]; 256] {
    let (table, last) = (colormap.table(), LEVELS - 1);
    std::array::from_fn(|index| match index {
        _ if index <= last => table[(index * 255 + last / 2) / last],
        _ if index == usize::from(NOT_A_NUMBER) => [255, 0, 255],
        _ => [255; 3],
    })
}
