//! One method of one path, as it is told of.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::{errors, parameters};
use crate::http::error::Code;

/// Says what `METHOD /path` does.
#[must_use]
#[allow(missing_debug_implementations, reason = "a schema has none")]
pub struct Operation {
    /// In small letters.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    summary: &'static str,
    about: &'static str,
    body: Option<Value>,
    answers: Map<String, Value>,
    refusals: Vec<Code>,
    curl: Vec<&'static str>,
    inference: bool,
    /// Schemas that its bodies refer to.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

/// What every request can be refused with.
const ALL: [Code; 2] = [Code::BadQuery, Code::Internal];
/// What a request with an image can be refused with, too.
const INFERENCE: [Code; 13] = [
    Code::BadRequest,
    Code::NoImage,
    Code::BadImage,
    Code::UnknownModel,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::ImageTooLarge,
    Code::TooManyImages,
    Code::UnsupportedImage,
    Code::Unprocessable,
    Code::QueueFull,
    Code::Stopping,
    Code::TimedOut,
];

impl Operation {
    /// `line` is `METHOD /path`.
    pub fn new(line: &'static str, summary: &'static str) -> Self {
        let (method, path) = line.split_once(' ').unwrap_or(("", line));
        let method = match method {
            "GET" => "get",
            "POST" => "post",
            "PUT" => "put",
            "PATCH" => "patch",
            _ => "delete",
        };
        let (about, body, answers, curl, schemas) = ("", None, Map::new(), Vec::new(), Vec::new());
        Self { method, path, summary, about, body, answers, refusals: ALL.to_vec(), curl, inference: false, schemas }
    }

    /// More than fits the summary.
    pub fn about(mut self, text: &'static str) -> Self {
        self.about = text;
        self
    }

    /// A request is an image, raw or in a form, and is evaluated.
    pub fn takes_images(mut self) -> Self {
        let file = json!({"type": "string", "format": "binary"});
        let images = json!({"type": "array", "items": file, "description": "One image a part."});
        self.body = Some(json!({
            "required": true,
            "description": "The file's bytes, whatever the Content-Type says, or a form whose field `image` has them. \
                            JPEG, PNG, GIF, WebP and BMP are read.",
            "content": {
                "application/octet-stream": {"schema": file},
                "multipart/form-data": {"schema": {"type": "object", "required": ["image"], "properties": {"image": images}}}
            }
        }));
        self.infers()
    }

    /// An image is evaluated, whoever sent it.
    pub fn infers(mut self) -> Self {
        self.inference = true;
        self.refuses(&INFERENCE)
    }

    /// The body is the JSON of `T`.
    pub fn takes<T: ToSchema>(mut self) -> Self {
        let schema = self.refer::<T>();
        self.body = Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}));
        self.refuses(&[Code::BadRequest, Code::BodyTooLarge, Code::RequestTimeout])
    }

    /// The body is JSON that no struct of ours describes.
    pub fn takes_json(mut self, example: &Value) -> Self {
        self.body =
            Some(json!({"required": true, "content": {"application/json": {"schema": {"type": "object"}, "example": example}}}));
        self.refuses(&[Code::BadRequest, Code::BodyTooLarge, Code::RequestTimeout])
    }

    /// The body is bytes of `media`.
    pub fn takes_bytes(mut self, media: &'static str) -> Self {
        self.body = Some(json!({"required": true, "content": {media: {"schema": {"type": "string", "format": "binary"}}}}));
        self.refuses(&[Code::BadRequest, Code::BodyTooLarge, Code::RequestTimeout])
    }

    /// A request may be answered with the JSON of `T`.
    pub fn gives<T: ToSchema>(self, status: u16, text: &'static str) -> Self {
        let mut this = self;
        let schema = this.refer::<T>();
        this.gives_as(status, text, "application/json", &schema)
    }

    /// A request may be answered with a body of `media`.
    pub fn gives_bytes(self, status: u16, text: &'static str, media: &'static str) -> Self {
        let kind = if media.starts_with("text/") || media.contains("json") {
            json!({"type": "string"})
        } else {
            json!({"type": "string", "format": "binary"})
        };
        self.gives_as(status, text, media, &kind)
    }

    /// A request may be answered with a body of `media` that `schema` describes.
    pub fn gives_as(mut self, status: u16, text: &'static str, media: &'static str, schema: &Value) -> Self {
        let answer = self.answers.entry(status.to_string()).or_insert_with(|| json!({"description": text, "content": {}}));
        answer["content"][media] = json!({"schema": schema});
        self
    }

    /// A request may be answered without a body.
    pub fn gives_nothing(mut self, status: u16, text: &'static str) -> Self {
        self.answers.insert(status.to_string(), json!({"description": text}));
        self
    }

    /// What it can be refused with beside what all can.
    pub fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend_from_slice(codes);
        self
    }

    /// A command that asks for it, with `$HOST` for the server.
    pub fn curl(mut self, command: &'static str) -> Self {
        self.curl.push(command);
        self
    }

    /// The schema of `T` among the components, and a reference to it.
    pub fn refer<T: ToSchema>(&mut self) -> Value {
        let name = T::name().into_owned();
        self.schemas.push((name.clone(), T::schema()));
        T::schemas(&mut self.schemas);
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    fn is_admin(&self) -> bool {
        self.path.starts_with("/admin")
    }

    /// What a document says of it, its query being `keys`.
    pub fn document(&self, keys: &[&str]) -> Value {
        let mut codes = self.refusals.clone();
        if self.is_admin() {
            codes.extend([Code::Unauthorized, Code::Stopping]);
        }
        codes.sort_by_key(|code| code.row().1);
        codes.dedup();
        let mut responses = errors::responses(&codes);
        responses.extend(self.answers.clone());
        let mut parameters = parameters::of(self.path, keys);
        if self.inference {
            parameters.extend(parameters::inference_headers());
        }
        let group = match self.path.split('/').nth(1).unwrap_or_default() {
            "classify" | "featuremaps" => "inference",
            "admin" => "admin",
            "v2" => "Open Inference Protocol V2",
            "health" | "metrics" | "openapi.json" | "docs" => "operation",
            _ => "catalog",
        };
        let mut operation = json!({
            "tags": [group],
            "summary": self.summary,
            "description": self.about,
            "operationId": self.id(),
            "parameters": parameters,
            "responses": responses,
            "security": if self.is_admin() { json!([{"admin": []}]) } else { json!([]) },
        });
        if let Some(body) = &self.body {
            operation["requestBody"] = body.clone();
        }
        if !self.curl.is_empty() {
            let samples = self.curl.iter().map(|command| json!({"lang": "Shell", "source": command}));
            operation["x-codeSamples"] = samples.collect();
        }
        operation
    }

    /// `get_layers_layer_weights`.
    fn id(&self) -> String {
        let words = self.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        std::iter::once(self.method).chain(words).collect::<Vec<_>>().join("_")
    }
}
