//! `/admin/models`: which version of a model answers, and which there are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::error::{Code, Error};
use crate::http::extract::{self, Path};
use crate::http::models::{Entry, describe, list};
use crate::http::state::App;
use crate::serving::change::Choice;

/// The body of an activation: `{"version":3}`, `{"version":"highest"}`, or `{"from":"run-1234abcd","version":3}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// A model whose version is copied; without it the version is this model's own.
    from: Option<String>,
    /// Its number, or `highest`.
    version: Option<Value>,
}

/// How the model stands then.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activated<'a> {
    /// As it is listed.
    model: Entry<'a>,
}

/// Lets a version answer where none is asked for, from now on and after a restart.
pub async fn activate(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    extract::Json(activation): extract::Json<Activation>,
) -> Result<Response, Error> {
    let listed = app.models.activate(&name, activation.choice()?).await?;
    let model = describe(&listed, app.models.default_name()).ok_or_else(|| Error::internal("the activated version is gone"))?;
    Ok(Json(Activated { model }).into_response())
}

/// Removes a version that does not answer.
pub async fn delete(State(app): State<Arc<App>>, Path((name, version)): Path<(String, u64)>) -> Result<StatusCode, Error> {
    app.models.remove(&name, version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Looks at the folders now, brings in what is new, and tells what is there.
pub async fn refresh(State(app): State<Arc<App>>) -> Result<Response, Error> {
    app.models.refresh().await?;
    list(State(app)).await
}

impl Activation {
    fn choice(self) -> Result<Choice, Error> {
        let number = |value: &Value| value.as_u64().filter(|&version| version > 0);
        match (self.from, self.version) {
            (None, Some(Value::String(word))) if word == "highest" => Ok(Choice::Highest),
            (None, Some(value)) if number(&value).is_some() => Ok(Choice::Version(number(&value).unwrap_or(1))),
            (Some(from), None) => Ok(Choice::Copy { from, version: None }),
            (Some(from), Some(value)) if number(&value).is_some() => Ok(Choice::Copy { from, version: number(&value) }),
            _ => {
                let sentence = "say which version is to answer: {\"version\":3}, {\"version\":\"highest\"}, or, to copy one of another \
                                model, {\"from\":\"run-1234abcd\",\"version\":3}";
                Err(Error::new(Code::Unprocessable, sentence))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_says_one_thing_or_is_refused_with_the_forms_there_are() {
        let choice = |body: Value| serde_json::from_value::<Activation>(body).unwrap().choice();
        let copy = |version| Choice::Copy { from: "run-1".into(), version };
        for (body, expected) in [
            (json!({"version": 3}), Choice::Version(3)),
            (json!({"version": "highest"}), Choice::Highest),
            (json!({"from": "run-1", "version": 3}), copy(Some(3))),
            (json!({"from": "run-1"}), copy(None)),
        ] {
            assert_eq!(choice(body).unwrap(), expected);
        }
        for body in [
            json!({}),
            json!({"version": 0}),
            json!({"version": "3"}),
            json!({"version": -1}),
            json!({"from": "a", "version": "b"}),
        ] {
            let refusal = format!("{:?}", choice(body).unwrap_err());
            assert!(refusal.contains("which version"), "{refusal}");
        }
        assert!(serde_json::from_value::<Activation>(json!({"version": 3, "form": "run-1"})).is_err());
    }
}
