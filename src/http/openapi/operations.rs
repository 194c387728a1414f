//! What every route does: **the one place where a new route is told of**.
//!
//! Add an [`Operation`] for each of its methods; its query's keys are read from the struct that `Routes::add` was given, and a
//! key or a part of the path that no other route has wants a line in `parameters.rs`. The tests in `tests/it/openapi.rs` fail on a
//! route that is not here, on one here that is none, and on `docs/openapi.json` when it is not what is served.

use serde_json::json;

use super::operation::Operation;
use super::v2;
use crate::classification::Answer;
use crate::http::admin::jobs::{AllJobs, OneJob};
use crate::http::admin::models::Activated;
use crate::http::admin::results::RunResults;
use crate::http::admin::train::{Started, TrainRequest};
use crate::http::confusion::Counts;
use crate::http::effects::Effects;
use crate::http::error::Code;
use crate::http::featuremaps::Statistics;
use crate::http::health::Status;
use crate::http::layers::{Learned, Network};
use crate::http::mistakes::Listing;
use crate::http::models::Models;
use crate::http::samples::Samples;

const NPY: &str = "application/x-npy";
const BYTES: &str = "application/octet-stream";
const PNG: &str = "image/png";
const EVENTS: &str = "text/event-stream";

/// All of them, in the order of the router.
pub fn operations() -> Vec<Operation> {
    [inference(), catalog(), findings(), networks(), datasets(), admin(), models(), v2::operations(), health()]
        .into_iter()
        .flatten()
        .collect()
}

