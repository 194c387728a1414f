//! `GET /openapi.json`: what can be asked here, for programs and for the page at `/docs`.
//!
//! Routes and the keys of their queries are the router's, schemas those of the structs that are written (`utoipa`), refusals
//! those of the error table; what each route is for is in [`operations`]. This module does not know how anything is answered.

pub mod errors;
pub mod operation;
pub mod operations;
pub mod parameters;
pub mod shapes;
mod v2;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::packed::Packed;
use super::router::Listed;
use super::state::App;

/// Marks what nobody has described; a test wants none.
pub const LACKING: &str = "x-lacking";

const ABOUT: &str = "Classifies images with convolutional networks, shows what every layer sees, and trains new networks while you \
                     watch. Errors everywhere are `{\"error\": \"a sentence that says what to do\", \"code\": \"a_word\"}`.";

/// The document, made when it is first asked for.
#[derive(Debug, Default)]
pub struct Document {
    routes: OnceLock<Vec<Listed>>,
    packed: OnceLock<Packed>,
}

impl Document {
    /// What it is about.
    pub fn know_routes(&self, routes: Vec<Listed>) {
        // The first router's: a server has one.
        let _ = self.routes.set(routes);
    }

    fn packed(&self) -> &Packed {
        self.packed.get_or_init(|| {
            let routes = self.routes.get().map(Vec::as_slice).unwrap_or_default();
            Packed::new("application/json", format!("{:#}\n", document(routes)).into_bytes())
        })
    }
}

/// The document, compressed for who takes it so.
pub async fn get(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.openapi.packed().answer(&headers)
}

/// In the order in which they are shown.
const GROUPS: [(&str, &str); 5] = [
    ("inference", "Images in, answers out."),
    ("Open Inference Protocol V2", "The same for clients of KServe and Triton."),
    ("catalog", "What there is to ask."),
    ("admin", "Training and models. Behind the admin token."),
    ("operation", "For whoever keeps it running."),
];

/// The groups that `paths` has routes of.
fn tags(paths: &Map<String, Value>) -> Vec<Value> {
    let used = |name: &str| paths.values().filter_map(Value::as_object).flat_map(Map::values).any(|op| op["tags"][0] == name);
    GROUPS.iter().filter(|(name, _)| used(name)).map(|(name, text)| json!({"name": name, "description": text})).collect()
}

fn document(routes: &[Listed]) -> Value {
    let (mut paths, mut schemas) = (Map::new(), BTreeMap::from([("Error".to_owned(), errors::schema())]));
    for route in routes {
        let text = format!("add what `{}` does to openapi/operations.rs", route.path);
        paths.insert(route.path.to_owned(), json!({LACKING: text}));
    }
    for operation in operations::operations() {
        let route = routes.iter().find(|route| route.path == operation.path);
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        match (route, item.as_object_mut()) {
            (Some(route), Some(item)) => {
                item.remove(LACKING);
                item.insert(operation.method.to_owned(), operation.document(route.keys.names()));
            }
            _ => item[LACKING] = format!("`{}` is in openapi/operations.rs and is no route", operation.path).into(),
        }
        for (name, schema) in operation.schemas {
            // A schema is plain data.
            schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Convscope",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}
        },
        // Relative to where this document is, behind any proxy.
        "servers": [{"url": "."}],
        "tags": tags(&paths),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "admin": {"type": "http", "scheme": "bearer", "description": "The server's admin token."}
            }
        }
    })
}
