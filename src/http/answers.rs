//! What answers on their way out may take together: their bytes are counted from before they are made until the system has
//! taken the last of them, however slowly their callers read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};

use super::budget::Share;
use super::error::{Code, Error};
use super::state::App;

/// Answers up to this many bytes are not counted: the number of connections bounds them.
const SMALL: u64 = 64 << 10;

/// The memory of one answer.
#[derive(Debug, Clone)]
pub struct Room {
    _share: Arc<Share>,
}

/// Waits for the memory of an answer of `bytes`. Take it before the answer is made, and give it to [`Room::hold`].
pub async fn room(app: &App, bytes: u64) -> Result<Room, Error> {
    Ok(Room { _share: Arc::new(app.answers.take(bytes).await.ok_or_else(Error::stopping)?) })
}

impl Room {
    /// `answer`, with its memory until it is sent.
    pub fn hold(self, mut answer: Response) -> Response {
        answer.extensions_mut().insert(self);
        answer
    }
}

/// Counts every answer that is not small. One that nobody made room for is refused when there is none.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Error> {
    let mut response = next.run(request).await;
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    let room = match response.extensions_mut().remove::<Room>() {
        Some(room) => room,
        None if bytes <= SMALL => return Ok(response),
        None => {
            let full = || {
                let sentence = "the server holds as many answers as it can that were not read yet; try again in a moment";
                Error::new(Code::QueueFull, sentence).retry_after(Duration::from_secs(1))
            };
            Room { _share: Arc::new(app.answers.try_take(bytes).ok_or_else(full)?) }
        }
    };
    Ok(response.map(|body| Body::new(Counted { body, room })))
}

/// A body whose every piece holds its memory: the connection keeps pieces when the body itself is long gone.
struct Counted {
    body: Body,
    room: Room,
}

struct Piece {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let counted = |bytes| Bytes::from_owner(Piece { bytes, _room: self.room.clone() });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(counted))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
