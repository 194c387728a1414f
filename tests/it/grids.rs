//! Activations drawn: what is in the PNG, pixel by pixel.

use std::num::NonZeroU32;

use convscope::picture::colormap::Colormap;
use convscope::picture::grid::{Error, FeatureMap, Grid, GridOptions, LEVELS, Layout, MAX_PIXELS, Scale, render};
use proptest::prelude::*;

/// A grid's pixels as RGBA, by an independent decoder.
struct Drawn {
    grid: Grid,
    pixels: image::RgbaImage,
}

impl Drawn {
    fn at(&self, x: u32, y: u32) -> [u8; 3] {
        let [r, g, b, alpha] = self.pixels.get_pixel(x, y).0;
        assert_eq!(alpha, 255, "({x}, {y}) is a gap");
        [r, g, b]
    }

    fn is_gap(&self, x: u32, y: u32) -> bool {
        self.pixels.get_pixel(x, y).0[3] == 0
    }
}

fn draw(shape: [usize; 3], values: &[f32], options: &GridOptions) -> Drawn {
    let [channels, height, width] = shape;
    let grid = render(&FeatureMap { channels, height, width, values }, options).unwrap();
    let pixels = image::load_from_memory(&grid.png).unwrap().into_rgba8();
    assert_eq!(pixels.dimensions(), (grid.width, grid.height));
    Drawn { grid, pixels }
}

/// The colour `share` of the way along `map`, as quantised.
fn color(map: Colormap, share: f64) -> [u8; 3] {
    let level = (share * (LEVELS - 1) as f64).round() as usize;
    map.table()[(level * 255 + (LEVELS - 1) / 2) / (LEVELS - 1)]
}

#[test]
fn values_from_zero_up_are_sequential_with_one_scale() {
    // Three channels of 2×2: two columns, two rows, one place empty.
    let values = [0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
    let drawn = draw([3, 2, 2], &values, &GridOptions { zoom: NonZeroU32::new(3), ..GridOptions::default() });
    assert_eq!((drawn.grid.range, drawn.grid.colormap), ([0.0, 4.0], Colormap::Viridis));
    assert_eq!(drawn.pixels.dimensions(), (13, 13));
    for (x, y, value) in [(0, 0, 0.0), (2, 2, 0.0), (3, 0, 1.0), (5, 5, 3.0), (7, 0, 4.0), (10, 0, 0.0), (0, 7, 1.0), (5, 12, 1.0)]
    {
        assert_eq!(drawn.at(x, y), color(Colormap::Viridis, value / 4.0), "({x}, {y})");
    }
    assert!((0..13).all(|at| drawn.is_gap(6, at) && drawn.is_gap(at, 6)));
    assert!(drawn.is_gap(9, 9), "the place without a channel is empty");
}

#[test]
fn signed_values_are_diverging_about_zero() {
    let values = [-2.0, 0.0, 1.0, -1.0, 0.0, 0.0];
    let layer =
        draw([2, 1, 3], &values, &GridOptions { zoom: NonZeroU32::new(1), columns: NonZeroU32::new(1), ..GridOptions::default() });
    assert_eq!((layer.grid.range, layer.grid.colormap), ([-2.0, 2.0], Colormap::Rdbu));
    let (red, middle) = (color(Colormap::Rdbu, 0.0), color(Colormap::Rdbu, 0.5));
    assert_eq!([layer.at(0, 0), layer.at(1, 0), layer.at(2, 0)], [red, middle, color(Colormap::Rdbu, 0.75)]);
    let options =
        GridOptions { zoom: NonZeroU32::new(1), columns: NonZeroU32::new(1), scale: Scale::Channel, ..GridOptions::default() };
    let channel = draw([2, 1, 3], &values, &options);
    assert_eq!([channel.at(0, 2), channel.at(1, 2)], [red, middle]);
    // A dead channel of a signed layer is all middle, not all red.
    let dead = draw([2, 1, 2], &[-1.0, 1.0, 0.0, 0.0], &options);
    assert_eq!(dead.at(0, 2), middle);
}

#[test]
fn the_tutorials_scale_is_each_channels_own() {
    let values = [-1.0, 0.0, 3.0, 5.0, 6.0, 9.0, 7.0, 7.0, 7.0];
    let options =
        GridOptions { scale: Scale::Tutorial, zoom: NonZeroU32::new(1), columns: NonZeroU32::new(1), ..GridOptions::default() };
    let drawn = draw([3, 1, 3], &values, &options);
    assert_eq!(drawn.grid.colormap, Colormap::Viridis);
    let (low, high) = (color(Colormap::Viridis, 0.0), color(Colormap::Viridis, 1.0));
    for row in [0, 2] {
        assert_eq!([drawn.at(0, row), drawn.at(1, row), drawn.at(2, row)], [low, color(Colormap::Viridis, 0.25), high]);
    }
    // Without extent, matplotlib's lowest.
    assert_eq!(drawn.at(1, 4), low);
}

#[test]
fn what_is_no_number_is_seen_as_that() {
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2.0, 0.0, 1.0];
    let drawn = draw([1, 1, 6], &values, &GridOptions { zoom: NonZeroU32::new(1), ..GridOptions::default() });
    assert_eq!(drawn.grid.range, [0.0, 2.0]);
    let (low, high) = (color(Colormap::Viridis, 0.0), color(Colormap::Viridis, 1.0));
    assert_eq!([drawn.at(0, 0), drawn.at(1, 0), drawn.at(2, 0), drawn.at(3, 0)], [[255, 0, 255], high, low, high]);
    draw([2, 1, 1], &[f32::NAN; 2], &GridOptions::default());
    let widest = draw([1, 1, 2], &[f32::MIN, f32::MAX], &GridOptions { zoom: NonZeroU32::new(1), ..GridOptions::default() });
    assert_eq!([widest.at(0, 0), widest.at(1, 0)], [color(Colormap::Rdbu, 0.0), color(Colormap::Rdbu, 1.0)]);
}

