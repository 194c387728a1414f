//! The one table of refusals: every error of the modules below, and every request that cannot be read, becomes a row of it.
//! The caller reads a sentence that says what to do; the cause of a failure of ours stays with us, in the log.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::checkpoint;
use crate::dataset::catalog;
use crate::network::{self, Fault};
use crate::picture::{decode, grid};
use crate::serving::{change, engine, models};
use crate::training;

/// What a program reads: the error's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Body, path or header cannot be read.
    BadRequest,
    /// A query key or its value is wrong.
    BadQuery,
    /// There is no image in the request.
    NoImage,
    /// The bytes are of a format that is read, and broken.
    BadImage,
    /// No token, or not this server's.
    Unauthorized,
    /// Something this server allows nobody.
    Forbidden,
    /// No such path.
    NotFound,
    /// No such model or version.
    UnknownModel,
    /// No such layer.
    UnknownLayer,
    /// No such sample image.
    UnknownSample,
    /// No such dataset.
    UnknownDataset,
    /// No such training job.
    UnknownJob,
    /// No evaluation of it was kept.
    NoResults,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// It cannot be done in the present state.
    Conflict,
    /// More bytes than allowed.
    BodyTooLarge,
    /// More pixels than allowed.
    ImageTooLarge,
    /// More images than can ever be taken at once.
    TooManyImages,
    /// A longer address than is read.
    UriTooLong,
    /// More headers, or larger ones, than are read.
    HeadersTooLarge,
    /// A format that is not read.
    UnsupportedImage,
    /// Readable, and contradictory or out of range.
    Unprocessable,
    /// Every place is taken.
    QueueFull,
    /// A failure of ours.
    Internal,
    /// The disk is full.
    NoRoom,
    /// No model is ready.
    NotReady,
    /// The server is stopping.
    Stopping,
    /// The caller's deadline passed.
    TimedOut,
}

impl Code {
    /// The code as it is written, and the status it is sent with.
    pub fn row(self) -> (&'static str, StatusCode) {
        match self {
            Self::BadRequest => ("bad_request", StatusCode::BAD_REQUEST),
            Self::BadQuery => ("bad_query", StatusCode::BAD_REQUEST),
            Self::NoImage => ("no_image", StatusCode::BAD_REQUEST),
            Self::BadImage => ("bad_image", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Self::UnknownModel => ("unknown_model", StatusCode::NOT_FOUND),
            Self::UnknownLayer => ("unknown_layer", StatusCode::NOT_FOUND),
            Self::UnknownSample => ("unknown_sample", StatusCode::NOT_FOUND),
            Self::UnknownDataset => ("unknown_dataset", StatusCode::NOT_FOUND),
            Self::UnknownJob => ("unknown_job", StatusCode::NOT_FOUND),
            Self::NoResults => ("no_results", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::RequestTimeout => ("request_timeout", StatusCode::REQUEST_TIMEOUT),
            Self::Conflict => ("conflict", StatusCode::CONFLICT),
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::ImageTooLarge => ("image_too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooManyImages => ("too_many_images", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UriTooLong => ("uri_too_long", StatusCode::URI_TOO_LONG),
            Self::HeadersTooLarge => ("headers_too_large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::UnsupportedImage => ("unsupported_image", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::Unprocessable => ("unprocessable", StatusCode::UNPROCESSABLE_ENTITY),
            Self::QueueFull => ("queue_full", StatusCode::TOO_MANY_REQUESTS),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
            Self::NoRoom => ("no_room", StatusCode::INSUFFICIENT_STORAGE),
            Self::NotReady => ("not_ready", StatusCode::SERVICE_UNAVAILABLE),
            Self::Stopping => ("stopping", StatusCode::SERVICE_UNAVAILABLE),
            Self::TimedOut => ("timed_out", StatusCode::GATEWAY_TIMEOUT),
        }
    }
}

/// What became of a request, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It asked for what cannot be done.
    BadInput,
    /// There was no room, or no server ready for it.
    Refused,
    /// Time ran out.
    Late,
    /// A failure of ours.
    Failed,
    /// Its caller hung up before the answer.
    Cancelled,
}

impl Outcome {
    /// Of a request that was answered with `status`.
    pub fn of(status: u16) -> Self {
        match status {
            ..400 => Self::Ok,
            429 | 503 => Self::Refused,
            408 | 504 => Self::Late,
            500.. => Self::Failed,
            _ => Self::BadInput,
        }
    }

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BadInput => "bad_input",
            Self::Refused => "refused",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub struct Error {
    code: Code,
    sentence: String,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
    faults: Vec<Fault>,
}

/// What every refusal says, as it is sent.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    error: &'a str,
    code: &'static str,
    /// What is wrong with a layer list, place by place.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    faults: &'a [Fault],
}

/// Why a failure of ours happened. It travels beside the response, never in it; the access log writes it down.
#[derive(Debug, Clone)]
pub struct Cause(pub String);

impl Error {
    /// A row of the table with the sentence for people.
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), retry_after: None, cause: None, faults: Vec::new() }
    }

