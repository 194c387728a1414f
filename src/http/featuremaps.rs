//! `/featuremaps`: what a layer makes of an image, as a picture, as its statistics, or as the numbers themselves.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accept::preferred;
use super::answers;
use super::arrays::{self, Array};
use super::deadline::Deadline;
use super::error::{Code, Error};
use super::extract::{Path, Query, Word};
use super::forward::{self, Question};
use super::models::named;
use super::offload::offload;
use super::openapi::shapes;
use super::samples;
use super::state::App;
use super::upload::{Image, Upload};
use super::whole::Whole;
use crate::checkpoint::{self, Dtype, Tensor};
use crate::classification::ModelVersion;
use crate::network::{Probe, Shape, Tap};
use crate::picture::grid::{self, Layout};
use crate::picture::{Colormap, FeatureMap, GridOptions, Pixels, Scale, encode, summary};
use crate::serving::Served;

/// What the image itself is called among the layers.
const INPUT: &str = "input";
const PNG: &str = "image/png";

/// The query of `/featuremaps/{layer}`.
#[derive(Debug, Deserialize)]
pub struct Options {
    model: Option<String>,
    version: Option<Whole<u64>>,
    mask: Option<String>,
    sample: Option<String>,
    channel: Option<Whole<usize>>,
    columns: Option<Whole<NonZeroU32>>,
    zoom: Option<Whole<NonZeroU32>>,
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

/// Which layer is to be seen, how, and how long anybody waits for it.
#[derive(Debug)]
pub struct View {
    layer: String,
    options: Options,
    format: Format,
    deadline: Deadline,
}

impl FromRequestParts<Arc<App>> for View {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let Path(layer) = Path::from_request_parts(parts, app).await?;
        let Query(options) = Query::<Options>::from_request_parts(parts, app).await?;
        let deadline = Deadline::from_request_parts(parts, app).await?;
        let offered = [PNG, "application/json", arrays::NPY, arrays::RAW];
        let format = options.format.unwrap_or_else(|| match preferred(&parts.headers, &offered) {
            Some("application/json") => Format::Json,
            Some(arrays::NPY) => Format::Npy,
            Some(arrays::RAW) => Format::F32,
            _ => Format::Png,
        });
        Ok(Self { layer, options, format, deadline })
    }
}

impl View {
    /// How a grid is drawn, and of which channel the other forms are.
    fn drawn(&self) -> GridOptions {
        let Options { channel, columns, zoom, colormap, scale, .. } = &self.options;
        GridOptions {
            channel: channel.map(|Whole(channel)| channel),
            columns: columns.map(|Whole(columns)| columns),
            zoom: zoom.map(|Whole(zoom)| zoom),
            colormap: colormap.map(|Word(colormap)| colormap),
            scale: scale.map_or_else(Scale::default, |Word(scale)| scale),
        }
    }
}

/// What a layer made of an image, in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Statistics<'a> {
    /// Who computed it.
    model: ModelVersion<'a>,
    /// The layer.
    layer: &'a str,
    /// `[C, H, W]`, or `[N]` for a vector; of one channel `[1, H, W]` or `[1]`.
    shape: Vec<usize>,
    /// What the ends of the colours stand for in the picture that the same query gives: with `scale=layer`, the default, one
    /// range for all channels, 0 to the largest value or symmetric about 0.
    #[schema(value_type = Vec<f32>)]
    range: [f32; 2],
    /// One a channel.
    #[schema(value_type = Vec<shapes::Channel>)]
    channels: &'a [summary::Channel],
}

/// Of an image that was sent.
pub async fn of_upload(State(app): State<Arc<App>>, view: View, upload: Upload) -> Result<Response, Error> {
    if view.options.sample.is_some() {
        return Err(Error::new(Code::BadQuery, "`sample` goes with GET: leave it out, or send no image"));
    }
    show(&app, view, upload.one()?).await
}

/// Of one of our own images.
pub async fn of_sample(State(app): State<Arc<App>>, view: View) -> Result<Response, Error> {
    let name = view.options.sample.as_deref().ok_or_else(|| {
        Error::new(Code::BadQuery, "`sample` must name an image of /samples here; to send one of your own, use POST")
    })?;
    let image = Upload::of(&app, samples::named(name)?.png)?.one()?;
    show(&app, view, image).await
}

async fn show(app: &Arc<App>, view: View, image: Image) -> Result<Response, Error> {
    let version = view.options.version.map(|Whole(version)| version);
    let served = app.model(view.options.model.as_deref(), version).await?;
    let mut probe = Probe::default().mask(view.options.mask.as_deref().unwrap_or_default(), &served.model)?;
    let tapped = if view.layer == INPUT { None } else { Some(served.model.layer(&view.layer)?) };
    let shape = tapped.map_or_else(|| input_shape(&served), |layer| served.model.layers()[layer].output);
    // What cannot be shown is refused before anything is computed.
    let drawn = view.drawn();
    drawn.channels(shape.channels())?;
    let layout = if view.format == Format::Png { Some(Layout::new(sides(shape), &drawn)?) } else { None };
    // An array is kept until it was taken in; what the other forms are made of is gone before they are sent.
    let bytes = 4 * shape.elements() as u64;
    let room = match view.format {
        Format::F32 | Format::Npy => Some(answers::room(app, bytes + bytes.min(arrays::ON_THE_WAY)).await?),
        Format::Json | Format::Png => None,
    };
    let values = if let Some(layer) = tapped {
        probe.taps.push(layer);
        let question = Question { served: Arc::clone(&served), probe, deadline: view.deadline };
        let tap = forward::one(app, image, &question).await?.reply.taps.pop();
        tap.map(|tap| tap.values).ok_or_else(|| Error::internal("the model gave no activation"))?
    } else {
        let pixels = forward::decode(app, image.bytes, &served).await?;
        if view.format == Format::Png && drawn.channel.is_none() {
            return picture(&pixels);
        }
        let mut values = Vec::with_capacity(pixels.values().len());
        served.model.metadata().preprocessing.normalize(&pixels, &mut values).map_err(Error::internal)?;
        values
    };
    let activation = Activation { shape, values };
    let answer = match (view.format, layout) {
        (_, Some(layout)) => draw(app, activation, &drawn, layout.pixels()).await?,
        (Format::F32, _) => activation.array(&drawn)?.raw().await?,
        (Format::Npy, _) => activation.array(&drawn)?.npy(),
        (Format::Json | Format::Png, _) => statistics(activation, served, view).await?,
    };
    Ok(match room {
        Some(room) => room.hold(answer),
        None => answer,
    })
}