#[test]
fn one_channel_keeps_the_layers_scale() {
    let values = [1.0, 2.0, 8.0, 4.0];
    let drawn = draw([2, 1, 2], &values, &GridOptions { channel: Some(0), zoom: NonZeroU32::new(1), ..GridOptions::default() });
    assert_eq!((drawn.grid.range, drawn.grid.width, drawn.grid.height), ([0.0, 8.0], 2, 1));
    assert_eq!(drawn.at(0, 0), color(Colormap::Viridis, 0.125));
    // Unless a scale of its own is asked for, and then the range says so.
    for (scale, range) in [(Scale::Channel, [0.0, 2.0]), (Scale::Tutorial, [1.0, 2.0])] {
        let drawn = draw([2, 1, 2], &values, &GridOptions { channel: Some(0), scale, ..GridOptions::default() });
        assert_eq!(drawn.grid.range, range);
    }
}

#[test]
fn a_vector_is_a_strip() {
    let values: Vec<f32> = (0..10).map(|value| value as f32).collect();
    let drawn = draw([10, 1, 1], &values, &GridOptions { zoom: NonZeroU32::new(4), ..GridOptions::default() });
    assert_eq!(drawn.pixels.dimensions(), (40, 16));
    for (at, value) in (0..).zip(&values) {
        assert_eq!(drawn.at(4 * at, 15), color(Colormap::Viridis, f64::from(*value) / 9.0));
    }
    let wrapped = draw(
        [10, 1, 1],
        &values,
        &GridOptions { zoom: NonZeroU32::new(20), columns: NonZeroU32::new(4), ..GridOptions::default() },
    );
    assert_eq!(wrapped.pixels.dimensions(), (80, 60));
    assert_eq!(wrapped.at(79, 39), color(Colormap::Viridis, 7.0 / 9.0));
    assert!(wrapped.is_gap(79, 59));
}

#[test]
fn tiles_can_be_seen_without_being_asked_for() {
    let size = |shape: [usize; 3]| draw(shape, &vec![1.0; shape.iter().product()], &GridOptions::default()).pixels.dimensions();
    assert_eq!(size([32, 32, 32]), (6 * 97 - 1, 6 * 97 - 1));
    assert_eq!(size([32, 16, 16]), (6 * 97 - 1, 6 * 97 - 1));
    assert_eq!(size([1, 32, 32]), (320, 320));
    assert_eq!(size([10, 1, 1]), (320, 32));
    assert_eq!(size([512, 1, 1]), (512, 16));
    assert_eq!(size([64, 224, 224]), (8 * 225 - 1, 8 * 225 - 1));
}

#[test]
fn what_cannot_be_drawn_says_why() {
    let refused = |options: GridOptions| {
        render(&FeatureMap { channels: 2, height: 32, width: 32, values: &[0.0; 2048] }, &options).unwrap_err()
    };
    let none = GridOptions::default();
    let error = refused(GridOptions { channel: Some(2), ..none });
    assert_eq!(error.to_string(), "this layer has channels 0 to 1, not 2");
    for zoom in [1000, u32::MAX] {
        let error = refused(GridOptions { zoom: NonZeroU32::new(zoom), ..none });
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
    let error = render(&FeatureMap { channels: 2, height: 3, width: 4, values: &[0.0; 23] }, &none).unwrap_err();
    assert_eq!(error.to_string(), "23 values are no feature map of 2×3×4");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked for, the picture is bounded or refused: no number is divided by 0 or grows out of its type.
    #[test]
    fn every_shape_and_wish_is_laid_out_or_refused(
        shape in prop::array::uniform3(prop_oneof![0..70_usize, 0..usize::MAX]),
        columns in prop::option::of(prop_oneof![1..9_u32, 1..=u32::MAX]),
        zoom in prop::option::of(prop_oneof![1..9_u32, 1..=u32::MAX]),
        channel in prop::option::of(prop_oneof![0..9_usize, any::<usize>()]),
    ) {
        let (columns, zoom) = (columns.and_then(NonZeroU32::new), zoom.and_then(NonZeroU32::new));
        let options = GridOptions { channel, columns, zoom, ..GridOptions::default() };
        match Layout::new(shape, &options) {
            Ok(layout) => prop_assert!((1..=MAX_PIXELS).contains(&layout.pixels())),
            Err(Error::Channel { .. }) => prop_assert!(channel.is_some_and(|channel| channel >= shape[0])),
            Err(Error::Values { .. }) => prop_assert!(shape.contains(&0)),
            Err(error) => prop_assert!(matches!(error, Error::TooLarge { .. }), "{error}"),
        }
    }

    /// What was announced is what is drawn.
    #[test]
    fn a_grid_has_the_pixels_of_its_layout(
        shape in prop::array::uniform3(1..7_usize),
        columns in prop::option::of(1..9_u32),
        zoom in prop::option::of(1..9_u32),
    ) {
        let (columns, zoom) = (columns.and_then(NonZeroU32::new), zoom.and_then(NonZeroU32::new));
        let options = GridOptions { columns, zoom, ..GridOptions::default() };
        let drawn = draw(shape, &vec![1.0; shape.iter().product()], &options);
        let layout = Layout::new(shape, &options).unwrap();
        prop_assert_eq!(layout.pixels(), u64::from(drawn.grid.width) * u64::from(drawn.grid.height));
    }
}
