//! `GET /confusion`: what a run's model takes its test images for.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Error;
use super::extract::Query;
use super::findings;
use super::layers::Which;
use super::state::App;
use crate::classification::ModelVersion;
use crate::evaluation::wilson;
use crate::training::results::Results;

/// What a model takes its test images for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Confusion)]
pub struct Counts<'a> {
    /// Whose it is.
    model: ModelVersion<'a>,
    /// In the order of rows and columns.
    classes: &'a [String],
    /// Test images.
    images: usize,
    /// Images by what they are (row) and what the model says (column).
    confusion: &'a [Vec<usize>],
    /// How many of each class are right.
    per_class: Vec<ClassFigures<'a>>,
}

/// How many of a class are right.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClassFigures<'a> {
    /// The class.
    label: &'a str,
    /// Its test images.
    images: usize,
    /// Those that the model is right about.
    correct: usize,
    /// Their share; null without images.
    accuracy: Option<f64>,
    /// Where the share on all such images lies with 95 % confidence; null without images.
    interval95: Option<[f64; 2]>,
}

/// The confusion of the last epoch's evaluation.
pub async fn get(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Result<Response, Error> {
    let found = findings::find(&app, which.model(), which.version()).await?;
    let results = &found.results;
    let answer = Counts {
        model: ModelVersion { name: &found.model, version: results.epoch.into() },
        classes: &results.classes,
        images: results.confusion.iter().flatten().sum(),
        confusion: &results.confusion,
        per_class: per_class(results),
    };
    Ok(Json(answer).into_response())
}

/// The figures of each class of `results`.
pub fn per_class(results: &Results) -> Vec<ClassFigures<'_>> {
    let rows = results.classes.iter().zip(&results.confusion).enumerate();
    rows.map(|(class, (label, row))| {
        let (images, correct) = (row.iter().sum::<usize>(), row.get(class).copied().unwrap_or_default());
        let (accuracy, interval95) = match images {
            0 => (None, None),
            _ => (Some(correct as f64 / images as f64), Some(wilson(correct, images))),
        };
        ClassFigures { label, images, correct, accuracy, interval95 }
    })
    .collect()
}
