//! `/admin/datasets`: the sets of images there are, sent, looked at and removed.
//!
//! [`put`] takes one in, `follow` tells whoever sends it how far it is, [`desk`] is what is known while that goes on, and of those that are there.

pub mod desk;
mod follow;
pub mod put;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use self::desk::Stand;
use crate::dataset::catalog::{self, Catalog};
use crate::dataset::shelf::Removed;
use crate::dataset::survey::Survey;
use crate::http::error::{Code, Error};
use crate::http::extract::Path;
use crate::http::state::App;

/// A set, as it stands.
#[derive(Debug, Serialize)]
pub struct Set {
    name: String,
    #[serde(flatten)]
    state: Standing,
}

/// How a set stands.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Standing {
    /// It is being sent, unpacked or looked at.
    Coming(Stand),
    /// It can be trained on.
    Ready(Survey),
    /// It cannot, and why.
    Unusable { error: String },
}

/// One set.
#[derive(Debug, Serialize)]
pub struct OneSet {
    dataset: Set,
}

/// All of them.
#[derive(Debug, Serialize)]
pub struct AllSets {
    datasets: Vec<Set>,
}

/// Every set there is or comes, in alphabetical order.
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<AllSets>, Error> {
    let datasets = blocking(move || {
        let mut names = catalog(&app).names();
        names.extend(app.datasets.coming());
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().filter_map(|name| set(&app, name)).collect())
    });
    Ok(Json(AllSets { datasets: datasets.await? }))
}

/// One set.
pub async fn get(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<OneSet>, Error> {
    let dataset = blocking(move || {
        let name = named(name)?;
        match set(&app, name.clone()) {
            Some(set) => Ok(set),
            None => Err(catalog(&app).find(&name).err().map_or_else(Error::stopping, Error::from)),
        }
    });
    Ok(Json(OneSet { dataset: dataset.await? }))
}

/// Removes a set that no run uses.
pub async fn delete(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<StatusCode, Error> {
    blocking(move || {
        let name = named(name)?;
        let place = catalog(&app).find(&name)?;
        unused(&app, &name, &place)?;
        let removed = Removed::take(&place).map_err(Error::internal)?;
        // One may have been started in the meantime.
        if let Err(used) = unused(&app, &name, &place) {
            removed.put_back().map_err(Error::internal)?;
            return Err(used);
        }
        removed.remove();
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn unused(app: &App, name: &str, place: &std::path::Path) -> Result<(), Error> {
    let runs = app.supervisor.users_of(place);
    if runs.is_empty() {
        return Ok(());
    }
    let sentence = format!("the dataset `{name}` is used by the run {}: cancel it first, or wait for its end", runs.join(", "));
    Err(Error::new(Code::Conflict, sentence))
}

/// How the set called `name` stands; none where there is none.
fn set(app: &App, name: String) -> Option<Set> {
    if let Some(stand) = app.datasets.stand(&name) {
        return Some(Set { name, state: Standing::Coming(stand) });
    }
    let place = catalog(app).find(&name).ok()?;
    let state = match app.datasets.survey(&place) {
        Ok(survey) => Standing::Ready(survey),
        Err(error) => Standing::Unusable { error: error.to_string() },
    };
    Some(Set { name, state })
}

/// The sets of this server.
pub fn catalog(app: &App) -> Catalog {
    Catalog::new(folder(app))
}

/// Where they are.
fn folder(app: &App) -> PathBuf {
    app.config.data_dir.join("datasets")
}

/// `name`, if a set may be called so.
fn named(name: String) -> Result<String, Error> {
    /// With what is put before and behind it, what file systems take.
    const LONGEST: usize = 100;
    if catalog::is_name(&name) && name.len() <= LONGEST {
        return Ok(name);
    }
    let sentence = format!(
        "a dataset's name is 1 to {LONGEST} letters, digits, `_`, `-` and `.`, and begins with no dot: choose another one than `{name}`"
    );
    Err(Error::new(Code::Unprocessable, sentence))
}

/// Does `work`, which waits for a disk, on a thread made for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(format!("a dataset was not seen to: {e}")))?
}
