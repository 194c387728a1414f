//! Whose results a request looks into: a run's, by its model's name. Only the last epoch's evaluation is kept, so other models and
//! other versions are refused with what to do instead. It reads files, and needs no model in memory.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::{Code, Error};
use super::extract::unknown;
use super::state::App;
use crate::training::folder::{RunFolder, model_of};
use crate::training::results::Results;

/// A run's results, and where they are.
#[derive(Debug)]
pub(super) struct Found {
    /// The run's model.
    pub(super) model: String,
    /// What the evaluation of its last epoch found.
    pub(super) results: Results,
    /// The run's state, beside which they lie.
    pub(super) state: PathBuf,
}

/// The results of `model`, or of the default one; `version` may only be the one they are of.
pub(super) async fn find(app: &Arc<App>, model: Option<&str>, version: Option<u64>) -> Result<Found, Error> {
    let model = model.unwrap_or_else(|| app.models.default_name()).to_owned();
    let Some(job) = app.supervisor.jobs().into_iter().find(|job| model_of(&job.id) == model) else {
        return Err(none(app, &model).await);
    };
    let state = RunFolder::new(&app.config.data_dir, &job.id).state();
    let Some(results) = read(state.clone()).await? else {
        let sentence = format!("no epoch of `{model}` has left results: the first does when it is over");
        return Err(Error::new(Code::NoResults, sentence));
    };
    match version {
        Some(version) if version != u64::from(results.epoch) => {
            let sentence = format!(
                "the results of `{model}` are those of its last epoch, version {}: leave `version` out, or measure version {version} with \
                 `convscope eval`",
                results.epoch
            );
            Err(Error::new(Code::NoResults, sentence))
        }
        _ => Ok(Found { model, results, state }),
    }
}

/// The results beside the run's `state`, read on a thread that may wait for a disk.
pub(super) async fn read(state: PathBuf) -> Result<Option<Results>, Error> {
    Ok(tokio::task::spawn_blocking(move || Results::read(&state)).await.map_err(|_| Error::stopping())??)
}

/// Why there are no results of `model`, which is no run's.
async fn none(app: &Arc<App>, model: &str) -> Error {
    let listed = match app.models.list().await {
        Ok(listed) => listed,
        Err(fault) => return fault.into(),
    };
    let names: Vec<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
    if names.contains(&model) {
        let sentence = format!(
            "`{model}` has no results to look into: only a training run of this server (`model=run-ID`) leaves them; `convscope eval \
             --model {model} --data DIR` measures it"
        );
        return Error::new(Code::NoResults, sentence);
    }
    Error::new(Code::UnknownModel, unknown("model", model, &names))
}
