//! What a route can be asked with beside its body. A key means the same wherever it is taken, so each is described once; which
//! keys a route takes is read from the struct that its handler reads them into.

use serde_json::{Value, json};

/// What the query key `name` holds, and what it does. None of a key that is not described here: add a line.
fn query(name: &str) -> Option<(Value, &'static str)> {
    let whole = |least: u32| json!({"type": "integer", "minimum": least});
    let words = |words: &[&str]| json!({"type": "string", "enum": words});
    let text = || json!({"type": "string"});
    Some(match name {
        "model" => (text(), "The model that answers, by name; else the default one."),
        "version" => (whole(1), "Its version; else the active one."),
        "top_k" => (whole(1), "How many classes `top` lists, 5 unless it is said."),
        "mask" => (text(), "Channels that are set to 0 after their layer: `conv1:3,7;conv2:0`."),
        "partial" => (
            json!({"type": "boolean"}),
            "Of several images answer those that can be; each of the others has its error in its place.",
        ),
        "sample" => (text(), "A sample image instead of a body, by name: see `/samples`."),
        "layers" => (text(), "Names of layers, separated by commas; else all."),
        "channel" => (whole(0), "One channel of the layer alone."),
        "columns" => (whole(1), "Tiles a row of the grid."),
        "zoom" => (whole(1), "Pixels a side that a value is drawn as."),
        "colormap" => {
            (words(&["viridis", "cividis", "gray", "rdbu"]), "Else by the values: sequential from 0, or diverging about 0.")
        }
        "scale" => (words(&["layer", "channel", "tutorial"]), "What the colours' range is taken over."),
        "format" => (
            text(),
            "The form of the answer, instead of `Accept`: `json`, `npy`, `f32`, where there is a picture `png`; of epochs `csv` and `ndjson`.",
        ),
        "rows" => (words(&["epochs", "steps"]), "What a table, or lines, are of; `epochs` unless it is said."),
        "true" => (text(), "Only images of this class."),
        "said" => (text(), "Only images that are taken for this class."),
        "limit" => (whole(1), "How many are listed, 100 unless it is said."),
        "parameter" => (text(), "One parameter of the layer: `weight`, `bias`, …"),
        _ => return None,
    })
}

/// What the part `{name}` of a path is. None of one that is not described here: add a line.
fn part(name: &str) -> Option<&'static str> {
    Some(match name {
        "model" => "A model's name, as `/models` lists them.",
        "version" => "Its version, a whole number.",
        "layer" => "A layer's name, as `/layers` lists them.",
        "name" => "Its name.",
        "index" => "A test image's index, as `/mistakes` lists them.",
        "id" => "The id of a training run.",
        "file" => "A file of the page.",
        _ => return None,
    })
}

/// The parts of `path`, then the query's `keys`, as a document has them; those that nobody described with [`super::LACKING`].
pub fn of(path: &str, keys: &[&str]) -> Vec<Value> {
    let parts = path.split(['{', '}']).skip(1).step_by(2).map(|name| name.trim_start_matches('*')).map(|name| {
        let mut parameter = json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
        match part(name) {
            Some(text) => parameter["description"] = text.into(),
            None => parameter[super::LACKING] = format!("add `{name}` to `part` in openapi/parameters.rs").into(),
        }
        parameter
    });
    let keys = keys.iter().map(|name| match query(name) {
        Some((schema, text)) => json!({"name": name, "in": "query", "description": text, "schema": schema}),
        None => {
            json!({"name": name, "in": "query", super::LACKING: format!("add `{name}` to `query` in openapi/parameters.rs")})
        }
    });
    parts.chain(keys).collect()
}

/// The headers that a request for an inference may have.
pub fn inference_headers() -> Vec<Value> {
    vec![
        json!({
            "name": "x-timeout-ms", "in": "header", "schema": {"type": "integer", "minimum": 1},
            "description": "How long the caller waits, in milliseconds; then the answer is 504."
        }),
        json!({
            "name": "x-request-id", "in": "header", "schema": {"type": "string", "maxLength": 64},
            "description": "What the request is called, in the answer and in the server's log; else the server names it."
        }),
    ]
}
