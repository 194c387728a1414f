//! `GET /layers`: what a network consists of. `GET /layers/{layer}/weights`: what it has learned.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accept::preferred;
use super::answers;
use super::arrays::{self, Array};
use super::error::{Code, Error};
use super::extract::{Path, Query, unknown};
use super::models::named;
use super::offload::offload;
use super::openapi::shapes;
use super::state::App;
use super::whole::Whole;
use crate::classification::ModelVersion;
use crate::network::shape::{ParameterSpec, Role, Source};
use crate::network::spec::Input;
use crate::network::{self, Architecture, Layer, LayerShape, Shape};
use crate::serving::Served;

/// Numbers that are still sent as JSON.
const JSON_VALUES: usize = 65_536;

const BIAS: HeaderName = HeaderName::from_static("x-bias");

/// The query of `GET /layers`.
#[derive(Debug, Deserialize)]
pub struct Which {
    model: Option<String>,
    version: Option<Whole<u64>>,
}

/// A network, layer by layer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Network<'a> {
    /// Whose it is.
    model: ModelVersion<'a>,
    /// The image it takes.
    #[schema(value_type = shapes::Input)]
    input: Input,
    /// In the order in which they are computed.
    layers: Vec<Described<'a>>,
    /// Numbers that all layers own.
    parameters: usize,
    /// Multiply-adds for one image.
    multiply_adds: u64,
}

/// A layer as it is written in an architecture file, and what follows from it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Layer)]
pub struct Described<'a> {
    /// Name, kind and the kind's arguments.
    #[serde(flatten)]
    #[schema(value_type = shapes::LayerKind)]
    layer: &'a Layer,
    /// What it reads: names of layers, or `input`.
    inputs: Vec<&'a str>,
    /// `[C, H, W]`, or `[N]` for a vector.
    #[schema(value_type = Vec<usize>)]
    output: Shape,
    /// Numbers it owns, running statistics included.
    parameters: usize,
    /// Multiply-adds for one image.
    multiply_adds: u64,
}

/// Every layer in order, with what it takes, gives, owns and costs.
pub async fn list(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Result<Response, Error> {
    let served = app.model(which.model.as_deref(), which.version.map(|Whole(version)| version)).await?;
    let architecture = &served.model.metadata().architecture;
    let layers = served.model.layers();
    let answer = Network {
        model: named(&served),
        input: architecture.input,
        layers: described(architecture, layers),
        parameters: layers.iter().map(LayerShape::parameter_count).sum(),
        multiply_adds: layers.iter().map(|layer| layer.multiply_adds).sum(),
    };
    Ok(Json(answer).into_response())
}

/// The layers of `architecture`, each with what was inferred of it.
pub fn described<'a>(architecture: &'a Architecture, layers: &'a [LayerShape]) -> Vec<Described<'a>> {
    let source = |source: &Source| match source {
        Source::Image => "input",
        Source::Layer(at) => layers[*at].name.as_str(),
    };
    let one = |(layer, shape): (&'a Layer, &'a LayerShape)| Described {
        layer,
        inputs: shape.sources.iter().map(source).collect(),
        output: shape.output,
        parameters: shape.parameter_count(),
        multiply_adds: shape.multiply_adds,
    };
    architecture.layers.iter().zip(layers).map(one).collect()
}

/// The query of `GET /layers/{layer}/weights`.
#[derive(Debug, Deserialize)]
pub struct WeightOptions {
    model: Option<String>,
    version: Option<Whole<u64>>,
    parameter: Option<String>,
    channel: Option<Whole<usize>>,
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    F32,
    Npy,
}

/// What a layer has learned.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Learned<'a> {
    /// Whose it is.
    model: ModelVersion<'a>,
    /// The layer.
    layer: &'a str,
    /// What it owns, weight first.
    parameters: Vec<OneParameter<'a>>,
}

/// One parameter, or what one channel has of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Parameter)]
pub(super) struct OneParameter<'a> {
    /// PyTorch's name of the whole: `conv1.weight`.
    name: &'a str,
    /// The length of each side.
    shape: &'a [usize],
    /// Row-major.
    values: &'a [f32],
}

