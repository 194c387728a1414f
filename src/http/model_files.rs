//! `GET /models/{name}/file`: a model as the file it is served from. It goes from the disk to the caller a piece at a time, as the
//! caller takes it in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use serde::Deserialize;
use tokio::io::{AsyncRead, ReadBuf};

use super::access;
use super::answers;
use super::arrays::{self, ON_THE_WAY};
use super::error::Error;
use super::extract::{Path, Query};
use super::state::App;
use super::whole::Whole;
use crate::serving::file::{Content, ModelFile};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// The query.
#[derive(Debug, Deserialize)]
pub struct Options {
    version: Option<Whole<u64>>,
}

/// The file, or that the caller has it.
pub async fn get(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let file = app.models.file(&name, options.version.map(|Whole(version)| version)).await?;
    access::note_model(&file.name, file.version);
    let own = [
        (header::ETAG, text(format!("\"{:016x}\"", file.tag))),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_DISPOSITION, text(format!("attachment; filename=\"{}\"", file_name(&file)))),
    ];
    if has(&headers, &own[0].1) {
        return Ok((StatusCode::NOT_MODIFIED, own).into_response());
    }
    let room = answers::room(&app, ON_THE_WAY).await?;
    let body = match file.content {
        Content::Embedded(bytes) => Body::from(Bytes::from_static(bytes)),
        Content::Opened(file, length) => Body::new(Streamed::of(file, length).map_err(Error::internal)?),
    };
    Ok(room.hold((own, [(header::CONTENT_TYPE, arrays::RAW)], body).into_response()))
}

/// What it is saved as: put into a folder of models as it is, version 1 has its name again.
fn file_name(ModelFile { name, version, .. }: &ModelFile) -> String {
    if *version == 1 { format!("{name}.safetensors") } else { format!("{name}-{version}.safetensors") }
}

/// Names of models, digits and quotation marks always make a header.
fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether the caller says that it has what `tag` names.
fn has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').any(|known| known.trim().trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

/// A file on its way out. One that is written to meanwhile is cut off: its end would be of another.
struct Streamed {
    file: tokio::fs::File,
    /// The same file, whose times are asked for.
    beside: std::fs::File,
    modified: SystemTime,
    left: u64,
    piece: Box<[u8]>,
}

impl Streamed {
    fn of(file: std::fs::File, left: u64) -> io::Result<Self> {
        let (beside, modified) = (file.try_clone()?, file.metadata()?.modified()?);
        Ok(Self { file: tokio::fs::File::from_std(file), beside, modified, left, piece: vec![0; PIECE].into() })
    }

    /// Whether it is what it was.
    fn stands(&self) -> io::Result<bool> {
        Ok(self.beside.metadata()?.modified()? == self.modified)
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let most = this.left.min(PIECE as u64) as usize;
        let mut piece = ReadBuf::new(&mut this.piece[..most]);
        ready!(Pin::new(&mut this.file).poll_read(context, &mut piece))?;
        let bytes = Bytes::copy_from_slice(piece.filled());
        if bytes.is_empty() || !this.stands()? {
            return Poll::Ready(Some(Err(io::Error::other("the model file was changed while it was sent"))));
        }
        this.left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
