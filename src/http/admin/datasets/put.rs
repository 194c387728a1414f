//! `PUT /admin/datasets/{name}`: an archive of a folder of images, written to disk as it arrives, unpacked, looked at, and there as a
//! whole or not at all.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::StreamExt;

use super::desk::{Stage, Ticket};
use super::follow::{self, LINES};
use super::{OneSet, Set, Standing, blocking, folder, named};
use crate::dataset::archive::{self, Allowed};
use crate::dataset::disk;
use crate::dataset::shelf::Draft;
use crate::http::accept::preferred;
use crate::http::body::{cut_off, dripping};
use crate::http::error::{Code, Error};
use crate::http::extract::Path;
use crate::http::pace::Pace;
use crate::http::state::App;

/// Files and folders of one set.
const ENTRIES: u64 = 2_000_000;

/// Takes a set in. Answers 201 and what is in it; how far it is meanwhile, `GET` of the same path says, or this answer itself, line by
/// line, where `Accept` asks for that.
pub async fn put(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Result<Response, Error> {
    let name = named(name)?;
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|value| value.to_str().ok()?.parse().ok());
    let coming =
        || Error::new(Code::Conflict, format!("a dataset `{name}` is being sent already: wait for it, or choose another name"));
    let ticket = app.datasets.begin(&name, length).ok_or_else(coming)?;
    let (server, asked) = (Arc::clone(&app), name.clone());
    let draft = blocking(move || begin(&server, &asked, length)).await?;
    let told = (preferred(request.headers(), &["application/json", LINES]) == Some(LINES)).then(|| {
        let (tell, told) = unbounded_channel();
        ticket.followed_by(tell);
        told
    });
    let work = take(app, name.clone(), request.into_body(), draft, ticket);
    match told {
        None => Ok(created(work.await?)),
        Some(told) => follow::answer(name, tokio::spawn(work), told).await,
    }
}

/// The answer that all is done.
pub(super) fn created(set: Set) -> Response {
    (StatusCode::CREATED, Json(OneSet { dataset: set })).into_response()
}

/// From the body to the set in its place.
async fn take(app: Arc<App>, name: String, body: Body, draft: Draft, ticket: Ticket) -> Result<Set, Error> {
    receive(&app, body, &draft, &ticket).await?;
    // To its end, whether or not whoever sent it is still there.
    blocking(move || finish(&app, name, draft, &ticket)).await
}

/// Whether there is any sense in reading the body, and where it goes.
fn begin(app: &App, name: &str, length: Option<u64>) -> Result<Draft, Error> {
    if folder(app).join(name).symlink_metadata().is_ok() {
        return Err(there(name));
    }
    let most = app.config.limits.dataset_bytes;
    if let Some(length) = length {
        if length > most {
            return Err(too_large(most));
        }
        // The archive, and the images, which it hardly shrinks.
        let needed = length.saturating_mul(2).saturating_add(disk::RESERVE);
        if let Some(free) = disk::free(&folder(app)).filter(|free| *free < needed) {
            return Err(archive::Error::Room { needed, free }.into());
        }
    }
    Draft::begin(&folder(app), name).map_err(Error::internal)
}

async fn receive(app: &App, body: Body, draft: &Draft, ticket: &Ticket) -> Result<(), Error> {
    let most = app.config.limits.dataset_bytes;
    let mut file = File::create(draft.archive()).await.map_err(full)?;
    let mut chunks = body.into_data_stream();
    let (mut received, mut pace) = (0, Pace::new(app.patience()));
    while let Some(chunk) = pace.next(chunks.next()).await.ok_or_else(dripping)? {
        let chunk = chunk.map_err(|_| cut_off())?;
        pace.came(chunk.len());
        received += chunk.len() as u64;
        if received > most {
            return Err(too_large(most));
        }
        file.write_all(&chunk).await.map_err(full)?;
        ticket.note(|stand| stand.received_bytes = received);
    }
    file.flush().await.map_err(full)
}

fn finish(app: &App, name: String, draft: Draft, ticket: &Ticket) -> Result<Set, Error> {
    ticket.note(|stand| stand.stage = Stage::Unpacking);
    let allowed = Allowed { bytes: app.config.limits.dataset_bytes, entries: ENTRIES };
    // A server that stops does not wait for it.
    let goes_on = || if app.is_draining() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    archive::unpack(&draft.archive(), &draft.set(), allowed, &mut |bytes| {
        ticket.note(|stand| stand.unpacked_bytes = bytes);
        goes_on()
    })?;
    ticket.note(|stand| stand.stage = Stage::Looking);
    let hidden = draft.set();
    // Where it lies for the moment is nobody's business.
    let unusable = |error: crate::dataset::Error| {
        let said = error.to_string().replace(&hidden.display().to_string(), "the archive");
        Error::new(Code::Unprocessable, said)
    };
    let mut survey = crate::dataset::survey::survey(&hidden, &mut || goes_on()).map_err(unusable)?;
    let place = folder(app).join(&name);
    let [from, to] = [&hidden, &place].map(|path| path.display().to_string());
    survey.notes.iter_mut().for_each(|note| *note = note.replace(&from, &to));
    draft.finish().map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => there(&name),
        _ => full(error),
    })?;
    Ok(Set { name, state: Standing::Ready(survey) })
}

fn there(name: &str) -> Error {
    let sentence =
        format!("there is a dataset `{name}` already: choose another name, or remove it first (DELETE /admin/datasets/{name})");
    Error::new(Code::Conflict, sentence)
}

fn too_large(most: u64) -> Error {
    let sentence =
        format!("the archive has more than the {most} bytes allowed: raise `limits.dataset_mib`, or send fewer or smaller images");
    Error::new(Code::BodyTooLarge, sentence)
}

/// Of the disk, which may have filled up in the meantime.
fn full(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::new(Code::NoRoom, "the server's disk is full: make room there, and send the dataset again")
        }
        _ => Error::internal(error),
    }
}

impl From<archive::Error> for Error {
    fn from(error: archive::Error) -> Self {
        use archive::Error as E;
        let code = match error {
            E::NoArchive(_) | E::Damaged(_) | E::Entry { .. } | E::Bomb { .. } => Code::Unprocessable,
            E::TooMuch { .. } => Code::BodyTooLarge,
            E::Room { .. } => Code::NoRoom,
            E::Stopped => return Self::stopping(),
            E::Io(error) => return full(error),
        };
        Self::new(code, error.to_string())
    }
}
