//! From the tensor of a request to images: numbers at the model's size, 8-bit samples at that size, or files to be decoded.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::error::{Code, Error};
use super::super::extract::unknown;
use super::INPUT;
use super::data::Data;
use super::request::{Inference, Input};
use crate::picture::planes::Fault;
use crate::picture::{Dimensions, Pixels, Planes};
use crate::serving;

/// What is read; padding or not.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));
/// Of a BYTES element as bytes: the length in front of it.
const PREFIX: usize = 4;

/// The images of a request, in order: at least one.
#[derive(Debug)]
pub enum Images {
    /// As the model takes them.
    Inputs(Vec<serving::Input>),
    /// To be decoded.
    Files(Vec<Vec<u8>>),
}

impl Images {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Inputs(inputs) => inputs.len(),
            Self::Files(files) => files.len(),
        }
    }
}

/// The types that elements may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Datatype {
    Fp32,
    Uint8,
    Bytes,
}

impl Datatype {
    const NAMES: [&str; 3] = ["FP32", "UINT8", "BYTES"];

    fn of(name: &str) -> Result<Self, Error> {
        match name {
            "FP32" => Ok(Self::Fp32),
            "UINT8" => Ok(Self::Uint8),
            "BYTES" => Ok(Self::Bytes),
            _ => Err(refused(unknown("datatype", name, &Self::NAMES))),
        }
    }
}

/// Where a tensor's elements are.
enum Elements<'a> {
    Json(Data<'a>),
    Binary(&'a [u8]),
}

/// The only tensor of `request`, whose bytes behind the JSON are `binary`, as images of `wanted`'s size.
pub fn read<'a>(request: &mut Inference<'a>, binary: &'a [u8], wanted: Dimensions) -> Result<Images, Error> {
    if let Some(other) = request.inputs.0.iter().find(|input| input.name != INPUT) {
        return Err(refused(unknown("input", &other.name, &[INPUT])));
    }
    let (Some(mut input), None) = (request.inputs.0.pop(), request.inputs.0.pop()) else {
        return Err(refused(format!("`inputs` must hold one tensor, `{INPUT}`: several images are one tensor of several rows")));
    };
    let datatype = Datatype::of(&input.datatype)?;
    let count = rows(&input.shape.0, datatype, wanted)?;
    let elements = elements(&mut input, binary)?;
    match datatype {
        Datatype::Fp32 => planes(elements, count, wanted).map(Images::Inputs),
        Datatype::Uint8 => pixels(elements, count, wanted).map(Images::Inputs),
        Datatype::Bytes => files(elements, count).map(Images::Files),
    }
}

/// Images of `wanted`'s size out of `bytes` that no JSON describes: FP32, as many rows as there are.
pub fn raw(bytes: &[u8], wanted: Dimensions) -> Result<Images, Error> {
    let each = wanted.samples() * size_of::<f32>();
    if !bytes.len().is_multiple_of(each) {
        let [c, h, w] = [wanted.channels.count(), wanted.height, wanted.width];
        return Err(refused(format!(
            "without JSON the body is `{INPUT}` as FP32 [-1, {c}, {h}, {w}], {each} bytes an image, and this one has {} bytes",
            bytes.len()
        )));
    }
    planes(Elements::Binary(bytes), bytes.len() / each, wanted).map(Images::Inputs)
}

/// How many images a tensor of this shape holds.
fn rows(shape: &[u64], datatype: Datatype, wanted: Dimensions) -> Result<usize, Error> {
    let image = [wanted.channels.count(), wanted.height, wanted.width].map(|side| side as u64);
    let count = match (datatype, shape) {
        (Datatype::Bytes, &[count] | &[count, 1]) => count,
        (Datatype::Bytes, _) => {
            return Err(refused(format!("`{INPUT}` has the shape {shape:?}: as BYTES it takes [-1], one file an image")));
        }
        (_, &[count, c, h, w]) if [c, h, w] == image => count,
        (_, shape) => {
            let [c, h, w] = image;
            let hint = if matches!(*shape, [_, a, b, d] if [a, b, d] == [h, w, c]) { ": channels come before rows" } else { "" };
            return Err(refused(format!("`{INPUT}` has the shape {shape:?}, and this model takes [-1, {c}, {h}, {w}]{hint}")));
        }
    };
    match usize::try_from(count) {
        Ok(0) => Err(Error::new(Code::NoImage, format!("`{INPUT}` has the shape {shape:?}: there is no image in it"))),
        Ok(count) => Ok(count),
        Err(_) => Err(refused(format!("`{INPUT}` has the shape {shape:?}: so many images are never sent at once"))),
    }
}

/// Where the elements are: in `data`, or they are all that is behind the JSON.
fn elements<'a>(input: &mut Input<'a>, binary: &'a [u8]) -> Result<Elements<'a>, Error> {
    match (input.data.take(), input.parameters.unwrap_or_default().binary_data_size) {
        (Some(_), Some(_)) => Err(refused(format!("`{INPUT}` has both `data` and `binary_data_size`: send its elements once"))),
        (Some(data), None) if binary.is_empty() => Ok(Elements::Json(data)),
        (Some(_), None) => Err(refused(format!("there are {} bytes behind the JSON that no input asks for", binary.len()))),
        (None, Some(size)) if size == binary.len() as u64 => Ok(Elements::Binary(binary)),
        (None, Some(size)) => Err(refused(format!(
            "`{INPUT}` has a `binary_data_size` of {size}, and there are {} bytes behind the JSON, which \
             `Inference-Header-Content-Length` ends",
            binary.len()
        ))),
        (None, None) => {
            let sentence = format!("`{INPUT}` has no elements: send `data`, or bytes behind the JSON with `binary_data_size`");
            Err(refused(sentence))
        }
    }
}