fn inference() -> Vec<Operation> {
    let maps = |operation: Operation| {
        operation
            .gives_bytes(200, "The layer's channels as a grid, or with `Accept` or `format` their statistics or values.", PNG)
            .gives::<Statistics<'_>>(200, "")
            .gives_bytes(200, "", NPY)
            .gives_bytes(200, "", BYTES)
            .refuses(&[Code::UnknownLayer, Code::UnknownSample])
    };
    let effects = |operation: Operation| {
        operation
            .gives::<Effects<'_>>(200, "The answer with every channel on, and what changes without each of them.")
            .refuses(&[Code::UnknownLayer, Code::UnknownSample])
    };
    let mut classify = Operation::new("POST /classify", "Say what images show");
    let (one, refusal) = (classify.refer::<Answer<'_>>(), json!({"$ref": "#/components/schemas/Error"}));
    let several = json!({
        "type": "object", "required": ["results"],
        "properties": {"results": {"type": "array", "items": {"anyOf": [one, refusal]}}}
    });
    vec![
        classify
            .about("One image gives its answer; several give `results`, in order: all admitted or none.")
            .takes_images()
            .gives_as(
                200,
                "The classes by probability, and what the answer took.",
                "application/json",
                &json!({"anyOf": [one, several]}),
            )
            .curl("curl --data-binary @cat.png $HOST/classify")
            .curl("curl -F image=@cat.png -F image=@dog.png \"$HOST/classify?top_k=3\""),
        Operation::new("POST /featuremaps", "Several layers of one image, from one forward pass")
            .takes_images()
            .gives_bytes(200, "A safetensors file with a tensor a layer.", BYTES)
            .refuses(&[Code::UnknownLayer])
            .curl("curl --data-binary @cat.png \"$HOST/featuremaps?layers=conv1,act1\" -o maps.safetensors"),
        maps(Operation::new("POST /featuremaps/{layer}", "What a layer makes of an image").takes_images())
            .curl("curl --data-binary @cat.png $HOST/featuremaps/conv1 -o conv1.png")
            .curl("curl --data-binary @cat.png -H 'Accept: application/json' $HOST/featuremaps/conv1"),
        maps(Operation::new("GET /featuremaps/{layer}", "What a layer makes of a sample image").infers())
            .about("`sample` names the image.")
            .curl("curl \"$HOST/featuremaps/conv1?sample=cat\" -o conv1.png"),
        effects(Operation::new("GET /layers/{layer}/effects", "The same of a sample image").infers())
            .about("`sample` names the image.")
            .curl("curl \"$HOST/layers/conv1/effects?sample=cat\""),
        effects(
            Operation::new("POST /layers/{layer}/effects", "What each channel of a layer is worth to an image's answer")
                .takes_images(),
        )
        .about("Each channel is set to 0 by itself, as with `mask`; many are evaluated a batch, and other requests in between.")
        .curl("curl --data-binary @cat.png $HOST/layers/conv1/effects"),
    ]
}

fn catalog() -> Vec<Operation> {
    vec![
        Operation::new("GET /models", "The models, and how good they were measured to be")
            .gives::<Models<'_>>(200, "By name; what is said beside the versions is said of the active one.")
            .refuses(&[Code::Stopping, Code::TimedOut])
            .curl("curl $HOST/models"),
        Operation::new("GET /models/{name}/file", "A model as a safetensors file")
            .about("The file that answers, byte for byte, or `version`'s; with an `ETag`.")
            .gives_bytes(200, "The file.", BYTES)
            .gives_nothing(304, "It is the one that `If-None-Match` names.")
            .refuses(&[Code::UnknownModel, Code::NotReady, Code::QueueFull, Code::Stopping, Code::TimedOut])
            .curl("curl $HOST/models/tutorial/file -o tutorial.safetensors"),
        Operation::new("GET /layers", "What a network consists of")
            .gives::<Network<'_>>(200, "Every layer in order, with what it takes, gives, owns and costs.")
            .refuses(&[Code::UnknownModel, Code::Stopping, Code::TimedOut])
            .curl("curl \"$HOST/layers?model=tutorial\""),
        Operation::new("GET /layers/{layer}/weights", "What a layer has learned")
            .about(
                "JSON has all parameters of the layer, up to 65,536 numbers; the other forms have one, `weight` unless `parameter` \
                 names another. `channel` is one output's filter or row; its bias is in the header `x-bias`.",
            )
            .gives::<Learned<'_>>(200, "The numbers.")
            .gives_bytes(200, "", NPY)
            .gives_bytes(200, "", BYTES)
            .refuses(&[
                Code::UnknownModel,
                Code::UnknownLayer,
                Code::Unprocessable,
                Code::QueueFull,
                Code::Stopping,
                Code::TimedOut,
            ])
            .curl("curl \"$HOST/layers/conv1/weights?format=npy\" -o conv1.npy"),
        Operation::new("GET /samples", "The sample images")
            .gives::<Samples>(200, "In the order in which the page shows them.")
            .refuses(&[Code::Stopping, Code::TimedOut])
            .curl("curl $HOST/samples"),
        Operation::new("GET /samples/{name}", "A sample image")
            .gives_bytes(200, "The file.", PNG)
            .refuses(&[Code::UnknownSample, Code::Stopping, Code::TimedOut])
            .curl("curl $HOST/samples/cat -o cat.png"),
    ]
}

/// What the evaluation of a run's last epoch left.
fn findings() -> Vec<Operation> {
    const KEPT: &str =
        "Of a run's model, `run-ID`: what the evaluation of its last epoch left. Without `version` it is that epoch's.";
    let refusals = [Code::NoResults, Code::UnknownModel, Code::Stopping, Code::TimedOut];
    vec![
        Operation::new("GET /confusion", "What a model takes its test images for")
            .about(KEPT)
            .gives::<Counts<'_>>(200, "Counts by class.")
            .refuses(&refusals)
            .curl("curl \"$HOST/confusion?model=run-$ID\""),
        Operation::new("GET /mistakes", "Test images that a model takes for something else")
            .about(KEPT)
            .gives::<Listing<'_>>(200, "In the order of the test set, each with a link to its picture.")
            .refuses(&refusals)
            .curl("curl \"$HOST/mistakes?model=run-$ID&true=cat&said=dog\""),
        Operation::new("GET /mistakes/{index}", "One of these images, as the network saw it")
            .about(KEPT)
            .gives_bytes(200, "The picture.", PNG)
            .refuses(&refusals),
    ]
}

fn admin() -> Vec<Operation> {
    vec![
        Operation::new("POST /admin/train", "Train a network")
            .about("The run is a process of its own. With `Accept: text/event-stream` the answer is its events themselves.")
            .takes::<TrainRequest>()
            .gives::<Started>(202, "It was started, or waits for its turn.")
            .gives_bytes(200, "Its events, with `Accept: text/event-stream`.", EVENTS)
            .refuses(&[Code::UnknownDataset, Code::Unprocessable, Code::NoRoom])
            .curl(
                "curl -H \"Authorization: Bearer $TOKEN\" -d '{\"arch\": \"tutorial\", \"data\": \"cifar10\", \"epochs\": 1}' \
                 $HOST/admin/train",
            ),
        Operation::new("GET /admin/jobs", "The training runs")
            .gives::<AllJobs>(200, "In the order in which they were asked for.")
            .curl("curl -H \"Authorization: Bearer $TOKEN\" $HOST/admin/jobs"),
        Operation::new("GET /admin/jobs/{id}", "A training run")
            .gives::<OneJob>(200, "How it stands.")
            .refuses(&[Code::UnknownJob]),
        Operation::new("PATCH /admin/jobs/{id}", "Name a run")
            .takes_json(&json!({"name": "with dropout"}))
            .gives::<OneJob>(200, "How it stands.")
            .refuses(&[Code::BadRequest, Code::UnknownJob, Code::Unprocessable]),
        Operation::new("DELETE /admin/jobs/{id}", "Remove a run that is over, with its models")
            .gives_nothing(204, "It is gone.")
            .refuses(&[Code::UnknownJob, Code::Conflict]),
        Operation::new("POST /admin/jobs/{id}/cancel", "Ask a run to end")
            .gives::<OneJob>(200, "How it stands; it ends within seconds.")
            .refuses(&[Code::UnknownJob, Code::Conflict]),
        Operation::new("POST /admin/jobs/{id}/resume", "Let a run that is over and not done go on")
            .about("From the last epoch that it kept, or from its beginning; one that is queued, running or done is refused.")
            .gives::<OneJob>(200, "How it stands: running, or queued.")
            .refuses(&[Code::UnknownJob, Code::Conflict, Code::NoRoom, Code::Unprocessable])
            .curl("curl -X POST -H \"Authorization: Bearer $TOKEN\" $HOST/admin/jobs/$ID/resume"),
        Operation::new("GET /admin/jobs/{id}/events", "A run's events as they happen")
            .about("From the first, or after the one that the header `Last-Event-ID` names; until the run is over.")
            .gives_bytes(200, "Server-sent events, or with `Accept: application/x-ndjson` a line of JSON each.", EVENTS)
            .gives_bytes(200, "", "application/x-ndjson")
            .refuses(&[Code::BadRequest, Code::UnknownJob])
            .curl("curl -N -H \"Authorization: Bearer $TOKEN\" $HOST/admin/jobs/$ID/events"),
        Operation::new("GET /admin/jobs/{id}/results", "A run's figures, epoch by epoch and step by step")
            .about("With what the evaluation of its last epoch found: by class, confusion, calibration.")
            .gives::<RunResults<'_>>(
                200,
                "All of it; with `format` the epochs, or with `rows=steps` the steps, as a table (`csv`) or a line of JSON each (`ndjson`).",
            )
            .gives_bytes(200, "", "text/csv")
            .gives_bytes(200, "", "application/x-ndjson")
            .refuses(&[Code::UnknownJob])
            .curl("curl -H \"Authorization: Bearer $TOKEN\" \"$HOST/admin/jobs/$ID/results?format=csv\""),
    ]
}

