//! What every request shares. It is handed to handlers as `State`, never kept in a global: each test server has its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::access;
use super::admin;
use super::budget::Budget;
use super::decoding::Decoding;
use super::error::Error;
use super::metrics::Metrics;
use super::networks::Desk;
use super::openapi::Document;
use super::pace::{Leaving, Patience};
use super::router::Listed;
use super::token::AdminToken;
use crate::config::Config;
use crate::serving::canary::Canary;
use crate::serving::{Engine, Models, Served};
use crate::training::supervisor::Supervisor;

/// Bodies of the largest size that may be in memory together.
const LARGEST_BODIES: u64 = 16;

/// One server.
#[derive(Debug)]
pub struct App {
    /// As it was started.
    pub config: Config,
    /// The models.
    pub models: Arc<Models>,
    /// The model thread.
    pub engine: Engine,
    /// Whether its answers can be trusted.
    pub canary: Canary,
    /// The training runs.
    pub supervisor: Supervisor,
    /// What admin requests must present.
    pub admin: AdminToken,
    /// Bytes of bodies that are being read or wait to be decoded.
    pub bodies: Budget,
    /// Where pictures are decoded, and memory for those that are being decoded or drawn.
    pub decoding: Arc<Decoding>,
    /// Bytes of answers that were not read yet.
    pub answers: Budget,
    /// What is counted.
    pub metrics: Metrics,
    /// What is told of the routes, made when somebody asks.
    pub openapi: Document,
    /// What checks of networks share.
    pub networks: Desk,
    /// Datasets that are coming or were looked at.
    pub datasets: admin::datasets::desk::Desk,
    /// Ends streams of events when the server stops.
    pub stopping: CancellationToken,
    leaving: Arc<Leaving>,
    refusing: AtomicBool,
}

impl App {
    /// Joins the parts of a server that is about to start.
    pub fn new(config: Config, engine: Engine, models: Models, admin: AdminToken, supervisor: Supervisor) -> Self {
        Self {
            bodies: Budget::new(LARGEST_BODIES * config.limits.body_bytes as u64),
            decoding: Arc::new(Decoding::new(config.limits.decode_bytes, engine.cores())),
            answers: Budget::new(config.limits.answer_bytes),
            config,
            models: Arc::new(models),
            engine,
            canary: Canary::default(),
            supervisor,
            admin,
            metrics: Metrics::default(),
            openapi: Document::default(),
            networks: Desk::default(),
            datasets: admin::datasets::desk::Desk::default(),
            stopping: CancellationToken::new(),
            leaving: Arc::default(),
            refusing: AtomicBool::new(false),
        }
    }

    /// The model that a request means; the request's line in the log names it.
    pub async fn model(&self, name: Option<&str>, version: Option<u64>) -> Result<Arc<Served>, Error> {
        let served = self.models.find(name, version).await?;
        access::note_model(&served.name, served.version);
        Ok(served)
    }

    /// The routes there are.
    pub fn know_routes(&self, routes: Vec<Listed>) {
        self.metrics.know_routes(routes.iter().map(|route| route.path));
        self.openapi.know_routes(routes);
    }

    /// How long a body may take: for its next part as long as a request's headers.
    pub fn patience(&self) -> Patience {
        let server = &self.config.server;
        Patience { part: server.header_timeout, whole: server.request_timeout, leaving: Arc::clone(&self.leaving) }
    }

    /// Whether the server was asked to stop.
    pub fn is_draining(&self) -> bool {
        self.leaving.has_begun()
    }

    /// From now on the server is not ready, and every answer ends its connection. It still answers.
    pub fn drain(&self) {
        self.leaving.begin();
    }

    /// Whether arithmetic runs on the processor.
    pub fn on_processor(&self) -> bool {
        self.config.device.open().is_ok_and(|device| device.is_cpu())
    }

    /// Whether new requests are refused.
    pub fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
    }

    /// From now on they are.
    pub fn refuse(&self) {
        self.refusing.store(true, Ordering::Relaxed);
    }
}
