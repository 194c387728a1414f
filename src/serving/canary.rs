//! Whether answers can be trusted right now: a fixed image goes the whole way through the engine, and its probabilities must
//! be a distribution. It takes no place, so that a full queue does not make a busy server look ill.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{Engine, Request};
use super::registry::Registry;
use crate::network::Probe;
use crate::picture::Pixels;

/// How long a verdict stands: probes of many balancers cost one image.
const STANDS: Duration = Duration::from_secs(1);
/// A server that needs longer for one image is not ready for more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the engine, and remembers the answer for a moment.
#[derive(Debug, Default)]
pub struct Canary {
    verdict: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Canary {
    /// Evaluates the default model on a fixed image.
    ///
    /// # Errors
    /// Why the server is not ready, in a sentence for people.
    pub async fn check(&self, registry: &Arc<Registry>, engine: &Engine) -> Result<(), String> {
        let mut verdict = self.verdict.lock().await;
        if let Some((at, outcome)) = verdict.as_ref()
            && at.elapsed() < STANDS
        {
            return outcome.clone();
        }
        let outcome = match tokio::time::timeout(PATIENCE, sing(registry, engine)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        *verdict = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

async fn sing(registry: &Arc<Registry>, engine: &Engine) -> Result<(), String> {
    let served = registry.find(None, None).await.map_err(|e| e.to_string())?;
    let dimensions = served.model.metadata().preprocessing.target().dimensions();
    let values = (0..dimensions.samples()).map(|i| (i % 256) as u8).collect();
    let pixels = Pixels::new(dimensions, values).ok_or("the fixed image is no image")?;
    let request = Request { served: Arc::clone(&served), pixels, probe: Probe::default(), deadline: None, place: None };
    let reply = engine.evaluate(request).await.map_err(|e| {
        tracing::error!(error = %e, "the canary image failed");
        "the model cannot be evaluated: see the log".to_owned()
    })?;
    let sum: f32 = reply.probabilities.iter().sum();
    let sound = reply.probabilities.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < 1e-3;
    if sound { Ok(()) } else { Err(format!("the model `{}` gives no probabilities", served.name)) }
}