/// A layer's parameters: all of them as JSON, one of them (`weight` unless `parameter` names another) as an array. With
/// `channel` what that output has of them: a filter or a row, and in `x-bias` its bias.
pub async fn weights(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(options): Query<WeightOptions>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let served = app.model(options.model.as_deref(), options.version.map(|Whole(version)| version)).await?;
    let layer = &served.model.layers()[served.model.layer(&name)?];
    let channel = options.channel.map(|Whole(channel)| channel);
    let format = options.format.unwrap_or_else(|| match preferred(&headers, &["application/json", arrays::NPY, arrays::RAW]) {
        Some(arrays::NPY) => Format::Npy,
        Some(arrays::RAW) => Format::F32,
        _ => Format::Json,
    });
    let part = |spec: &ParameterSpec| Part::of(&served, spec, channel, &name);
    let mut response = match format {
        Format::F32 | Format::Npy => {
            let array = part(one(layer, options.parameter.as_deref().unwrap_or("weight"))?)?.array();
            let room = answers::room(&app, (4 * array.part.len() as u64).min(arrays::ON_THE_WAY)).await?;
            room.hold(if format == Format::Npy { array.npy() } else { array.raw().await? })
        }
        Format::Json => {
            let parts = match options.parameter.as_deref() {
                Some(asked) => vec![part(one(layer, asked)?)?],
                None => layer.parameters.iter().map(part).collect::<Result<_, _>>()?,
            };
            json(&served, &name, parts).await?
        }
    };
    if let Some(bias) = channel.and_then(|channel| bias(&served, layer, channel)) {
        // Digits, signs and dots always make a header.
        if let Ok(value) = HeaderValue::try_from(bias.to_string()) {
            response.headers_mut().insert(BIAS, value);
        }
    }
    Ok(response)
}

/// A parameter that stays with its model.
#[derive(Debug, Clone)]
struct Held {
    served: Arc<Served>,
    name: String,
}

impl AsRef<[f32]> for Held {
    fn as_ref(&self) -> &[f32] {
        self.served.model.weights().get(&self.name).map_or(&[], |parameter| &parameter.values)
    }
}

/// A parameter, or what one channel has of it.
#[derive(Debug)]
struct Part {
    held: Held,
    shape: Vec<usize>,
    range: Range<usize>,
}

impl Part {
    fn of(served: &Arc<Served>, spec: &ParameterSpec, channel: Option<usize>, layer: &str) -> Result<Self, Error> {
        let held = Held { served: Arc::clone(served), name: spec.name.clone() };
        let Some(channel) = channel else {
            return Ok(Self { held, shape: spec.shape.clone(), range: 0..spec.shape.iter().product() });
        };
        let (outputs, shape) = spec.shape.split_first().map_or((1, [].as_slice()), |(&outputs, shape)| (outputs, shape));
        if channel >= outputs {
            let last = outputs.saturating_sub(1);
            return Err(network::Error::UnknownChannel { layer: layer.into(), channel, last }.into());
        }
        let size: usize = shape.iter().product();
        // A vector has one number a channel.
        let shape = if shape.is_empty() { vec![1] } else { shape.to_vec() };
        Ok(Self { held, shape, range: channel * size..(channel + 1) * size })
    }

    fn array(self) -> Array {
        Array { shape: self.shape, numbers: Arc::new(self.held), part: self.range }
    }

    fn values(&self) -> OneParameter<'_> {
        OneParameter { name: &self.held.name, shape: &self.shape, values: &self.held.as_ref()[self.range.clone()] }
    }
}

async fn json(served: &Arc<Served>, layer: &str, parts: Vec<Part>) -> Result<Response, Error> {
    let count: usize = parts.iter().map(|part| part.range.len()).sum();
    if count > JSON_VALUES {
        let sentence = format!(
            "`{layer}` has {count} numbers, more than the {JSON_VALUES} sent as JSON: ask for `format=npy` or `f32`, or for one `channel`"
        );
        return Err(Error::new(Code::Unprocessable, sentence));
    }
    let (served, layer) = (Arc::clone(served), layer.to_owned());
    let write = move || {
        let parameters = parts.iter().map(Part::values).collect();
        Json(Learned { model: named(&served), layer: &layer, parameters }).into_response()
    };
    offload(count, write).await
}

/// What is added to every value of `channel`, where the layer has that.
fn bias(served: &Served, layer: &LayerShape, channel: usize) -> Option<f32> {
    let spec = layer.parameters.iter().find(|spec| spec.role == Role::Bias)?;
    served.model.weights().get(&spec.name)?.values.get(channel).copied()
}

/// The parameter of `layer` that is called `asked`, with the layer's name before it or without.
fn one<'a>(layer: &'a LayerShape, asked: &str) -> Result<&'a ParameterSpec, Error> {
    let short = |spec: &'a ParameterSpec| spec.name.rsplit('.').next().unwrap_or_default();
    let found = layer.parameters.iter().find(|spec| short(spec) == asked || spec.name == asked);
    found.ok_or_else(|| {
        let known: Vec<&str> = layer.parameters.iter().map(short).collect();
        let sentence = match known.as_slice() {
            [] => format!("the layer `{}` has no parameters", layer.name),
            known => unknown(&format!("parameter of `{}` called", layer.name), asked, known),
        };
        Error::new(Code::UnknownLayer, sentence)
    })
}
