//! `GET /networks`: the networks that come with the program, as files to start from. `POST /networks/check`: whether a layer list is a
//! network, and what it would cost here; or all that is wrong with it. Open to all, so bounded in size and time.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::body;
use super::error::{Code, Error};
use super::extract::JSON_LIMIT;
use super::layers::{Described, described};
use super::state::App;
use crate::network::check::{Checked, Written};
use crate::network::spec::Input;
use crate::network::{self, Architecture, Fault, LayerShape, Memory, presets};
use crate::training::rate;

/// Lists that are checked at a time; more wait.
const AT_ONCE: usize = 2;
/// As recipes have it.
const BATCHES: std::ops::RangeInclusive<u64> = 1..=65_536;
const DEFAULT_BATCH: u64 = 128;
/// CIFAR-10's training images.
const DEFAULT_IMAGES: u64 = 50_000;
const MOST_IMAGES: u64 = 1_000_000_000;

/// What all checks share.
#[derive(Debug)]
pub struct Desk {
    places: Semaphore,
    /// Multiply-adds a second, measured when first asked for.
    rate: OnceLock<Option<f64>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), rate: OnceLock::new() }
    }
}

/// The answer of `GET /networks`.
#[derive(Debug, Serialize)]
pub struct All {
    networks: Vec<Preset>,
}

#[derive(Debug, Serialize)]
struct Preset {
    /// What `arch` may be in `POST /admin/train`.
    name: &'static str,
    /// What it is, in a sentence or two.
    about: String,
    input: Input,
    parameters: usize,
    multiply_adds: u64,
    /// The whole architecture file.
    toml: &'static str,
}

/// Every network that comes with the program.
pub async fn list(State(_): State<Arc<App>>) -> Result<Json<All>, Error> {
    let preset = |name: &'static str| {
        let (toml, architecture) = presets::text(name).zip(presets::named(name))?;
        let layers = network::infer(&architecture).ok()?;
        let (parameters, multiply_adds) = (parameters(&layers), rate::multiply_adds(&layers));
        Some(Preset { name, about: presets::about(toml), input: architecture.input, parameters, multiply_adds, toml })
    };
    Ok(Json(All { networks: presets::names().filter_map(preset).collect() }))
}

fn parameters(layers: &[LayerShape]) -> usize {
    layers.iter().map(LayerShape::parameter_count).sum()
}

/// What is known of a list that is a network.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    name: &'a str,
    input: Input,
    /// Scores it gives.
    classes: usize,
    layers: Vec<Described<'a>>,
    parameters: usize,
    /// For one image, forward.
    multiply_adds: u64,
    batch_size: u64,
    /// On the processor, with as many threads as this machine gives, at this batch size.
    memory: Memory,
    /// None where nothing was measured.
    epoch: Option<Epoch>,
}

/// What an epoch of training would take here.
#[derive(Debug, Serialize)]
struct Epoch {
    seconds: f64,
    /// Training images of an epoch.
    images: u64,
    images_per_second: f64,
    /// What the estimate rests on.
    from: String,
}

/// Checks a layer list: JSON or TOML, with `batch_size` and `images` (of an epoch) beside its keys; or JSON with the list, a file's text
/// or a preset's name as `arch`, as `POST /admin/train` has it.
pub async fn check(State(app): State<Arc<App>>, request: Request) -> Result<Response, Error> {
    let body = body::read(request.into_body(), JSON_LIMIT, &app).await?;
    let _place = app.networks.places.acquire().await.map_err(|_| Error::stopping())?;
    let server = Arc::clone(&app);
    let work = move || {
        let asked = Asked::read(&body)?;
        let Checked { architecture, layers } = asked.written.check()?;
        Ok(Json(answer(&server, &architecture, &layers, asked.batch_size, asked.images)).into_response())
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(format!("a network was not checked: {e}")))?
}

struct Asked {
    written: Written,
    batch_size: u64,
    images: u64,
}

