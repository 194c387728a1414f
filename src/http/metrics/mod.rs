//! `GET /metrics`: what this server did and how it stands, in the text form of `OpenMetrics`, as Prometheus reads it.
//!
//! Each request is counted when it begins and when it ends, and all counts are read in one moment: what was received is always the
//! sum of all outcomes and of what is in flight. Its labels are a route of the router's, a code of the error table and a model that answered: nothing
//! that a caller makes up. How the server stands is looked at when somebody asks. This module does not know how
//! anything is answered.

pub mod process;
mod standing;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use self::standing::Standing;
pub use self::standing::get;
use super::access::Stages;
use super::error::Outcome;

/// Upper ends of the histograms of times: from what a small image takes to what nobody waits for.
const SECONDS: [f64; 19] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// Upper ends of the histogram of batches.
const IMAGES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// Models that are told apart; later ones are counted together. Every run is a model of its own, and a server runs long.
const MODELS: usize = 100;
/// What these are called.
const OTHER_MODELS: &str = "(others)";
/// Files of the page, which are many and all alike.
const PAGE: &str = "(page)";
/// A path of no route.
const NO_ROUTE: &str = "(none)";

type Histograms = Family<Stage, Histogram, fn() -> Histogram>;

/// What is counted, and the text that is made of it.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Paths of the router's routes.
    routes: OnceLock<HashSet<&'static str>>,
    /// Models that were told apart so far.
    models: Mutex<HashSet<String>>,
    tally: Mutex<Tally>,
    total: Histograms,
    decode: Histograms,
    queue: Histograms,
    inference: Histograms,
    batch: Histograms,
    /// Set when somebody asks, by one at a time.
    standing: Mutex<Standing>,
    connections: Gauge,
}

/// Requests that were begun, and what became of those that are over.
#[derive(Debug, Clone, Default)]
struct Tally {
    received: u64,
    over: HashMap<Request, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    outcome: &'static str,
    /// Of the error table; empty where the answer is none of its rows.
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    /// Empty where no model was asked.
    model: String,
    outcome: &'static str,
}

/// A request that is over.
#[derive(Debug)]
pub struct Ended<'a> {
    /// The pattern that its path matched.
    pub route: Option<&'a str>,
    /// What became of it.
    pub outcome: Outcome,
    /// The row of the error table that it was answered with, or nothing.
    pub code: &'static str,
    /// The model that answered, or nothing.
    pub model: &'a str,
    /// The images that were evaluated for it.
    pub images: &'a [Stages],
    /// From its head to the answer's.
    pub took: Duration,
}

/// An open connection, for as long as this is kept.
#[derive(Debug)]
pub struct Connection(Gauge);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("convscope");
        let [total, decode, queue, inference] = [(); 4].map(|()| Histograms::new_with_constructor(|| Histogram::new(SECONDS)));
        let batch = Histograms::new_with_constructor(|| Histogram::new(IMAGES));
        let connections = Gauge::default();
        let times = [
            ("request_duration", "From a request's head to its answer's, of the model it was answered by, if any", &total),
            ("decode_duration", "Of one image, from the encoded bytes to pixels", &decode),
            ("queue_duration", "Of one image, from pixels to the start of its batch", &queue),
            ("inference_duration", "Of one image, its batch's forward pass", &inference),
        ];
        for (name, help, times) in times {
            registry.register_with_unit(name, help, Unit::Seconds, times.clone());
        }
        registry.register("batch_images", "Images in the batch that an image was evaluated in", batch.clone());
        registry.register("connections", "Open connections", connections.clone());
        let standing = Mutex::new(Standing::register(&mut registry));
        let (routes, models, tally) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Self { registry, routes, models, tally, total, decode, queue, inference, batch, standing, connections }
    }
}

impl Metrics {
    /// The paths that are told apart.
    pub fn know_routes(&self, routes: impl IntoIterator<Item = &'static str>) {
        // The first router's: a server has one.
        let _ = self.routes.set(routes.into_iter().collect());
    }

    /// A request's head was read.
    pub fn begin(&self) {
        lock(&self.tally).received += 1;
    }

    /// A request that was begun is over.
    pub fn end(&self, ended: &Ended<'_>) {
        let outcome = ended.outcome.word();
        let stage = Stage { model: self.model(ended.model), outcome };
        let observe = |family: &Histograms, value: f64| family.get_or_create(&stage).observe(value);
        for image in ended.images {
            observe(&self.decode, image.decode.as_secs_f64());
            observe(&self.queue, image.queue.as_secs_f64());
            observe(&self.inference, image.inference.as_secs_f64());
            observe(&self.batch, image.batch as f64);
        }
        observe(&self.total, ended.took.as_secs_f64());
        let request = Request { route: self.route(ended.route), outcome, code: ended.code };
        *lock(&self.tally).over.entry(request).or_default() += 1;
    }

    /// A connection was opened.
    pub fn connect(&self) -> Connection {
        self.connections.inc();
        Connection(self.connections.clone())
    }

    fn route(&self, matched: Option<&str>) -> &'static str {
        let Some(matched) = matched else { return NO_ROUTE };
        self.routes.get().and_then(|routes| routes.get(matched)).copied().unwrap_or(PAGE)
    }

    fn model(&self, name: &str) -> String {
        let mut models = lock(&self.models);
        if models.contains(name) || name.is_empty() {
            return name.to_owned();
        }
        if models.len() == MODELS {
            return OTHER_MODELS.to_owned();
        }
        models.insert(name.to_owned());
        name.to_owned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts and names: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        lock(&metrics.standing).count(&lock(&metrics.tally).clone());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry).unwrap();
        text
    }

    fn ended(model: &str) -> Ended<'_> {
        let took = Duration::from_millis(2);
        Ended { route: Some("/classify"), outcome: Outcome::Ok, code: "", model, images: &[], took }
    }

    #[test]
    fn however_many_models_and_paths_there_are_the_labels_are_few() {
        let metrics = Metrics::default();
        metrics.know_routes(["/classify"]);
        for run in 0..1000 {
            metrics.begin();
            metrics.end(&ended(&format!("run-{run}")));
            metrics.begin();
            metrics.end(&Ended { route: Some(&format!("/file-{run}.js")), ..ended("") });
        }
        let text = text(&metrics);
        let counts = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(counts("convscope_request_duration_seconds_count{"), MODELS + 2);
        assert_eq!(counts("convscope_requests_total{"), 2);
        assert!(text.contains("convscope_request_duration_seconds_count{model=\"(others)\",outcome=\"ok\"} 900"), "{text}");
    }
}
