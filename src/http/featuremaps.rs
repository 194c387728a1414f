//! `/featuremaps`: what a layer makes of an image, as a picture, as its statistics, or as the numbers themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::accept::preferred;
use super::answers::{self, Room};
use super::arrays::{self, Array};
use super::deadline::Deadline;
use super::error::{Code, Error};
use super::extract::{Path, Query, Word};
use super::forward::{self, Question};
use super::models::named;
use super::samples;
use super::state::App;
use super::upload::{Image, Upload};
use crate::checkpoint::{self, Dtype, Tensor};
use crate::network::{Probe, Shape, Tap};
use crate::picture::grid::{self, MAX_PIXELS};
use crate::picture::{Colormap, FeatureMap, GridOptions, Scale, encode, summary};
use crate::serving::Served;

/// What the image itself is called among the layers.
const INPUT: &str = "input";
const PNG: &str = "image/png";

/// The query of `/featuremaps/{layer}`.
#[derive(Debug, Deserialize)]
pub struct Options {
    model: Option<String>,
    version: Option<u64>,
    mask: Option<String>,
    sample: Option<String>,
    channel: Option<usize>,
    columns: Option<usize>,
    zoom: Option<usize>,
    colormap: Option<Word<Colormap>>,
    scale: Option<Word<Scale>>,
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Png,
    Json,
    F32,
    Npy,
}

/// Of an image that was sent.
pub async fn of_upload(
    State(app): State<Arc<App>>,
    Path(layer): Path<String>,
    Query(options): Query<Options>,
    (headers, deadline): (HeaderMap, Deadline),
    upload: Upload,
) -> Result<Response, Error> {
    if options.sample.is_some() {
        return Err(Error::new(Code::BadQuery, "`sample` goes with GET: leave it out, or send no image"));
    }
    show(&app, &layer, &options, (&headers, deadline), upload.one()?).await
}

/// Of one of our own images.
pub async fn of_sample(
    State(app): State<Arc<App>>,
    Path(layer): Path<String>,
    Query(options): Query<Options>,
    (headers, deadline): (HeaderMap, Deadline),
) -> Result<Response, Error> {
    let name = options.sample.as_deref().ok_or_else(|| {
        Error::new(Code::BadQuery, "`sample` must name an image of /samples here; to send one of your own, use POST")
    })?;
    let image = Upload::of(&app, samples::named(name)?.png)?.one()?;
    show(&app, &layer, &options, (&headers, deadline), image).await
}

async fn show(
    app: &Arc<App>,
    layer: &str,
    options: &Options,
    (headers, deadline): (&HeaderMap, Deadline),
    image: Image,
) -> Result<Response, Error> {
    let served = app.model(options.model.as_deref(), options.version).await?;
    let format = options.format.unwrap_or_else(|| match preferred(headers, &[PNG, "application/json", arrays::NPY, arrays::RAW]) {
        Some("application/json") => Format::Json,
        Some(arrays::NPY) => Format::Npy,
        Some(arrays::RAW) => Format::F32,
        _ => Format::Png,
    });
    let mut probe = Probe::default().mask(options.mask.as_deref().unwrap_or_default(), &served.model)?;
    let mut room = None;
    let (shape, values) = if layer == INPUT {
        let pixels = forward::decode(app, image.bytes, &served).await?;
        if format == Format::Png && options.channel.is_none() {
            return picture(&served, &pixels);
        }
        input(&served, &pixels)
    } else {
        probe.taps.push(served.model.layer(layer)?);
        if matches!(format, Format::F32 | Format::Npy) {
            room = Some(answers::room(app, bytes_of(&probe, &served)).await?);
        }
        let question = Question { served: Arc::clone(&served), probe, deadline };
        let tap = forward::one(app, image, &question).await?.reply.taps.pop();
        tap.map(|tap| (tap.shape, tap.values)).ok_or_else(|| Error::internal("the model gave no activation"))?
    };
    let array = Array { shape: &shape.dims(), values: &values };
    match format {
        Format::F32 => Ok(held(room, array.raw())),
        Format::Npy => Ok(held(room, array.npy())),
        Format::Json => {
            let summary = summary::summary(&feature_map(shape, &values)).map_err(Error::internal)?;
            let (range, channels) = (summary.range, summary.channels);
            let model = named(&served);
            Ok(Json(json!({"model": model, "layer": layer, "shape": shape, "range": range, "channels": channels})).into_response())
        }
        Format::Png => draw(app, (shape, values), options).await,
    }
}

