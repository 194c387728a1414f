//! What every request shares. It is handed to handlers as `State`, never kept in a global: each test server has its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::auth::AdminToken;
use super::budget::Budget;
use crate::config::Config;
use crate::serving::canary::Canary;
use crate::serving::{Engine, Models};
use crate::training::supervisor::Supervisor;

/// Bodies of the largest size that may be in memory together.
const LARGEST_BODIES: u64 = 16;

/// One server.
#[derive(Debug)]
pub struct App {
    /// As it was started.
    pub config: Config,
    /// The models.
    pub registry: Arc<Models>,
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
    /// Bytes of pictures that are being decoded or drawn.
    pub decoding: Budget,
    /// Ends streams of events when the server stops.
    pub stopping: CancellationToken,
    draining: AtomicBool,
}

impl App {
    /// Joins the parts of a server that is about to start.
    pub fn new(config: Config, engine: Engine, models: Models, admin: AdminToken, supervisor: Supervisor) -> Self {
        Self {
            bodies: Budget::new(LARGEST_BODIES * config.limits.body_bytes as u64),
            decoding: Budget::new(config.limits.decode_bytes),
            config,
            registry: Arc::new(models),
            engine,
            canary: Canary::default(),
            supervisor,
            admin,
            stopping: CancellationToken::new(),
            draining: AtomicBool::new(false),
        }
    }

    /// How long the next part of a body may keep us waiting: as long as a request's headers.
    pub fn patience(&self) -> Duration {
        self.config.server.header_timeout
    }

    /// Whether new requests are refused.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on new requests are refused, and streams of events end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.stopping.cancel();
    }
}