/// One image's values at one layer.
struct Activation {
    shape: Shape,
    values: Vec<f32>,
}

impl Activation {
    fn map(&self) -> FeatureMap<'_> {
        let [channels, height, width] = sides(self.shape);
        FeatureMap { channels, height, width, values: &self.values }
    }

    /// The shape of what is shown: one channel keeps its side of 1.
    fn shown(&self, drawn: &GridOptions) -> Vec<usize> {
        let mut shape = self.shape.dims();
        if drawn.channel.is_some() {
            shape[0] = 1;
        }
        shape
    }

    fn array(self, drawn: &GridOptions) -> Result<Array, Error> {
        let channels = drawn.channels(self.shape.channels())?;
        let [_, height, width] = sides(self.shape);
        let part = channels.start * height * width..channels.end * height * width;
        Ok(Array { shape: self.shown(drawn), numbers: Arc::new(self.values), part })
    }
}

async fn statistics(activation: Activation, served: Arc<Served>, view: View) -> Result<Response, Error> {
    let values = activation.values.len();
    let work = move || {
        let drawn = view.drawn();
        let summary = summary::summary(&activation.map()).map_err(Error::internal)?;
        let statistics = Statistics {
            model: named(&served),
            layer: &view.layer,
            shape: activation.shown(&drawn),
            range: summary.range_shown(drawn.channel, drawn.scale),
            channels: &summary.channels[drawn.channels(summary.channels.len())?],
        };
        Ok(Json(statistics).into_response())
    };
    offload(values, work).await?
}

/// A grid of `pixels`, painted on another thread within the memory that pictures may take.
async fn draw(app: &App, activation: Activation, drawn: &GridOptions, pixels: u64) -> Result<Response, Error> {
    // Once as they are painted, and at most once more as they are written.
    let share = app.decoding.take(2 * pixels).await?;
    let (drawn, shown) = (*drawn, activation.shown(drawn));
    let paint = move || {
        let _share = share;
        grid::render(&activation.map(), &drawn)
    };
    let grid = offload(pixels as usize, paint).await??;
    let mut response = ([(header::CONTENT_TYPE, PNG)], grid.png).into_response();
    arrays::describe(&mut response, &shown, grid.range);
    Ok(response)
}

/// The image at the network's size, in its own colours.
fn picture(pixels: &Pixels) -> Result<Response, Error> {
    let png = encode::pixels(pixels).map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, PNG)], png).into_response())
}

/// What the first layer is given.
fn input_shape(served: &Served) -> Shape {
    let input = served.model.metadata().architecture.input;
    Shape::Map { channels: input.channels, height: input.height, width: input.width }
}

/// Channels, height, width; a vector's last two are 1.
fn sides(shape: Shape) -> [usize; 3] {
    match shape {
        Shape::Map { channels, height, width } => [channels, height, width],
        Shape::Vector(length) => [length, 1, 1],
    }
}

/// The query of `POST /featuremaps`.
#[derive(Debug, Deserialize)]
pub struct AllOptions {
    model: Option<String>,
    version: Option<Whole<u64>>,
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
    let version = options.version.map(|Whole(version)| version);
    let served = app.model(options.model.as_deref(), version).await?;
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
    let values = taps.iter().map(|tap| tap.values.len()).sum();
    let body = offload(values, move || tensors(&served, &taps)).await?;
    Ok(room.hold(([(header::CONTENT_TYPE, arrays::RAW)], body).into_response()))
}

/// The safetensors file of `taps`.
fn tensors(served: &Served, taps: &[Tap]) -> Vec<u8> {
    let shapes: Vec<Vec<usize>> = taps.iter().map(|tap| tap.shape.dims()).collect();
    let layer = |tap: &Tap| served.model.layers()[tap.layer].name.as_str();
    let tensors = taps.iter().zip(&shapes).map(|(tap, shape)| Tensor { name: layer(tap), shape, values: &tap.values });
    let tensors: Vec<Tensor<'_>> = tensors.collect();
    let metadata = BTreeMap::from([("model".to_owned(), served.name.clone()), ("version".to_owned(), served.version.to_string())]);
    checkpoint::safetensors_bytes(&metadata, &tensors, Dtype::F32)
}

/// What the numbers of all taps take as an answer.
fn bytes_of(probe: &Probe, served: &Served) -> u64 {
    let values = |&layer: &usize| served.model.layers()[layer].output.elements() as u64;
    4 * probe.taps.iter().map(values).sum::<u64>()
}
