//! The answer to an inference request: JSON, and behind it the bytes of what was wanted so.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::super::error::Error;
use super::FAMILIARITY;
use super::body::JSON_LENGTH;
use super::output::Wanted;
use crate::classification::Classification;
use crate::serving::{Reply, Served};

/// What the model saw, and for whom.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Who answers.
    pub served: &'a Served,
    /// The request's own.
    pub id: Option<String>,
    /// One an image.
    pub replies: &'a [Reply],
}

#[derive(Debug, Serialize)]
struct Inferred<'a> {
    model_name: &'a str,
    model_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<Output>,
}

#[derive(Debug, Serialize)]
struct Output {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Values>,
}

#[derive(Debug, Serialize)]
struct Parameters {
    binary_data_size: usize,
}

/// An output's elements, image after image.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Values {
    Fp32(Vec<f32>),
    Bytes(Vec<String>),
}

impl Values {
    fn datatype(&self) -> &'static str {
        match self {
            Self::Fp32(_) => "FP32",
            Self::Bytes(_) => "BYTES",
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Fp32(values) => values.len(),
            Self::Bytes(texts) => texts.len(),
        }
    }

    /// Little-endian; texts behind their lengths.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Fp32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Bytes(texts) => {
                texts.iter().flat_map(|text| (text.len() as u32).to_le_bytes().into_iter().chain(text.bytes())).collect()
            }
        }
    }
}

impl Answer<'_> {
    /// As it was wanted; what is wanted as bytes lies in the outputs' order.
    pub fn into_response(self, wanted: &[Wanted]) -> Result<Response, Error> {
        let mut bytes = Vec::new();
        let outputs = wanted.iter().map(|&wanted| {
            let values = self.values(wanted);
            let own = wanted.binary.then(|| values.bytes());
            let images = self.replies.len();
            let output = Output {
                name: wanted.name,
                datatype: values.datatype(),
                shape: [images, values.count() / images.max(1)],
                parameters: own.as_ref().map(|own| Parameters { binary_data_size: own.len() }),
                data: own.is_none().then_some(values),
            };
            bytes.extend(own.into_iter().flatten());
            output
        });
        let outputs = outputs.collect();
        let (model_name, model_version) = (&*self.served.name, self.served.version.to_string());
        let inferred = Inferred { model_name, model_version, id: self.id.as_deref(), outputs };
        if !wanted.iter().any(|wanted| wanted.binary) {
            return Ok(Json(inferred).into_response());
        }
        let mut body = serde_json::to_vec(&inferred).map_err(Error::internal)?;
        let headers = [
            (HeaderName::from_static(JSON_LENGTH), HeaderValue::from(body.len())),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        ];
        body.extend(bytes);
        Ok((headers, body).into_response())
    }

    fn values(&self, wanted: Wanted) -> Values {
        if wanted.name == FAMILIARITY {
            // It was asked of a model that can tell, and so is there.
            return Values::Fp32(self.replies.iter().map(|reply| reply.familiarity.unwrap_or_default()).collect());
        }
        let Some(count) = wanted.classes else {
            return Values::Fp32(self.replies.iter().flat_map(|reply| reply.probabilities.iter().copied()).collect());
        };
        let classes = &self.served.model.metadata().classes;
        let best = |reply: &Reply| {
            let top = Classification::new(classes, &reply.probabilities, count).top;
            top.into_iter().map(|class| format!("{}:{}:{}", class.probability, class.index, class.label)).collect::<Vec<_>>()
        };
        Values::Bytes(self.replies.iter().flat_map(best).collect())
    }
}
