//! Pixels as a PNG: grey or RGB for pictures, indices into a palette for drawn numbers.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

use super::pixels::{Channels, Dimensions, Pixels};

/// An image in its own colours.
pub fn pixels<V: AsRef<[u8]>>(pixels: &Pixels<V>) -> Result<Vec<u8>, EncodingError> {
    let Dimensions { height, width, channels } = pixels.dimensions();
    let color = match channels {
        Channels::Grey => ColorType::Grayscale,
        Channels::Rgb => ColorType::Rgb,
    };
    write([width, height], pixels.values(), |encoder| encoder.set_color(color))
}

/// `pixels` are height × width indices into `palette`; index `clear` is transparent.
pub fn indexed(size: [usize; 2], pixels: &[u8], palette: &[[u8; 3]; 256], clear: u8) -> Result<Vec<u8>, EncodingError> {
    let mut alpha = vec![255; 256];
    alpha[usize::from(clear)] = 0;
    write(size, pixels, |encoder| {
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(palette.concat());
        encoder.set_trns(alpha);
        // Enlarged rows repeat the one above: what is left of them is zeros, which fast compression does best.
        encoder.set_filter(Filter::Up);
    })
}

fn write(
    [width, height]: [usize; 2],
    pixels: &[u8],
    prepare: impl FnOnce(&mut Encoder<'_, &mut Vec<u8>>),
) -> Result<Vec<u8>, EncodingError> {
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, width as u32, height as u32);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    prepare(&mut encoder);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(png)
}
