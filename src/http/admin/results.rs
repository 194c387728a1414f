//! `GET /admin/jobs/{id}/results`: a run's figures, epoch by epoch and step by step, and what the evaluation of its last epoch found; as
//! JSON, or the epochs or the steps as a table (CSV) or a line each (NDJSON).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::jobs;
use crate::checkpoint::preferred::{self, Preferred};
use crate::evaluation::findings::Calibration;
use crate::evaluation::wilson;
use crate::http::confusion::{ClassFigures, per_class};
use crate::http::error::Error;
use crate::http::extract::{Path, Query};
use crate::http::openapi::shapes;
use crate::http::state::App;
use crate::training::event::{EpochRecord, StepRecord};
use crate::training::folder::{RunFolder, model_of};
use crate::training::results::Results;
use crate::training::{state, steps};

/// The query.
#[derive(Debug, Deserialize)]
pub struct Options {
    format: Option<Format>,
    rows: Option<Rows>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
    Ndjson,
}

/// What a table has a line for.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rows {
    #[default]
    Epochs,
    Steps,
}

/// A run's figures.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunResults<'a> {
    /// The run.
    job: &'a str,
    /// Its model, of which an epoch is a version.
    model: &'a str,
    /// Every epoch that is over.
    epochs: Vec<Row>,
    /// The steps that its journal holds: up to a hundred of an epoch, with learning rate and gradient norm.
    #[schema(value_type = Vec<shapes::Step>)]
    steps: Vec<StepRecord>,
    /// The epoch whose model answers for the run, and why, where its validation images choose one; null where they do not, and the last
    /// one does.
    #[schema(value_type = Option<Object>)]
    preferred: Option<Preferred>,
    /// What the last epoch's evaluation found; null before that.
    last: Option<Last<'a>>,
}

/// An epoch: its event's data, and how sure its accuracies are.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = EpochRow)]
pub(super) struct Row {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    record: EpochRecord,
    /// Images that were trained on; null where that is not known.
    train_images: Option<usize>,
    /// Where the training accuracy of all such images lies with 95 % confidence.
    train_interval95: Option<[f64; 2]>,
    /// Where the accuracy on all images like the test set's lies with 95 % confidence.
    test_interval95: Option<[f64; 2]>,
}

/// What the last epoch's evaluation found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastEvaluation)]
pub(super) struct Last<'a> {
    /// The epoch.
    epoch: u32,
    /// In the order of rows and columns.
    classes: &'a [String],
    /// How many of each class are right.
    per_class: Vec<ClassFigures<'a>>,
    /// Test images by what they are (row) and what the model says (column).
    confusion: &'a [Vec<usize>],
    /// How far its probabilities can be believed.
    #[schema(value_type = shapes::Calibration)]
    calibration: &'a Calibration,
    /// Test images that it takes for something else; `/mistakes` lists them.
    mistakes: usize,
}

/// The run's figures.
pub async fn get(State(app): State<Arc<App>>, Path(id): Path<String>, Query(options): Query<Options>) -> Result<Response, Error> {
    jobs::find(&app, &id)?;
    let folder = RunFolder::new(&app.config.data_dir, &id);
    let read = move || {
        let state = folder.state();
        let preferred = preferred::read(&folder.models()).map_err(Error::internal)?;
        Ok::<_, Error>((state::records(&state)?, steps::read(&folder.events())?, Results::read(&state)?, preferred))
    };
    let (records, steps, results, preferred) = tokio::task::spawn_blocking(read).await.map_err(|_| Error::stopping())??;
    let train_images = results.as_ref().map(|results| results.train_images);
    let epochs: Vec<Row> = records.into_iter().map(|record| row(record, train_images)).collect();
    let (csv, ndjson) = ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], [(header::CONTENT_TYPE, "application/x-ndjson")]);
    Ok(match (options.format.unwrap_or_default(), options.rows.unwrap_or_default()) {
        (Format::Json, _) => {
            let (model, last) = (model_of(&id), results.as_ref().map(last));
            Json(RunResults { job: &id, model: &model, epochs, steps, preferred, last }).into_response()
        }
        (Format::Csv, Rows::Epochs) => (csv, table(&epochs)).into_response(),
        (Format::Csv, Rows::Steps) => (csv, table_of_steps(&steps)).into_response(),
        (Format::Ndjson, Rows::Epochs) => (ndjson, lines(&epochs)).into_response(),
        (Format::Ndjson, Rows::Steps) => (ndjson, lines(&steps)).into_response(),
    })
}