/// A grid, painted on a blocking thread within the memory that pictures may take.
async fn draw(app: &App, (shape, values): (Shape, Vec<f32>), options: &Options) -> Result<Response, Error> {
    let options = GridOptions {
        channel: options.channel,
        columns: options.columns,
        zoom: options.zoom,
        colormap: options.colormap.map(|Word(colormap)| colormap),
        scale: options.scale.map_or_else(Scale::default, |Word(scale)| scale),
    };
    // The grid's pixels, and at worst as many bytes of PNG.
    let share = app.decoding.take(2 * MAX_PIXELS).await.ok_or_else(Error::stopping)?;
    let paint = move || {
        let _share = share;
        grid::render(&feature_map(shape, &values), &options)
    };
    let drawn = tokio::task::spawn_blocking(paint).await.map_err(|e| Error::internal(format!("drawing failed: {e}")))??;
    let mut response = ([(header::CONTENT_TYPE, PNG)], drawn.png).into_response();
    arrays::describe(&mut response, &shape.dims(), drawn.range);
    Ok(response)
}

fn feature_map(shape: Shape, values: &[f32]) -> FeatureMap<'_> {
    let (channels, height, width) = match shape {
        Shape::Map { channels, height, width } => (channels, height, width),
        Shape::Vector(length) => (length, 1, 1),
    };
    FeatureMap { channels, height, width, values }
}

/// The image at the network's size, in its own colours.
fn picture(served: &Served, pixels: &[u8]) -> Result<Response, Error> {
    let preprocessing = &served.model.metadata().preprocessing;
    let png = encode::rgb(preprocessing.width, preprocessing.height, pixels).map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, PNG)], png).into_response())
}

/// The numbers that the first layer is given.
fn input(served: &Served, pixels: &[u8]) -> (Shape, Vec<f32>) {
    let preprocessing = &served.model.metadata().preprocessing;
    let mut values = Vec::with_capacity(pixels.len());
    preprocessing.normalize(pixels, &mut values);
    (Shape::Map { channels: preprocessing.mean.len(), height: preprocessing.height, width: preprocessing.width }, values)
}

/// The query of `POST /featuremaps`.
#[derive(Debug, Deserialize)]
pub struct AllOptions {
    model: Option<String>,
    version: Option<u64>,
    mask: Option<String>,
    layers: Option<String>,
}

/// Several layers of one image from one forward pass, as a safetensors file with a tensor a layer.
pub async fn all(
    State(app): State<Arc<App>>,
    Query(options): Query<AllOptions>,
    deadline: Deadline,
    upload: Upload,
) -> Result<Response, Error> {
    let image = upload.one()?;
    let served = app.model(options.model.as_deref(), options.version).await?;
    let mut probe = Probe::default().mask(options.mask.as_deref().unwrap_or_default(), &served.model)?;
    probe.taps = match &options.layers {
        None => (0..served.model.layers().len()).collect(),
        Some(names) => names.split(',').map(|name| served.model.layer(name.trim())).collect::<Result<_, _>>()?,
    };
    probe.taps.sort_unstable();
    probe.taps.dedup();
    let room = answers::room(&app, bytes_of(&probe, &served)).await?;
    let question = Question { served: Arc::clone(&served), probe, deadline };
    let taps = forward::one(&app, image, &question).await?.reply.taps;
    let shapes: Vec<Vec<usize>> = taps.iter().map(|tap| tap.shape.dims()).collect();
    let layer = |tap: &Tap| served.model.layers()[tap.layer].name.as_str();
    let tensors = taps.iter().zip(&shapes).map(|(tap, shape)| Tensor { name: layer(tap), shape, values: &tap.values });
    let tensors: Vec<Tensor<'_>> = tensors.collect();
    let metadata = BTreeMap::from([("model".to_owned(), served.name.clone()), ("version".to_owned(), served.version.to_string())]);
    let body = checkpoint::safetensors_bytes(&metadata, &tensors, Dtype::F32);
    Ok(room.hold(([(header::CONTENT_TYPE, arrays::RAW)], body).into_response()))
}

/// What the numbers of all taps take as an answer.
fn bytes_of(probe: &Probe, served: &Served) -> u64 {
    let values = |&layer: &usize| served.model.layers()[layer].output.elements() as u64;
    4 * probe.taps.iter().map(values).sum::<u64>()
}

/// `answer` with its memory, where that was taken before it was made.
fn held(room: Option<Room>, answer: Response) -> Response {
    match room {
        Some(room) => room.hold(answer),
        None => answer,
    }
}