    /// A failure of ours: `cause` is logged and not sent.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let sentence = "the server failed; try again, and if it stays, look for this answer's `x-request-id` in the server's log";
        Self { cause: Some(Cause(cause.to_string())), ..Self::new(Code::Internal, sentence) }
    }

    /// The refusal of a server that stops.
    pub fn stopping() -> Self {
        Self::new(Code::Stopping, "the server is stopping; try again, another may take its place")
            .retry_after(Duration::from_secs(1))
    }

    /// The refusal on a connection beyond those there may be: like a full queue's, and told when to come back by it.
    pub fn crowded(full: engine::Error) -> Self {
        let sentence = "the server has as many connections as it can take; try again in a moment, on a new one";
        Self { sentence: sentence.into(), ..full.into() }
    }

    /// The refusal of a caller whose deadline passed.
    pub fn timed_out() -> Self {
        Self::new(Code::TimedOut, "the answer was not ready by the deadline; allow more time in `x-timeout-ms`")
    }

    /// Its row of the table.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the caller is told.
    pub fn told(&self) -> Told<'_> {
        Told { error: &self.sentence, code: self.code.row().0, faults: &self.faults }
    }

    /// When to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The same, its sentence about the `position`th image of several.
    #[must_use]
    pub fn about_image(mut self, position: usize) -> Self {
        self.sentence = format!("image {position}: {}", self.sentence);
        self
    }

    /// Why a failure of ours happened.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (self.code.row().1, Json(self.told())).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            let milliseconds = after.as_micros().div_ceil(1000).max(1) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(milliseconds.div_ceil(1000)));
            headers.insert("retry-after-ms", HeaderValue::from(milliseconds));
        }
        if self.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"convscope admin\""));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        // For the counts of requests.
        response.extensions_mut().insert(self.code);
        response
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::new(Code::BadRequest, format!("the path cannot be read: {}", rejection.body_text()))
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Full { retry_after, .. } => {
                Self::new(Code::QueueFull, "the server has as many images as it can take; try again in a moment")
                    .retry_after(retry_after)
            }
            engine::Error::TooMany { .. } => Self::new(Code::TooManyImages, format!("{error}: send them in several requests")),
            engine::Error::Late => Self::timed_out(),
            engine::Error::Closed => Self::stopping(),
            engine::Error::Failed(cause) => Self::internal(cause),
        }
    }
}

impl From<models::Error> for Error {
    fn from(error: models::Error) -> Self {
        match error {
            models::Error::Unknown(_) | models::Error::Unusable { .. } => Self::new(Code::UnknownModel, error.to_string()),
            models::Error::Broken { .. } => Self::internal(error),
            models::Error::Changing { .. } => Self::new(Code::NotReady, error.to_string()).retry_after(Duration::from_secs(1)),
            models::Error::Stopped => Self::stopping(),
        }
    }
}

impl From<change::Error> for Error {
    fn from(error: change::Error) -> Self {
        use checkpoint::Error as File;
        let code = match error {
            change::Error::Models(error) => return error.into(),
            change::Error::Refused { .. } | change::Error::Reserved | change::Error::Checkpoint(File::Name(_)) => {
                Code::Unprocessable
            }
            change::Error::Active { .. } | change::Error::Single { .. } | change::Error::Checkpoint(File::TwoPlaces { .. }) => {
                Code::Conflict
            }
            change::Error::ReadOnly { .. } => Code::Forbidden,
            change::Error::Checkpoint(_) => return Self::internal(error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<network::Error> for Error {
    fn from(error: network::Error) -> Self {
        let code = match error {
            network::Error::UnknownLayer { .. } => Code::UnknownLayer,
            network::Error::Mask(_) => Code::BadQuery,
            // candle's texts can carry source paths.
            network::Error::Device(_) | network::Error::Tensor(_) => return Self::internal(format!("{error}: {error:?}")),
            _ => Code::Unprocessable,
        };
        let sentence = error.to_string();
        let faults = if let network::Error::Architecture(faults) = error { faults } else { Vec::new() };
        Self { faults, ..Self::new(code, sentence) }
    }
}

impl From<decode::Error> for Error {
    fn from(error: decode::Error) -> Self {
        let code = match error {
            decode::Error::Empty => Code::NoImage,
            decode::Error::UnknownFormat { .. } => Code::UnsupportedImage,
            decode::Error::TooManyPixels { .. } | decode::Error::TooMuchMemory { .. } => Code::ImageTooLarge,
            decode::Error::Truncated { .. } | decode::Error::Unreadable { .. } | decode::Error::Mangled | decode::Error::Base64 => {
                Code::BadImage
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<grid::Error> for Error {
    fn from(error: grid::Error) -> Self {
        match error {
            grid::Error::Channel { .. } => Self::new(Code::Unprocessable, error.to_string()),
            grid::Error::TooLarge { .. } => Self::new(Code::BadQuery, error.to_string()),
            grid::Error::Values { .. } | grid::Error::Png(_) => Self::internal(format!("{error}: {error:?}")),
        }
    }
}

impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Self {
        match error {
            catalog::Error::Unknown { .. } => Self::new(Code::UnknownDataset, error.to_string()),
            catalog::Error::NoName(_) => {
                let sentence =
                    "`data` must be the name of a dataset in the data folder: `train.allow_paths` in config.toml allows paths";
                Self::new(Code::Forbidden, sentence)
            }
        }
    }
}

impl From<training::Error> for Error {
    fn from(error: training::Error) -> Self {
        use training::Error as E;
        let code = match error {
            E::Network(error) => return (*error).into(),
            E::Closing => return Self::stopping(),
            E::Io { .. } | E::NoRun(_) | E::Checkpoint(_) | E::Diverged { .. } | E::Evaluation(_) | E::Fetch { .. } => {
                return Self::internal(error);
            }
            E::UnknownJob(_) => Code::UnknownJob,
            E::Over { .. } | E::Live { .. } | E::GoesOn { .. } | E::Locked(_) | E::Resume { .. } => Code::Conflict,
            E::Disk { .. } => Code::NoRoom,
            E::UnknownRecipe { .. }
            | E::UnknownArchitecture { .. }
            | E::RecipeFile(_)
            | E::Name
            | E::Memory { .. }
            | E::Recipe(_)
            | E::Mismatch(_)
            | E::Dataset(_) => Code::Unprocessable,
        };
        Self::new(code, error.to_string())
    }
}
