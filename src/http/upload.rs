//! The images of a request: one as the raw body, or any number as multipart fields called `image`. A handler that has an
//! [`Upload`] has its places too; nothing was decoded yet.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};

use super::budget::Share;
use super::error::{Code, Error};
use super::extract::{body_too_large, cut_off, in_time, read_body, unknown};
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

/// The bytes of a file, and their share of the memory that bodies may take: it is given back when they are gone, not before.
#[derive(Debug)]
pub struct Encoded {
    bytes: Cow<'static, [u8]>,
    /// All images of a body have the body's.
    _share: Option<Arc<Share>>,
}

impl Encoded {
    /// `bytes` of a body whose share is `share`.
    pub fn new(bytes: Vec<u8>, share: &Arc<Share>) -> Self {
        Self { bytes: Cow::Owned(bytes), _share: Some(Arc::clone(share)) }
    }
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Upload {
    /// An image of ours, as if it had been sent.
    pub fn of(app: &App, bytes: &'static [u8]) -> Result<Self, Error> {
        let image = |place| Image { bytes: Encoded { bytes: Cow::Borrowed(bytes), _share: None }, place };
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

    /// In this order: the length is looked at, one place and the body's memory are taken, the body is read, its images are
    /// counted, the other places are taken.
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let limit = app.config.limits.body_bytes;
        let (mut places, share) = admit(app, content_length(request.headers()))?;
        let share = Arc::new(share);
        let bodies = if is_multipart(request.headers()) {
            read_form(request, app, limit).await?
        } else {
            vec![read_body(request.into_body(), limit, app.patience()).await?]
        };
        if bodies.iter().all(Vec::is_empty) {
            let sentence = "there is no image in the request: send its bytes as the body, or as the multipart field `image`";
            return Err(Error::new(Code::NoImage, sentence));
        }
        places.extend(app.engine.admit(bodies.len() - 1)?);
        let image = |(bytes, place)| Image { bytes: Encoded::new(bytes, &share), place };
        let images = bodies.into_iter().zip(places).map(image).collect();
        Ok(Self { images })
    }
}

/// One place, and the memory of a body that says it is `announced` bytes long.
pub fn admit(app: &App, announced: Option<u64>) -> Result<(Vec<Place>, Share), Error> {
    let limit = app.config.limits.body_bytes as u64;
    if announced.is_some_and(|length| length > limit) {
        return Err(body_too_large(app.config.limits.body_bytes));
    }
    let places = app.engine.admit(1)?;
    // Without a length it may be as long as any.
    let share = app.bodies.try_take(announced.unwrap_or(limit)).ok_or_else(|| app.engine.full())?;
    Ok((places, share))
}

async fn read_form(request: Request, app: &Arc<App>, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
    let unreadable = |reason: String| Error::new(Code::BadRequest, format!("the form cannot be read: {reason}"));
    let failed = |e: axum::extract::multipart::MultipartError| match e.status() {
        status if status == Code::BodyTooLarge.row().1 => body_too_large(limit),
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
    while let Some(mut field) = in_time(app.patience(), form.next_field()).await?.map_err(failed)? {
        let name = field.name().unwrap_or_default();
        if name != FIELD {
            return Err(Error::new(Code::BadRequest, unknown("form field", name, &[FIELD])));
        }
        if images.len() == app.config.limits.queue_images {
            let (wanted, places) = (images.len() + 1, images.len());
            return Err(engine::Error::TooMany { wanted, places }.into());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = in_time(app.patience(), field.chunk()).await?.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
        }
        images.push(bytes);
    }
    Ok(images)
}

/// The length of the body, as its headers have it.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.trim_start().get(..19).is_some_and(|start| start.eq_ignore_ascii_case("multipart/form-data")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::budget::Budget;
    use crate::serving::{Engine, engine::Settings};

    #[test]
    fn the_share_of_a_body_is_given_back_with_its_bytes_and_not_before() {
        let engine = Engine::start(Settings { places: 1, batch: 1 }).unwrap();
        let budget = Budget::new(1024);
        let share = budget.try_take(1024).map(Arc::new);
        let place = engine.admit(1).unwrap().remove(0);
        let bytes = Encoded { bytes: Cow::Owned(vec![7; 1024]), _share: share };
        let image = Upload { images: vec![Image { bytes, place }] }.one().unwrap();
        assert!(budget.try_take(1).is_none(), "the bytes are still there");
        drop(image.bytes);
        assert!(budget.try_take(1024).is_some());
    }
}
