//! What the routes of the Open Inference Protocol do; [`super::operations`] has all others.

use serde_json::{Value, json};

use super::operation::Operation;
use crate::http::error::Code;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// All of them, in the order of the router.
pub(super) fn operations() -> Vec<Operation> {
    [inference(), catalog(), health()].into_iter().flatten().collect()
}

fn inference() -> Vec<Operation> {
    let example = json!({
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["(a file in base64)"]}]
    });
    let infer = |line: &'static str, summary: &'static str| {
        Operation::new(line, summary)
            .about(
                "The input `image` is FP32 in 0 to 1 or UINT8, [-1, channels, height, width], or BYTES, a file an image; in JSON or, with \
                 `Inference-Header-Content-Length`, as bytes behind it. All images are answered or none.",
            )
            .infers()
            .takes_json(&example)
            .takes_bytes(BYTES)
            .gives_as(200, "`probabilities`, as numbers or, with the parameter `classification`, as classes; and `familiarity`, FP32 [-1, 1], of a model that can tell.", JSON, &answer())
            .gives_bytes(200, "The same with its tensor behind the JSON.", BYTES)
    };
    vec![
        infer("POST /v2/models/{model}/infer", "Say what images show, as clients of Triton and KServe ask for it"),
        infer("POST /v2/models/{model}/versions/{version}/infer", "The same by one version"),
    ]
}

fn answer() -> Value {
    let output = json!({
        "type": "object", "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"}, "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "parameters": {"type": "object"}, "data": {"type": "array"}
        }
    });
    json!({
        "type": "object", "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"}, "model_version": {"type": "string"}, "id": {"type": "string"},
            "outputs": {"type": "array", "items": output}
        }
    })
}

fn catalog() -> Vec<Operation> {
    let open = |operation: Operation| operation.refuses(&[Code::Stopping, Code::TimedOut]);
    let of_model = |operation: Operation| open(operation).refuses(&[Code::BadRequest, Code::UnknownModel]);
    let strings = || json!({"type": "array", "items": {"type": "string"}});
    let tensor = json!({
        "type": "object", "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"}, "datatype": {"type": "string"}, "shape": {"type": "array", "items": {"type": "integer"}}
        }
    });
    let model = json!({
        "type": "object", "required": ["name", "versions", "platform", "inputs", "outputs"],
        "properties": {
            "name": {"type": "string"}, "versions": strings(), "platform": {"type": "string"},
            "inputs": {"type": "array", "items": tensor}, "outputs": {"type": "array", "items": tensor}
        }
    });
    let server = json!({
        "type": "object", "required": ["name", "version", "extensions"],
        "properties": {"name": {"type": "string"}, "version": {"type": "string"}, "extensions": strings()}
    });
    let ready = json!({
        "type": "object", "required": ["name", "ready"],
        "properties": {"name": {"type": "string"}, "ready": {"type": "boolean"}}
    });
    let about = |line, summary| of_model(Operation::new(line, summary).gives_as(200, "Its tensors.", JSON, &model));
    let answers = |line, summary| of_model(Operation::new(line, summary).gives_as(200, "It answers.", JSON, &ready));
    vec![
        open(Operation::new("GET /v2", "Which server this is").gives_as(200, "With what it understands.", JSON, &server)),
        about("GET /v2/models/{model}", "What a model takes and gives"),
        answers("GET /v2/models/{model}/ready", "Whether a model answers"),
        about("GET /v2/models/{model}/versions/{version}", "What a version of a model takes and gives"),
        answers("GET /v2/models/{model}/versions/{version}/ready", "Whether a version of a model answers"),
    ]
}

fn health() -> Vec<Operation> {
    let said = |name: &str| json!({"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}});
    vec![
        Operation::new("GET /v2/health/live", "The process answers").gives_as(200, "It does.", JSON, &said("live")),
        Operation::new("GET /v2/health/ready", "Images are classified right now")
            .gives_as(200, "They are.", JSON, &said("ready"))
            .refuses(&[Code::NotReady, Code::Stopping]),
    ]
}