/// Numbers in [0, 1], before mean and standard deviation.
fn planes(elements: Elements<'_>, count: usize, wanted: Dimensions) -> Result<Vec<serving::Input>, Error> {
    let samples = wanted.samples();
    let image = |(n, values): (usize, Vec<f32>)| {
        Planes::new(wanted, values).map(Into::into).map_err(|fault| match fault {
            Fault::Count => refused(format!("image {} of `{INPUT}` is not whole", n + 1)),
            Fault::Value { at: [c, h, w], value } => refused(format!(
                "`{INPUT}` is {value} at [{n}, {c}, {h}, {w}]: FP32 samples are in [0, 1], before mean and standard deviation \
                 (0 to 255 is for UINT8)"
            )),
        })
    };
    match elements {
        Elements::Json(data) => {
            enough(data.numbers.len(), count, samples)?;
            data.numbers.chunks_exact(samples).map(<[f32]>::to_vec).enumerate().map(image).collect()
        }
        Elements::Binary(bytes) => {
            enough_bytes(bytes.len(), count, samples * size_of::<f32>())?;
            let floats = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            bytes.chunks_exact(samples * size_of::<f32>()).map(floats).enumerate().map(image).collect()
        }
    }
}

/// 8-bit samples.
fn pixels(elements: Elements<'_>, count: usize, wanted: Dimensions) -> Result<Vec<serving::Input>, Error> {
    let samples = wanted.samples();
    match elements {
        Elements::Json(data) => {
            enough(data.numbers.len(), count, samples)?;
            if let Some((at, value)) = data.no_byte {
                return Err(refused(format!("element {at} of `{INPUT}` is {value}: UINT8 samples are whole, 0 to 255")));
            }
            let image = |values: &[f32]| interleaved(wanted, |at| values[at] as u8);
            Ok(data.numbers.chunks_exact(samples).map(image).collect())
        }
        Elements::Binary(bytes) => {
            enough_bytes(bytes.len(), count, samples)?;
            Ok(bytes.chunks_exact(samples).map(|values| interleaved(wanted, |at| values[at])).collect())
        }
    }
}

/// An image of planes' samples, channel × height × width.
fn interleaved(dimensions: Dimensions, sample: impl Fn(usize) -> u8) -> serving::Input {
    let (channels, plane) = (dimensions.channels.count(), dimensions.height * dimensions.width);
    Pixels::from_fn(dimensions, |at| sample(at % channels * plane + at / channels)).into()
}

/// Whole files: in JSON as base64, as bytes each behind its length.
fn files(elements: Elements<'_>, count: usize) -> Result<Vec<Vec<u8>>, Error> {
    let files = match elements {
        Elements::Json(data) => {
            enough(data.texts.len(), count, 1)?;
            data.texts.iter().enumerate().map(|(n, text)| from_base64(n, text)).collect::<Result<_, _>>()?
        }
        Elements::Binary(bytes) => split(bytes, count)?,
    };
    match files.iter().position(Vec::is_empty) {
        None => Ok(files),
        Some(n) => Err(Error::new(Code::NoImage, format!("image {} of `{INPUT}` is empty: send a whole file", n + 1))),
    }
}

fn from_base64(n: usize, text: &str) -> Result<Vec<u8>, Error> {
    BASE64.decode(text).map_err(|e| {
        let sentence = "in JSON, BYTES are files in base64 (to save a third, send them as binary data)";
        refused(format!("image {} of `{INPUT}` cannot be read ({e}): {sentence}", n + 1))
    })
}

/// `count` elements, each behind its length.
fn split(mut bytes: &[u8], count: usize) -> Result<Vec<Vec<u8>>, Error> {
    let mut files = Vec::new();
    while let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() {
        let length = u32::from_le_bytes(*prefix) as usize;
        let n = files.len();
        if n == count {
            break;
        }
        let Some((file, rest)) = rest.split_at_checked(length) else {
            let sentence = "each BYTES element is 4 bytes of its length, little-endian, and the file";
            return Err(refused(format!(
                "image {} of `{INPUT}` says it has {length} bytes, and {} are left: {sentence}",
                n + 1,
                rest.len()
            )));
        };
        files.push(file.to_vec());
        bytes = rest;
    }
    enough(files.len(), count, 1)?;
    if bytes.is_empty() {
        return Ok(files);
    }
    Err(refused(format!("behind the {count} images of `{INPUT}` there are {} more bytes", bytes.len())))
}

fn enough(given: usize, count: usize, each: usize) -> Result<(), Error> {
    let wanted = count.saturating_mul(each);
    if given == wanted { Ok(()) } else { Err(refused(format!("`{INPUT}` needs {wanted} elements for its shape, and has {given}"))) }
}

fn enough_bytes(given: usize, count: usize, each: usize) -> Result<(), Error> {
    let wanted = count.saturating_mul(each);
    if given == wanted { Ok(()) } else { Err(refused(format!("`{INPUT}` needs {wanted} bytes for its shape, and has {given}"))) }
}

fn refused(sentence: String) -> Error {
    Error::new(Code::BadRequest, sentence)
}