fn row(record: EpochRecord, train_images: Option<usize>) -> Row {
    // A share times its images is a count, but for the rounding of the division.
    let interval = |share: f64, images: usize| (images > 0).then(|| wilson((share * images as f64).round() as usize, images));
    Row {
        train_images,
        train_interval95: train_images.and_then(|images| interval(record.train_accuracy, images)),
        test_interval95: interval(record.test_accuracy, record.test_images),
        record,
    }
}

fn last(results: &Results) -> Last<'_> {
    let right: usize = results.confusion.iter().enumerate().filter_map(|(class, row)| row.get(class)).sum();
    Last {
        epoch: results.epoch,
        classes: &results.classes,
        per_class: per_class(results),
        confusion: &results.confusion,
        calibration: &results.calibration,
        mistakes: results.confusion.iter().flatten().sum::<usize>() - right,
    }
}

fn lines(rows: &[impl Serialize]) -> String {
    // Numbers only: serde_json has no way to fail on them.
    rows.iter().filter_map(|row| serde_json::to_string(row).ok()).fold(String::new(), |text, line| text + &line + "\n")
}

/// The columns of a table, in the order of [`table`].
const COLUMNS: &str = "epoch,epochs,train_loss,train_accuracy,train_images,train_low95,train_high95,test_loss,test_accuracy,\
                       test_images,test_low95,test_high95,learning_rate,images_per_second,elapsed_seconds,validation_loss,\
                       validation_accuracy,validation_images\r\n";

/// As RFC 4180 has it; what is not known is left empty.
fn table(epochs: &[Row]) -> String {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let bounds = |interval: Option<[f64; 2]>| [number(interval.map(|[low, _]| low)), number(interval.map(|[_, high]| high))];
    let line = |row: &Row| {
        let record = &row.record;
        let [train_low, train_high] = bounds(row.train_interval95);
        let [test_low, test_high] = bounds(row.test_interval95);
        let cells = [
            record.epoch.to_string(),
            record.epochs.to_string(),
            record.train_loss.to_string(),
            record.train_accuracy.to_string(),
            row.train_images.map_or_else(String::new, |images| images.to_string()),
            train_low,
            train_high,
            record.test_loss.to_string(),
            record.test_accuracy.to_string(),
            record.test_images.to_string(),
            test_low,
            test_high,
            record.learning_rate.to_string(),
            record.images_per_second.to_string(),
            record.elapsed_seconds.to_string(),
            number(record.validation.map(|set| set.loss)),
            number(record.validation.map(|set| set.accuracy)),
            record.validation.map_or_else(String::new, |set| set.images.to_string()),
        ];
        cells.join(",") + "\r\n"
    };
    epochs.iter().map(line).fold(COLUMNS.to_owned(), |text, line| text + &line)
}

/// The columns of a table, in the order of [`table_of_steps`].
const STEP_COLUMNS: &str = "epoch,epochs,step,steps,train_loss,train_accuracy,learning_rate,gradient_norm,images_per_second\r\n";

/// As [`table`], of steps.
fn table_of_steps(steps: &[StepRecord]) -> String {
    let line = |step: &StepRecord| {
        let cells = [
            step.epoch.to_string(),
            step.epochs.to_string(),
            step.step.to_string(),
            step.steps.to_string(),
            step.train_loss.to_string(),
            step.train_accuracy.to_string(),
            step.learning_rate.to_string(),
            step.gradient_norm.map_or_else(String::new, |norm| norm.to_string()),
            step.images_per_second.to_string(),
        ];
        cells.join(",") + "\r\n"
    };
    steps.iter().map(line).fold(STEP_COLUMNS.to_owned(), |text, line| text + &line)
}
