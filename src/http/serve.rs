//! From a socket to a service and back: what is started, in which order, and how it ends. Tests start the very same.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::listen::Door;
use super::state::App;
use super::token::AdminToken;
use super::{housekeeping, lock};
use crate::checkpoint::Store;
use crate::config::{Config, LogFormat};
use crate::console;
use crate::dataset;
use crate::network;
use crate::picture::Limits;
use crate::serving::{Engine, Models, engine, models};
use crate::training::supervisor::Supervisor;
use crate::training::{self, supervisor};

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

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// First it says that it is not ready, and goes on for the configured grace: whoever sends it requests has to hear of it.
    AfterGrace,
    /// Nobody has to hear of it.
    AtOnce,
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
    /// One picture of the largest size may need more memory than all may have: it would never be read.
    #[error(
        "`limits.decode_mib` is {given}, and a picture of {megapixels} million pixels (`limits.megapixels`) may need {needed}: raise the \
         first or lower the second"
    )]
    Pictures {
        /// MiB that were given.
        given: u64,
        /// MiB that there must be.
        needed: u64,
        /// Of the largest picture.
        megapixels: u64,
    },
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

/// Serves on `listener` until `shutdown`; then takes no more connections, and lets what is under way end within the configured
/// time.
///
/// Answers from the first moment on; `listening on http://ADDR` is written to standard error once the default model is warm.
pub async fn run(listener: TcpListener, setup: Setup, shutdown: impl Future<Output = Shutdown>) -> Result<(), Error> {
    check_pictures(&setup.config)?;
    // Before anything there is read or written, and until the last run has ended.
    let _lock = lock::take(&setup.config.data_dir)?;
    let address = listener.local_addr().map_err(system("tell its address"))?;
    let app = Arc::new(start(setup, address).await?);
    let keeping = tokio::spawn(housekeeping::run(Arc::clone(&app)));
    let outcome = serve(listener, &app, address, shutdown).await;
    keeping.abort();
    app.supervisor.shutdown().await;
    // It holds nothing but its thread now; joining it blocks for the rest of one batch.
    let closing = Arc::clone(&app);
    tokio::task::spawn_blocking(move || closing.engine.close()).await.map_err(|_| Error::Stopped)?;
    outcome.map_err(system("go on serving"))
}

/// Whether the largest picture can be decoded at all.
fn check_pictures(config: &Config) -> Result<(), Error> {
    const MIB: u64 = 1024 * 1024;
    let (pixels, memory) = (config.limits.pixels, config.limits.decode_bytes);
    let refused =
        |needed: u64| Error::Pictures { given: memory / MIB, needed: needed.div_ceil(MIB), megapixels: pixels / 1_000_000 };
    Limits::within(pixels, memory).map(|_| ()).map_err(refused)
}

async fn serve(
    listener: TcpListener,
    app: &Arc<App>,
    address: SocketAddr,
    shutdown: impl Future<Output = Shutdown>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let door = Door::new(app);
    let opened = door.open(tokio::net::TcpListener::from_std(listener)?);
    tokio::pin!(opened);
    let warm_then_wait = async {
        warm(app, address).await;
        app.canary.watch(&app.models, &app.engine).await;
    };
    let stop = tokio::select! {
        ended = &mut opened => return ended,
        stop = shutdown => stop,
        () = warm_then_wait => Shutdown::AtOnce,
    };
    let server = &app.config.server;
    let grace = if stop == Shutdown::AfterGrace { server.grace } else { Duration::ZERO };
    tracing::info!(under_way = app.engine.under_way(), grace_seconds = grace.as_secs(), "stopping");
    app.drain();
    tokio::select! {
        ended = &mut opened => return ended,
        () = tokio::time::sleep(grace) => {}
    }
    door.close(opened, Instant::now() + server.drain).await
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
    // What a killed server left half received.
    dataset::shelf::sweep(&config.data_dir.join("datasets"));
    let device = config.device.open().map_err(|e| Error::Device(Box::new(e)))?;
    let (places, batch) = (config.limits.queue_images, config.limits.batch_images);
    let start = if device.is_cpu() { Engine::start } else { Engine::one_thread };
    let engine = start(engine::Settings { places, batch }).map_err(system("start the model thread"))?;
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

fn system(doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |fault| Error::System { doing, fault }
}
