//! What a server does without being asked, again and again until it stops: it looks at the model folders, and removes what the
//! settings do not keep of runs. Training says what can be spared and serving what is in use; neither knows the other.

use std::sync::Arc;

use super::state::App;
use crate::training::supervisor::model_of;

/// Keeps house until the server stops.
pub async fn run(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep(app.config.models.poll) => {}
        }
        if let Err(fault) = app.models.refresh().await {
            tracing::debug!(%fault, "a look at the models was given up");
        }
        epochs(&app).await;
        runs(&app).await;
    }
}

/// Of each run the epochs that are not kept.
async fn epochs(app: &App) {
    for (model, kept) in app.supervisor.kept_epochs(app.config.train.keep_epochs).await {
        if let Err(fault) = app.models.thin(&model, &kept).await {
            tracing::warn!(model, %fault, "a run's epochs cannot be removed");
        }
    }
}

/// Runs that are over, and more than are kept.
async fn runs(app: &App) {
    let over = app.supervisor.beyond(app.config.train.keep_runs);
    for id in over.into_iter().filter(|id| !app.models.in_use(&model_of(id))) {
        match app.supervisor.delete(&id).await {
            Ok(()) => tracing::info!(job = id, "a run that the settings do not keep is removed"),
            Err(fault) => tracing::warn!(job = id, %fault, "a run cannot be removed"),
        }
    }
}