fn networks() -> Vec<Operation> {
    vec![
        Operation::new("GET /networks", "Networks to start from").gives_bytes(200, "Their layer lists.", "application/json"),
        Operation::new("POST /networks/check", "Shapes, parameters and cost of a layer list, or everything that is wrong with it")
            .about("The list as TOML or JSON, or JSON with `arch`, `batch_size` and `images`. Nothing is kept.")
            .takes_json(&json!({"arch": "tutorial", "batch_size": 32}))
            .gives_bytes(200, "Layer by layer.", "application/json")
            .refuses(&[Code::BadRequest, Code::Unprocessable, Code::Stopping, Code::TimedOut]),
    ]
}

fn datasets() -> Vec<Operation> {
    vec![
        Operation::new("GET /admin/datasets", "The datasets").gives_bytes(200, "By name.", "application/json"),
        Operation::new("GET /admin/datasets/{name}", "A dataset")
            .gives_bytes(200, "Its classes, counts and notes; or how far it is.", "application/json")
            .refuses(&[Code::UnknownDataset]),
        Operation::new("PUT /admin/datasets/{name}", "Send a folder of images, as .zip or .tar.gz")
            .takes_bytes(BYTES)
            .about("With `Accept: application/x-ndjson` the answer is a line of JSON for how far it is, again and again, and at last what it was \
                    understood as, or the error.")
            .gives_bytes(201, "As it was understood.", "application/json")
            .gives_bytes(200, "How far it is, line by line, and at last how it was understood, or `error` and `code`.", "application/x-ndjson")
            .refuses(&[Code::Conflict, Code::Unprocessable, Code::NoRoom])
            .curl("curl -T pets.zip -H \"Authorization: Bearer $TOKEN\" $HOST/admin/datasets/pets"),
        Operation::new("DELETE /admin/datasets/{name}", "Remove a dataset")
            .gives_nothing(204, "It is gone.")
            .refuses(&[Code::UnknownDataset, Code::Conflict]),
    ]
}

