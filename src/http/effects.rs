//! `/layers/{layer}/effects`: what each channel of a layer is worth to the answer for one image.
//!
//! Every channel is set to 0 by itself, and the image goes through the whole network again: as `/classify` with that channel in its
//! `mask`, to the bit, many of them a batch. This module does not know how a channel is switched off.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answers;
use super::classify::TOP_K;
use super::deadline::Deadline;
use super::error::{Code, Error};
use super::extract::{Path, Query};
use super::forward::{self, Question, Seen};
use super::models::named;
use super::samples;
use super::state::App;
use super::upload::{Image, Upload};
use super::whole::Whole;
use crate::classification::{Classification, ModelVersion, Timing};
use crate::network::{Mask, Probe};
use crate::serving::Served;

/// About what a channel takes in the answer, twice: as numbers and as it is written.
const BYTES_A_CHANNEL: u64 = 256;

/// The query.
#[derive(Debug, Deserialize)]
pub struct Options {
    model: Option<String>,
    version: Option<Whole<u64>>,
    mask: Option<String>,
    top_k: Option<Whole<std::num::NonZeroU32>>,
    sample: Option<String>,
}

/// The answer with every channel on, and with each of them off.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Effects<'a> {
    /// Who answers.
    model: ModelVersion<'a>,
    /// The layer.
    layer: &'a str,
    /// What the image shows with only the query's `mask` off.
    #[serde(flatten)]
    classification: Classification<'a>,
    /// One a channel, in their order.
    channels: Vec<Effect<'a>>,
    /// What the answer took.
    timing_ms: Timing,
}

/// What becomes of the answer without one channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelEffect)]
pub(super) struct Effect<'a> {
    /// The channel that is off.
    channel: usize,
    /// The most probable class without it.
    label: &'a str,
    /// That class's probability.
    probability: f32,
    /// By how much the probability of what was the most probable class changes, -1 to 1.
    change: f32,
}

/// For an image that was sent.
pub async fn of_upload(
    State(app): State<Arc<App>>,
    Path(layer): Path<String>,
    Query(options): Query<Options>,
    deadline: Deadline,
    upload: Upload,
) -> Result<Response, Error> {
    if options.sample.is_some() {
        return Err(Error::new(Code::BadQuery, "`sample` goes with GET: leave it out, or send no image"));
    }
    tell(&app, Asked { layer, options, deadline }, upload.one()?).await
}

/// For one of our own images.
pub async fn of_sample(
    State(app): State<Arc<App>>,
    Path(layer): Path<String>,
    Query(options): Query<Options>,
    deadline: Deadline,
) -> Result<Response, Error> {
    let name = options.sample.as_deref().ok_or_else(|| {
        Error::new(Code::BadQuery, "`sample` must name an image of /samples here; to send one of your own, use POST")
    })?;
    let image = Upload::of(&app, samples::named(name)?.png)?.one()?;
    tell(&app, Asked { layer, options, deadline }, image).await
}

/// What is asked, and how long anybody waits.
struct Asked {
    layer: String,
    options: Options,
    deadline: Deadline,
}

async fn tell(app: &Arc<App>, asked: Asked, image: Image) -> Result<Response, Error> {
    let Asked { layer, options, deadline } = asked;
    let served = app.model(options.model.as_deref(), options.version.map(|Whole(version)| version)).await?;
    let probe = Probe::default().mask(options.mask.as_deref().unwrap_or_default(), &served.model)?;
    let position = served.model.layer(&layer)?;
    let channels = served.model.layers()[position].output.channels();
    let room = answers::room(app, BYTES_A_CHANNEL * channels as u64).await?;
    // The first has nothing off: what it is compared with is computed as it is, and a channel that does nothing changes nothing.
    let off = |channel| Mask { layer: position, channels: vec![channel] };
    let masks = std::iter::once(Mask { layer: position, channels: Vec::new() }).chain((0..channels).map(off));
    let masks: Vec<Mask> = masks.collect();
    let question = Question { served: Arc::clone(&served), probe, deadline };
    let seen = forward::each(app, image, &question, &masks).await?;
    let top_k = options.top_k.map_or(TOP_K, |Whole(top_k)| top_k.get() as usize);
    let effects = effects(&seen, &served, top_k).ok_or_else(|| Error::internal("the model gave no probabilities"))?;
    Ok(room.hold(Json(Effects { layer: &layer, ..effects }).into_response()))
}

/// What the passes say, the first with all channels on.
fn effects<'a>(seen: &'a Seen, served: &'a Served, top_k: usize) -> Option<Effects<'a>> {
    let classes = &served.model.metadata().classes;
    let mut passes = seen.reply.probabilities.chunks_exact(classes.len());
    let all_on = passes.next()?;
    let winner = strongest(all_on)?;
    let without = |(channel, probabilities): (usize, &[f32])| {
        let now = strongest(probabilities)?;
        let change = probabilities[winner] - all_on[winner];
        Some(Effect { channel, label: &classes[now], probability: probabilities[now], change })
    };
    Some(Effects {
        model: named(served),
        layer: "",
        classification: Classification::new(classes, all_on, top_k),
        channels: passes.enumerate().map(without).collect::<Option<_>>()?,
        timing_ms: Timing::new(seen.decode, seen.reply.queued, seen.reply.inference),
    })
}

/// The position of the largest; of equals the first.
fn strongest(probabilities: &[f32]) -> Option<usize> {
    let first = |a: &usize, b: &usize| probabilities[*a].total_cmp(&probabilities[*b]).then(b.cmp(a));
    (0..probabilities.len()).max_by(first)
}
