//! From a listening socket to connections, each a task of its own, and to the end of the last one.
//!
//! hyper's own way to end a connection closes one on which a request is on its way, and a socket that is closed takes along who
//! waits in its queue. Here whoever had come is let in, and a connection ends with its answer: it says `Connection: close`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::line::{Line, Times};
use super::lines::{Entry, Lines};
use super::peer::Call;
use super::router::router;
use super::state::App;

/// Between two tries, where accepting fails for a reason that stays, as when no more files may be open.
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// For the headers of a request on a spare connection: health asks for little.
const SPARE_HEADERS: Duration = Duration::from_secs(2);

/// What every connection is served with.
#[derive(Debug)]
struct Served {
    app: Arc<App>,
    router: Router,
    times: Times,
}

/// The connections of a server.
#[derive(Debug)]
pub struct Door {
    service: Arc<Served>,
    lines: Arc<Lines>,
    tasks: TaskTracker,
    /// No more are taken.
    closed: CancellationToken,
    /// Those there are, are given up.
    cut: CancellationToken,
}

impl Door {
    /// Closed until [`Door::open`].
    pub fn new(app: &Arc<App>) -> Self {
        let server = &app.config.server;
        let times = Times { headers: server.header_timeout, idle: server.keep_alive, write: server.write_timeout };
        let service = Served { app: Arc::clone(app), router: router(Arc::clone(app)), times };
        let (lines, tasks) = (Arc::new(Lines::new(server.max_connections)), TaskTracker::new());
        let (closed, cut) = (CancellationToken::new(), CancellationToken::new());
        Self { service: Arc::new(service), lines, tasks, closed, cut }
    }

    /// Lets in whoever comes, until [`Door::close`]; and then those that wait in the system's queue.
    pub async fn open(&self, listener: TcpListener) -> std::io::Result<()> {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.closed.cancelled() => break,
            };
            match accepted {
                Ok((stream, address)) => self.serve(stream, address).await,
                Err(e) => {
                    tracing::warn!(error = %e, "accepting failed");
                    sleep(TRY_AGAIN).await;
                }
            }
        }
        // Not all of these were announced yet.
        let listener = listener.into_std()?;
        while let Ok((stream, address)) = listener.accept() {
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                self.serve(stream, address).await;
            }
        }
        Ok(())
    }

    async fn serve(&self, stream: TcpStream, address: SocketAddr) {
        let entry = self.lines.join(address).await;
        let (service, cut) = (Arc::clone(&self.service), self.cut.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = service.connection(stream, &entry) => {}
                () = cut.cancelled() => {}
            }
        });
    }

    /// Takes no more connections; lets what was sent on those there are be answered, until `deadline`; then ends them. `opened` is
    /// what [`Door::open`] gave.
    pub async fn close(&self, opened: impl Future<Output = std::io::Result<()>>, deadline: Instant) -> std::io::Result<()> {
        self.closed.cancel();
        let outcome = timeout_at(deadline, opened).await.unwrap_or(Ok(()));
        let app = &self.service.app;
        // Streams of events have no end of their own.
        app.stopping.cancel();
        if !self.lines.end(deadline, || app.refuse()).await {
            tracing::warn!(under_way = app.engine.under_way(), "the time to stop is over: what is under way is given up");
        }
        self.cut.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        outcome
    }
}

impl Served {
    /// One connection, from its first byte to its last.
    async fn connection(self: &Arc<Self>, stream: TcpStream, entry: &Entry) {
        // Where that fails its peer has gone.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let _counted = self.app.metrics.connect();
        let mut times = self.times;
        if entry.peer.spare {
            times.headers = times.headers.min(SPARE_HEADERS);
        }
        let line = TokioIo::new(Line::new(stream, times, Arc::clone(&entry.peer)));
        let answer = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&entry.peer));
            let answering = self.router.clone().call(request);
            async move {
                let mut answer = answering.await?;
                if self.app.is_draining() || entry.peer.spare || entry.peer.is_called(Call::Leave) {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        // How long it may take for what is the line's.
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(None);
        // A connection that fails is its peer's business: the log has what was asked on it.
        let _ = builder.serve_connection(line, answer).await;
    }
}
