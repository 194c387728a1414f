//! `GET /layers`: what a network consists of. `GET /layers/{layer}/weights`: what it has learned.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accept::preferred;
use super::answers;
use super::arrays::{self, Array};
use super::error::{Code, Error};
use super::extract::{Path, Query, unknown};
use super::models::named;
use super::state::App;
use crate::network::shape::Source;
use crate::network::{Layer, LayerShape, Model, Parameter};

/// Numbers that are still sent as JSON.
const JSON_VALUES: usize = 65_536;

/// The query of `GET /layers`.
#[derive(Debug, Deserialize)]
pub struct Which {
    model: Option<String>,
    version: Option<u64>,
}

/// Every layer in order, with what it takes, gives, owns and costs.
pub async fn list(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Result<Json<Value>, Error> {
    let served = app.model(which.model.as_deref(), which.version).await?;
    let architecture = &served.model.metadata().architecture;
    let layers = served.model.layers();
    let described: Vec<Value> =
        architecture.layers.iter().zip(layers).map(|(layer, shape)| describe(layer, shape, &served.model)).collect();
    Ok(Json(json!({
        "model": named(&served),
        "input": architecture.input,
        "layers": described,
        "parameters": layers.iter().map(LayerShape::parameter_count).sum::<usize>(),
        "multiply_adds": layers.iter().map(|layer| layer.multiply_adds).sum::<u64>(),
    })))
}

/// The layer as it is written in an architecture file, and what follows from it.
fn describe(layer: &Layer, shape: &LayerShape, model: &Model) -> Value {
    let source = |source: &Source| match source {
        Source::Image => "input",
        Source::Layer(at) => model.layers()[*at].name.as_str(),
    };
    let mut described = json!(layer);
    described["inputs"] = json!(shape.sources.iter().map(source).collect::<Vec<_>>());
    described["output"] = json!(shape.output);
    described["parameters"] = json!(shape.parameter_count());
    described["multiply_adds"] = json!(shape.multiply_adds);
    described
}

/// The query of `GET /layers/{layer}/weights`.
#[derive(Debug, Deserialize)]
pub struct WeightOptions {
    model: Option<String>,
    version: Option<u64>,
    parameter: Option<String>,
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    F32,
    Npy,
}

/// A layer's parameters: all of them as JSON, one of them (`weight` unless `parameter` names another) as an array.
pub async fn weights(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(options): Query<WeightOptions>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let served = app.model(options.model.as_deref(), options.version).await?;
    let layer = &served.model.layers()[served.model.layer(&name)?];
    let owned = layer.parameters.iter().filter_map(|spec| served.model.weights().get(&spec.name));
    let owned: Vec<&Parameter> = owned.collect();
    let format = options.format.unwrap_or_else(|| match preferred(&headers, &["application/json", arrays::NPY, arrays::RAW]) {
        Some(arrays::NPY) => Format::Npy,
        Some(arrays::RAW) => Format::F32,
        _ => Format::Json,
    });
    let chosen = match (&options.parameter, format) {
        (None, Format::Json) => owned,
        (asked, _) => vec![one(&owned, &name, asked.as_deref().unwrap_or("weight"))?],
    };
    if format == Format::Json {
        let values: usize = chosen.iter().map(|parameter| parameter.values.len()).sum();
        if values > JSON_VALUES {
            let sentence =
                format!("`{name}` has {values} numbers, more than the {JSON_VALUES} sent as JSON: ask for `format=npy` or `f32`");
            return Err(Error::new(Code::Unprocessable, sentence));
        }
        let parameters = chosen.iter().map(|p| json!({"name": p.name, "shape": p.shape, "values": p.values}));
        let parameters: Vec<Value> = parameters.collect();
        return Ok(Json(json!({"model": named(&served), "layer": name, "parameters": parameters})).into_response());
    }
    let parameter = chosen.first().ok_or_else(|| Error::internal("a chosen parameter is gone"))?;
    let (chosen, values) = (parameter.name.clone(), parameter.values.len());
    let room = answers::room(&app, 4 * values as u64).await?;
    // Tens of megabytes are not copied between other requests.
    let copied = tokio::task::spawn_blocking(move || {
        let parameter = served.model.weights().get(&chosen)?;
        let array = Array { shape: &parameter.shape, values: &parameter.values };
        Some(if format == Format::Npy { array.npy() } else { array.raw() })
    });
    let answer = copied.await.map_err(Error::internal)?.ok_or_else(|| Error::internal("a chosen parameter is gone"))?;
    Ok(room.hold(answer))
}

fn one<'a>(owned: &[&'a Parameter], layer: &str, asked: &str) -> Result<&'a Parameter, Error> {
    let short = |parameter: &'a Parameter| parameter.name.rsplit('.').next().unwrap_or_default();
    let found = owned.iter().copied().find(|parameter| short(parameter) == asked || parameter.name == asked);
    found.ok_or_else(|| {
        let known: Vec<&str> = owned.iter().copied().map(short).collect();
        let sentence = match known.as_slice() {
            [] => format!("the layer `{layer}` has no parameters"),
            known => unknown(&format!("parameter of `{layer}` called"), asked, known),
        };
        Error::new(Code::UnknownLayer, sentence)
    })
}
