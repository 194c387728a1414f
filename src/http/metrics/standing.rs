//! How the server stands at the moment somebody asks: places, models, runs, the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{Request, Tally, lock, process};
use crate::http::error::Error;
use crate::http::state::App;
use crate::training::queue::JobState;

/// What Prometheus asks for first.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const STATES: [JobState; 6] =
    [JobState::Queued, JobState::Running, JobState::Interrupted, JobState::Done, JobState::Failed, JobState::Cancelled];

/// Numbers that are looked up.
#[derive(Debug)]
pub(super) struct Standing {
    received: Counter,
    requests: Family<Request, Counter>,
    in_flight: Gauge,
    images: Gauge,
    waiting: Gauge,
    replaced: Counter,
    places: Gauge,
    accepting: Gauge,
    loaded: Gauge,
    models: Family<Model, Gauge>,
    runs: Family<Run, Gauge>,
    process: Option<Process>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
    version: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Run {
    state: String,
}

/// Of the process, under names that dashboards know from every program.
#[derive(Debug)]
struct Process {
    registry: Registry,
    resident: Gauge,
    cpu: Counter<f64, AtomicU64>,
    descriptors: Gauge,
}

impl Standing {
    /// With its names in `registry`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (images, places, accepting, loaded) = <(Gauge, Gauge, Gauge, Gauge)>::default();
        let (waiting, replaced) = <(Gauge, Counter)>::default();
        let (models, runs) = (Family::<Model, Gauge>::default(), Family::<Run, Gauge>::default());
        let (received, requests, in_flight) = (Counter::default(), Family::<Request, Counter>::default(), Gauge::default());
        registry.register("requests_received", "Requests whose head was read", received.clone());
        registry.register("requests", "Requests that are over, by what became of them", requests.clone());
        registry.register("requests_in_flight", "Requests whose answer is not ready", in_flight.clone());
        registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("queue_images", "Images admitted and not yet answered: scale by it", images.clone());
        registry.register("queue_places", "Images that can be admitted at once: what is beyond them is refused", places.clone());
        registry.register("queue_waiting", "Decoded images that wait for a model thread", waiting.clone());
        registry.register("model_threads_replaced", "Model threads and evaluators that ended in a panic", replaced.clone());
        registry.register("accepting", "1, and 0 while the server stops", accepting.clone());
        registry.register("models_loaded", "Versions of models in memory", loaded.clone());
        registry.register_with_unit("model_memory", "What a model in memory takes there", Unit::Bytes, models.clone());
        registry.register("runs", "Training runs, by state", runs.clone());
        let process = process::look().map(|_| Process::register());
        Self { received, requests, in_flight, images, waiting, replaced, places, accepting, loaded, models, runs, process }
    }

    /// Takes over what was counted, as it was in one moment.
    pub(super) fn count(&self, tally: &Tally) {
        self.received.inc_by(tally.received - self.received.get());
        for (request, &count) in &tally.over {
            let counter = self.requests.get_or_create(request);
            counter.inc_by(count - counter.get());
        }
        self.in_flight.set((tally.received - tally.over.values().sum::<u64>()) as i64);
    }

    fn look(&self, app: &App) {
        self.images.set(app.engine.under_way() as i64);
        self.waiting.set(app.engine.waiting() as i64);
        self.replaced.inc_by(app.engine.replaced().saturating_sub(self.replaced.get()));
        self.places.set(app.config.limits.queue_images as i64);
        self.accepting.set(i64::from(!app.is_draining()));
        let models = app.models.in_memory();
        self.loaded.set(models.len() as i64);
        self.models.clear();
        for (model, version, bytes) in models {
            self.models.get_or_create(&Model { model, version }).set(bytes as i64);
        }
        let jobs = app.supervisor.jobs();
        for state in STATES {
            let count = jobs.iter().filter(|job| job.state == state).count();
            self.runs.get_or_create(&Run { state: state.to_string() }).set(count as i64);
        }
    }
}

impl Process {
    fn register() -> Self {
        let mut registry = Registry::with_prefix("process");
        let (resident, cpu, descriptors) = <(Gauge, Counter<f64, AtomicU64>, Gauge)>::default();
        let started = Gauge::<f64, AtomicU64>::default();
        started.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        registry.register_with_unit("resident_memory", "Memory in RAM", Unit::Bytes, resident.clone());
        registry.register_with_unit("cpu", "CPU time of all threads", Unit::Seconds, cpu.clone());
        registry.register("open_fds", "Open files and sockets", descriptors.clone());
        registry.register_with_unit("start_time", "When it started, since 1970", Unit::Seconds, started);
        Self { registry, resident, cpu, descriptors }
    }

    fn look(&self) {
        let Some(process) = process::look() else { return };
        self.resident.set(process.resident as i64);
        self.cpu.inc_by((process.cpu - self.cpu.get()).max(0.0));
        self.descriptors.set(process.descriptors as i64);
    }
}

/// Everything, as text.
fn write(app: &App) -> Result<String, fmt::Error> {
    let metrics = &app.metrics;
    // One at a time: what is looked up is written before the next one looks.
    let standing = lock(&metrics.standing);
    standing.look(app);
    let tally = lock(&metrics.tally).clone();
    standing.count(&tally);
    let mut text = String::new();
    encode_registry(&mut text, &metrics.registry)?;
    if let Some(process) = &standing.process {
        process.look();
        encode_registry(&mut text, &process.registry)?;
    }
    encode_eof(&mut text)?;
    Ok(text)
}

/// Everything that is counted and how the server stands, while it stops too.
pub async fn get(State(app): State<Arc<App>>) -> Result<Response, Error> {
    let text = write(&app).map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS), (header::CACHE_CONTROL, "no-store")], text).into_response())
}
