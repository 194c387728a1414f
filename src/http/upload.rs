//! The images of a request: one as the raw body, or any number as multipart fields called `image`. A handler that has an
//! [`Upload`] has its places too; nothing was decoded yet.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};

use super::body::{Arrival, Held, cut_off, too_large};
use super::budget::Share;
use super::error::{Code, Error};
use super::extract::unknown;
use super::state::App;
use crate::serving::{Place, engine};

/// The multipart field that carries an image.
const FIELD: &str = "image";

/// The images of one request, in order: at least one, each with its place.
#[derive(Debug)]
pub struct Upload {
    /// In the order in which they were sent.
    pub images: Vec<Image>,
}

/// One encoded image.
#[derive(Debug)]
pub struct Image {
    /// A file's bytes, as they came.
    pub bytes: Encoded,
    /// Its place, from here to its answer.
    pub place: Place,
}

/// The bytes of a file.
#[derive(Debug)]
pub enum Encoded {
    /// As they came.
    Sent(Held),
    /// Made of a body that held more, with the memory of all that was made of it.
    Made(Vec<u8>, Arc<Share>),
    /// Ours.
    Own(&'static [u8]),
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Sent(held) => held,
            Self::Made(bytes, _) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

impl Upload {
    /// An image of ours, as if it had been sent.
    pub fn of(app: &App, bytes: &'static [u8]) -> Result<Self, Error> {
        let image = |place| Image { bytes: Encoded::Own(bytes), place };
        Ok(Self { images: app.engine.admit(1)?.into_iter().map(image).collect() })
    }

    /// The only image; several are an error.
    pub fn one(mut self) -> Result<Image, Error> {
        match (self.images.pop(), self.images.len()) {
            (Some(image), 0) => Ok(image),
            _ => Err(Error::new(Code::BadRequest, "one image is taken here: send them in requests of their own")),
        }
    }
}

impl FromRequest<Arc<App>> for Upload {
    type Rejection = Error;

    /// In this order: the length is looked at, one place is taken, the body is read, its images are counted, the other places
    /// are taken.
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let arrival = Arrival::of(request.body(), app.config.limits.body_bytes, app)?;
        let mut places = app.engine.admit(1)?;
        let bodies = if is_multipart(request.headers()) {
            read_form(request, app, arrival).await?
        } else {
            vec![arrival.read(request.into_body()).await?]
        };
        if bodies.iter().all(|held| held.is_empty()) {
            let sentence = "there is no image in the request: send its bytes as the body, or as the multipart field `image`";
            return Err(Error::new(Code::NoImage, sentence));
        }
        places.extend(app.engine.admit(bodies.len() - 1)?);
        let images = bodies.into_iter().zip(places).map(|(held, place)| Image { bytes: Encoded::Sent(held), place }).collect();
        Ok(Self { images })
    }
}

async fn read_form(request: Request, app: &Arc<App>, mut arrival: Arrival<'_>) -> Result<Vec<Held>, Error> {
    let unreadable = |reason: String| Error::new(Code::BadRequest, format!("the form cannot be read: {reason}"));
    let failed = |e: axum::extract::multipart::MultipartError| match e.status() {
        status if status == Code::BodyTooLarge.row().1 => too_large(app.config.limits.body_bytes),
        status if status.is_server_error() => cut_off(),
        _ => unreadable(e.body_text()),
    };
    let unbounded = |_| {
        let sentence = "the form's Content-Type lacks its boundary: leave that header to your client (`curl -F image=@cat.png`, or a \
                        `FormData`), or send the image's bytes as the body";
        Error::new(Code::BadRequest, sentence)
    };
    let mut form = Multipart::from_request(request, app).await.map_err(unbounded)?;
    let mut images = Vec::new();
    while let Some(mut field) = arrival.next(form.next_field()).await?.map_err(failed)? {
        let name = field.name().unwrap_or_default();
        if name != FIELD {
            return Err(Error::new(Code::BadRequest, unknown("form field", name, &[FIELD])));
        }
        if images.len() == app.config.limits.queue_images {
            let (wanted, places) = (images.len() + 1, images.len());
            return Err(engine::Error::TooMany { wanted, places }.into());
        }
        let mut held = Held::default();
        while let Some(part) = arrival.next(field.chunk()).await?.map_err(failed)? {
            arrival.take(&mut held, &part)?;
        }
        images.push(held);
    }
    Ok(images)
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.trim_start().get(..19).is_some_and(|start| start.eq_ignore_ascii_case("multipart/form-data")))
}
