//! From a socket to a service and back: what is started, in which order, and how it ends. Tests start the very same.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use axum_server::Handle;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::Layer;

use super::line::{Acceptor, Times};
use super::router::router;
use super::state::App;
use super::token::AdminToken;
use super::{housekeeping, lock};
use crate::checkpoint::Store;
use crate::config::{Config, LogFormat};
use crate::console;
use crate::network;
use crate::serving::{Engine, Models, engine, models};
use crate::training::supervisor::Supervisor;
use crate::training::{self, supervisor};

/// What answers of the last moment are given to reach their callers, after the drain.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Between asking a training process to end and killing it.
const TRAINING_GRACE: Duration = Duration::from_secs(10);

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The program whose `train` command is started for a run: this one.
    pub program: PathBuf,
}

/// Why a server did not start, or ended on its own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device cannot be had.
    #[error(transparent)]
    Device(Box<network::Error>),
    /// Another server has the data folder.
    #[error(transparent)]
    Taken(#[from] lock::Taken),
    /// The runs of earlier servers cannot be read.
    #[error(transparent)]
    Training(Box<training::Error>),
    /// The system refused a socket or a thread.
    #[error("the server cannot {doing}: {fault}")]
    System {
        /// What was asked of it.
        doing: &'static str,
        /// Its answer.
        fault: std::io::Error,
    },
    /// A task of the start was lost.
    #[error("the server was stopped while it started")]
    Stopped,
}

/// Serves on `listener` until `shutdown`, then lets what is under way end within the configured time.
///
/// Answers from the first moment on; `listening on http://ADDR` is written to standard error once the default model is warm.
pub async fn run(listener: TcpListener, setup: Setup, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    // Before anything there is read or written, and until the last run has ended.
    let _lock = lock::take(&setup.config.data_dir)?;
    let address = listener.local_addr().map_err(system("tell its address"))?;
    let app = Arc::new(start(setup, address).await?);
    let keeping = tokio::spawn(housekeeping::run(Arc::clone(&app)));
    let handle = Handle::new();
    let serving = serve(listener, &app, handle.clone())?;
    tokio::pin!(serving);
    let ended = {
        let warm_then_wait = async {
            warm(&app, address).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = &mut serving => Some(ended),
            () = shutdown => None,
            () = warm_then_wait => None,
        }
    };
    let outcome = match ended {
        Some(ended) => ended,
        None => drain(&app, &handle, serving).await,
    };
    keeping.abort();
    app.supervisor.shutdown().await;
    // It holds nothing but its thread now; joining it blocks for the rest of one batch.
    let closing = Arc::clone(&app);
    tokio::task::spawn_blocking(move || closing.engine.close()).await.map_err(|_| Error::Stopped)?;
    outcome.map_err(system("go on serving"))
}

async fn start(setup: Setup, address: SocketAddr) -> Result<App, Error> {
    let Setup { config, program } = setup;
    let supervisor = Supervisor::new(supervisor::Settings {
        program,
        data_dir: config.data_dir.clone(),
        device: config.device.to_string(),
        environment: config.for_runs(),
        concurrent: config.train.max_runs,
        grace: TRAINING_GRACE,
        resume_interrupted: config.train.resume_interrupted,
        keep_epochs: config.train.keep_epochs,
    })
    .map_err(|e| Error::Training(Box::new(e)))?;
    // Files and devices block.
    tokio::task::spawn_blocking(move || open(config, address, supervisor)).await.map_err(|_| Error::Stopped)?
}

fn open(config: Config, address: SocketAddr, supervisor: Supervisor) -> Result<App, Error> {
    let device = config.device.open().map_err(|e| Error::Device(Box::new(e)))?;
    let (places, batch) = (config.limits.queue_images, config.limits.batch_images);
    let engine = Engine::start(engine::Settings { places, batch }).map_err(system("start the model thread"))?;
    let models = Models::open(models::Settings {
        store: Store::new(config.model_folders()),
        data_dir: config.data_dir.clone(),
        default_name: config.models.default.clone(),
        device,
        bytes: config.limits.model_bytes,
    });
    let admin = AdminToken::establish(&config, address);
    Ok(App::new(config, engine, models, admin, supervisor))
}

/// Evaluates one image, so that the first caller does not wait for a model to be read and placed.
async fn warm(app: &App, address: SocketAddr) {
    if let Err(reason) = app.canary.check(&app.models, &app.engine).await {
        tracing::error!(reason, "the default model does not answer");
    }
    let words = format!("listening on http://{address}");
    // Whatever is logged, this is said.
    console::line(&match app.config.log.format {
        LogFormat::Pretty => words,
        LogFormat::Json => {
            let timestamp = jiff::Timestamp::now().to_string();
            json!({"timestamp": timestamp, "level": "INFO", "fields": {"message": words}, "target": module_path!()}).to_string()
        }
    });
}

/// The accept loop. A connection beyond the cap waits in the system's queue until another one ends; how long one may be silent
/// is [`super::line`]'s.
fn serve(
    listener: TcpListener,
    app: &Arc<App>,
    handle: Handle<SocketAddr>,
) -> Result<impl Future<Output = std::io::Result<()>> + use<>, Error> {
    let server = &app.config.server;
    let connections = Arc::new(Semaphore::new(server.max_connections));
    let service = router(Arc::clone(app));
    let for_connection = move |_from: SocketAddr| {
        let (connections, service) = (Arc::clone(&connections), service.clone());
        async move {
            // It lives as long as the connection's service does. The semaphore is never closed.
            let permit = connections.acquire_owned().await.ok().map(Arc::new);
            Ok::<_, Infallible>(Layer::<Router>::layer(&Extension(permit), service))
        }
    };
    let times = Times { headers: server.header_timeout, idle: server.keep_alive, write: server.write_timeout };
    let bound = axum_server::from_tcp(listener).map_err(system("use its socket"))?.handle(handle).http1_only();
    let bound = bound.acceptor(Acceptor(times)).accept_error_handler(|_, e| tracing::warn!(error = %e, "accepting failed"));
    Ok(bound.serve(tower::service_fn(for_connection)))
}

/// Refuses what is new and ends streams of events; gives what is under way its time; then closes the connections.
async fn drain(
    app: &App,
    handle: &Handle<SocketAddr>,
    mut serving: std::pin::Pin<&mut impl Future<Output = std::io::Result<()>>>,
) -> std::io::Result<()> {
    tracing::info!(under_way = app.engine.under_way(), "stopping");
    app.drain();
    let deadline = Instant::now() + app.config.server.drain;
    tokio::select! {
        ended = &mut serving => return ended,
        idle = tokio::time::timeout_at(deadline, app.engine.idle()) => if idle.is_err() {
            tracing::warn!(under_way = app.engine.under_way(), "the time to stop is over: what is under way is given up");
        },
    }
    handle.graceful_shutdown(Some(deadline.saturating_duration_since(Instant::now()).max(LAST_ANSWERS)));
    serving.await
}

fn system(doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |fault| Error::System { doing, fault }
}