impl Asked {
    fn read(body: &[u8]) -> Result<Self, Error> {
        let text =
            std::str::from_utf8(body).map_err(|_| Error::new(Code::BadRequest, "the body is not UTF-8 text: send a layer list"))?;
        let mut numbers = Map::new();
        let mut written = if text.trim_start().starts_with('{') {
            let read = serde_json::from_str(text);
            let list: Map<String, Value> = read.map_err(|e| Error::new(Code::BadRequest, format!("the body is no JSON: {e}")))?;
            match Map::get(&list, "arch") {
                None => Written::json(Value::Object(list)),
                Some(_) => wrapped(list, &mut numbers)?,
            }
        } else {
            Written::toml(text)?
        };
        // Beside the list's keys, or beside `arch`.
        let mut beside = Written::json(Value::Object(numbers));
        let mut number = |key: &str| match beside.take_number(key)? {
            Some(number) => Ok(Some(number)),
            None => written.take_number(key),
        };
        let batch_size = number("batch_size")?.unwrap_or(DEFAULT_BATCH);
        let images = number("images")?.unwrap_or(DEFAULT_IMAGES);
        within("batch_size", batch_size, &BATCHES)?;
        within("images", images, &(1..=MOST_IMAGES))?;
        Ok(Self { written, batch_size, images })
    }
}

/// `{"arch": …}` and numbers beside it.
fn wrapped(mut body: Map<String, Value>, numbers: &mut Map<String, Value>) -> Result<Written, Error> {
    let arch = body.remove("arch").unwrap_or_default();
    if let Some(key) = body.keys().find(|key| !["batch_size", "images"].contains(&key.as_str())) {
        let sentence = super::extract::unknown("key", key, &["arch", "batch_size", "images"]);
        return Err(Error::new(Code::Unprocessable, sentence));
    }
    *numbers = body;
    Ok(match arch {
        Value::String(text) if !text.contains(['\n', '=']) => Written::toml(presets::text(&text).ok_or_else(|| {
            let known: Vec<&str> = presets::names().collect();
            Error::new(Code::Unprocessable, super::extract::unknown("network", &text, &known))
        })?)?,
        Value::String(text) => Written::toml(&text)?,
        list => Written::json(list),
    })
}

fn within(key: &str, value: u64, range: &std::ops::RangeInclusive<u64>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let error = format!("`{key}` is {value}: it must be from {} to {}", range.start(), range.end());
    Err(network::Error::Architecture(vec![Fault { error, ..Fault::default() }]).into())
}

fn answer<'a>(app: &App, architecture: &'a Architecture, layers: &'a [LayerShape], batch_size: u64, images: u64) -> Answer<'a> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Answer {
        name: &architecture.name,
        input: architecture.input,
        classes: layers.last().map_or(0, |last| last.output.elements()),
        layers: described(architecture, layers),
        parameters: parameters(layers),
        multiply_adds: rate::multiply_adds(layers),
        batch_size,
        memory: Memory::of(architecture, layers, batch_size as usize, threads),
        epoch: epoch(app, architecture, layers, images),
    }
}

/// By what a run of this very network reached here; else by multiply-adds, at the rate of the last run, or measured now.
fn epoch(app: &App, architecture: &Architecture, layers: &[LayerShape], images: u64) -> Option<Epoch> {
    let estimate = |images_per_second: f64, from: String| {
        let usable = images_per_second.is_finite() && images_per_second > 0.0;
        usable.then(|| Epoch { seconds: images as f64 / images_per_second, images, images_per_second, from })
    };
    let same = |other: &Architecture| other.input == architecture.input && other.layers == architecture.layers;
    let rates = app.supervisor.rates();
    if let Some(run) = rates.iter().rev().find(|run| same(&run.architecture)) {
        return estimate(run.images_per_second, format!("the run {} of this network here", run.id));
    }
    let cost = rate::multiply_adds(layers).max(1) as f64;
    let of_run = rates.iter().rev().find_map(|run| {
        let own = rate::multiply_adds(&network::infer(&run.architecture).ok()?) as f64;
        let from = format!("the run {} of `{}` here, by multiply-adds", run.id, run.architecture.name);
        estimate(run.images_per_second * own / cost, from)
    });
    of_run.or_else(|| {
        // Of a card, the processor's rate says nothing.
        let rate = (*app.networks.rate.get_or_init(|| app.on_processor().then(rate::measure).flatten()))?;
        estimate(rate / cost, format!("steps of `{}` timed on this machine, by multiply-adds", rate::NETWORK))
    })
}