fn models() -> Vec<Operation> {
    vec![
        Operation::new("POST /admin/models/{name}/activate", "Let a version answer where none is asked for")
            .about(
                "One of its own, or with `from` a copy of another model's; kept over a restart. `highest` ends that: \
                    then what a run prefers answers, its best epoch on its validation images, or the highest.",
            )
            .takes_json(&json!({"version": 3}))
            .gives::<Activated<'_>>(200, "How the model stands then.")
            .refuses(&[Code::BadRequest, Code::UnknownModel, Code::Conflict, Code::Unprocessable])
            .curl("curl -H \"Authorization: Bearer $TOKEN\" -d '{\"from\": \"run-1234abcd\"}' $HOST/admin/models/mine/activate"),
        Operation::new("DELETE /admin/models/{name}/versions/{version}", "Remove a version that does not answer")
            .gives_nothing(204, "It is gone.")
            .refuses(&[Code::UnknownModel, Code::Conflict]),
        Operation::new("POST /admin/models/refresh", "Look at the model folders now").gives::<Models<'_>>(200, "What is there."),
    ]
}

fn health() -> Vec<Operation> {
    vec![
        Operation::new("GET /metrics", "What this server did and how it stands, for Prometheus")
            .gives_bytes(200, "OpenMetrics.", "application/openmetrics-text")
            .curl("curl $HOST/metrics"),
        Operation::new("GET /openapi.json", "This document")
            .gives_bytes(200, "OpenAPI 3.1.", "application/json")
            .curl("curl $HOST/openapi.json"),
        Operation::new("GET /docs", "This document as a page").gives_bytes(200, "It needs nothing from elsewhere.", "text/html"),
        Operation::new("GET /docs/{file}", "What that page consists of")
            .gives_bytes(200, "A script or a style.", "text/plain")
            .refuses(&[Code::NotFound]),
        Operation::new("GET /health/live", "Whether the process answers")
            .gives::<Status>(200, "It does.")
            .curl("curl $HOST/health/live"),
        Operation::new("GET /health/ready", "Whether it classifies an image right now")
            .about("A full queue is no reason to be not ready.")
            .gives::<Status>(200, "It does: send it more.")
            .refuses(&[Code::NotReady, Code::Stopping])
            .curl("curl $HOST/health/ready"),
    ]
}
