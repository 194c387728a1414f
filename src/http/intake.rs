//! A request's body on its way in: counted, and read to its end even when nobody wants it.
//!
//! Many clients read no answer before they have sent everything; to them a connection that is closed under their hands is a
//! broken server. So whoever refuses a request just drops it: what is still coming is read in the background, within limits of
//! bytes and time, and forgotten.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use http_body::{Frame, SizeHint};

use super::pace::{Pace, Patience};
use super::peer::{Peer, UnderWay};

/// Of a body that nobody wants, what is read to its end.
const UNWANTED: u64 = 64 << 20;

/// A body that reads itself to its end when it is dropped before.
struct Intake {
    /// None once it has ended.
    rest: Option<Rest>,
    taken: Arc<AtomicU64>,
}

struct Rest {
    body: Body,
    patience: Patience,
    peer: Option<Arc<Peer>>,
    /// The caller sends nothing before it is asked to, and was not asked yet.
    waits: bool,
    _under_way: Option<UnderWay>,
}

/// Lets `request` be refused at any time. The second value counts the bytes of its body that were read.
pub fn of(request: Request, patience: Patience) -> (Request, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    if request.body().is_end_stream() {
        return (request, taken);
    }
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let waits = request.headers().get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let counter = Arc::clone(&taken);
    let request = request.map(|body| {
        let under_way = peer.as_ref().map(Peer::receive);
        Body::new(Intake { rest: Some(Rest { body, patience, peer, waits, _under_way: under_way }), taken: counter })
    });
    (request, taken)
}

impl HttpBody for Intake {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        rest.waits = false;
        let frame = ready!(Pin::new(&mut rest.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.taken.fetch_add(bytes, Ordering::Relaxed);
            }
            Some(Err(_)) | None => self.rest = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or(SizeHint::with_exact(0), |rest| rest.body.size_hint())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take().filter(|rest| !rest.body.is_end_stream()) else { return };
        if rest.waits {
            // To read it would be to ask for it. Most callers never send it now; of the others the connection takes it.
            if let Some(peer) = &rest.peer {
                peer.leave_body();
            }
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(rest.forget());
        }
    }
}

impl Rest {
    async fn forget(self) {
        let Self { mut body, patience, _under_way, .. } = self;
        let _ = tokio::time::timeout(patience.whole, async {
            let (mut pace, mut bytes) = (Pace::new(patience), 0);
            // hyper tells the end of a body of known length with its last part, and by itself only with the next request.
            while bytes < UNWANTED && !body.is_end_stream() {
                let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
                let Some(Some(Ok(frame))) = pace.next(frame).await else { break };
                let part = frame.data_ref().map_or(0, Bytes::len);
                pace.came(part);
                bytes += part as u64;
            }
        })
        .await;
    }
}
