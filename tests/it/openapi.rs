//! `/openapi.json` and `/docs`: every route is told of, what is told is true, and the copy in `docs/` is what is served.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Server, horse};

async fn document(server: &Server) -> Value {
    server.get("/openapi.json").await.ok()
}

/// Every value of `name` anywhere in `value`.
fn all<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(map) => {
            let own = map.get(name).into_iter();
            own.chain(map.values().flat_map(|value| all(value, name))).collect()
        }
        Value::Array(list) => list.iter().flat_map(|value| all(value, name)).collect(),
        _ => Vec::new(),
    }
}

fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, op)| (path, method, op))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_told_of_with_each_of_its_methods() {
    let server = Server::start().await;
    let document = document(&server).await;
    let lacking = all(&document, "x-lacking");
    assert!(lacking.is_empty(), "src/http/openapi/ is not complete: {lacking:#?}");
    for (path, item) in document["paths"].as_object().unwrap() {
        // A method that no route has is answered with those it has.
        let somewhere = path.replace(['{', '}'], "");
        let answer = Answer::of(server.request(Method::TRACE, &somewhere)).await;
        answer.refused(405, "method_not_allowed");
        let allowed = answer.header("allow").unwrap().split(',').filter(|method| *method != "HEAD").map(str::to_lowercase);
        let told: BTreeSet<String> = item.as_object().unwrap().keys().cloned().collect();
        assert_eq!(told, allowed.collect(), "{path}: what openapi/operations.rs says, and what the router does");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_in_the_repository_is_what_is_served() {
    let server = Server::start().await;
    let served = String::from_utf8(server.get("/openapi.json").await.body).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let copy = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(copy == served, "run `WRITE_DOCS=1 cargo test --test it openapi::` and commit docs/openapi.json");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_refers_only_to_what_is_in_it_and_is_told_apart_by_ids() {
    let server = Server::start().await;
    let document = document(&server).await;
    for reference in all(&document, "$ref") {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let operations = operations(&document);
    let ids: BTreeSet<&str> = operations.iter().map(|(_, _, op)| op["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
    let tags: BTreeSet<&str> = document["tags"].as_array().unwrap().iter().filter_map(|tag| tag["name"].as_str()).collect();
    for (path, method, operation) in operations {
        assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{path}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
        let admin = operation["security"] == serde_json::json!([{"admin": []}]);
        assert_eq!(admin, path.starts_with("/admin"), "{path}");
        if admin {
            let answer = Answer::of(server.request(method.to_uppercase().parse().unwrap(), &path.replace(['{', '}'], ""))).await;
            answer.refused(401, "unauthorized");
            assert!(operation["responses"]["401"].is_object(), "{path}");
        }
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            assert!(operation["parameters"].as_array().unwrap().iter().any(|p| p["name"] == name && p["in"] == "path"), "{path}");
        }
    }
    server.stop().await;
}

/// What of `value` is not as `schema` of `document` says.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return faults(document, document.pointer(&reference[1..]).unwrap(), value, at);
    }
    if let Some(either) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array) {
        let each: Vec<Vec<String>> = either.iter().map(|one| faults(document, one, value, at)).collect();
        return if each.iter().any(Vec::is_empty) { Vec::new() } else { each.concat() };
    }
    let mut parts = vec![schema];
    let mut merged = serde_json::Map::new();
    let (mut required, mut open) = (Vec::new(), false);
    while let Some(part) = parts.pop() {
        let part = part["$ref"].as_str().map_or(part, |reference| document.pointer(&reference[1..]).unwrap());
        parts.extend(part["allOf"].as_array().into_iter().flatten());
        merged.extend(part["properties"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
        required.extend(part["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        open |= part.get("additionalProperties").is_some();
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = allowed.is_empty() || allowed.contains(&kind) || (kind == "integer" && allowed.contains(&"number"));
    let mut found = if fits { Vec::new() } else { vec![format!("{at} is {kind}, not {allowed:?}")] };
    match value {
        Value::Array(items) if schema.get("items").is_some() => {
            found.extend(items.iter().flat_map(|item| faults(document, &schema["items"], item, &format!("{at}[]"))));
        }
        Value::Object(map) if !merged.is_empty() => {
            found.extend(required.iter().filter(|name| !map.contains_key(**name)).map(|name| format!("{at}.{name} is missing")));
            for (name, value) in map {
                match merged.get(name) {
                    Some(schema) => found.extend(faults(document, schema, value, &format!("{at}.{name}"))),
                    None if open => {}
                    None => found.push(format!("{at}.{name} is not told of")),
                }
            }
        }
        _ => {}
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_the_document_says() {
    let server = Server::start().await;
    let document = document(&server).await;
    let check = |method: &str, path: &str, answer: &Answer| {
        let response = &document["paths"][path][method]["responses"][answer.status.as_str()];
        assert!(response.is_object(), "{method} {path} is answered with {}, which is not told of", answer.status);
        let faults = faults(&document, &response["content"]["application/json"]["schema"], &answer.json(), "answer");
        assert!(faults.is_empty(), "{method} {path}: {faults:#?}\n{}", answer.json());
    };
    for path in ["/models", "/layers", "/samples", "/health/live", "/health/ready"] {
        check("get", path, &server.get(path).await);
    }
    check("get", "/layers/{layer}/weights", &server.get("/layers/conv1/weights").await);
    check("post", "/classify", &server.post("/classify", horse()).await);
    check("post", "/classify", &server.post("/classify", Vec::new()).await);
    check("post", "/classify", &server.post("/classify?model=none", horse()).await);
    check("post", "/featuremaps/{layer}", &server.post("/featuremaps/conv1?format=json", horse()).await);
    check("post", "/featuremaps/{layer}", &server.post("/featuremaps/conv9", horse()).await);
    check("get", "/featuremaps/{layer}", &server.get("/featuremaps/fc4?sample=cat&format=json").await);
    check("get", "/admin/jobs", &server.get("/admin/jobs").await);
    check("get", "/admin/jobs", &server.admin(Method::GET, "/admin/jobs", None).await);
    check("get", "/admin/jobs/{id}", &server.admin(Method::GET, "/admin/jobs/none", None).await);
    let nothing = serde_json::json!({"arch": "tutorial", "data": "none"});
    check("post", "/admin/train", &server.admin(Method::POST, "/admin/train", Some(nothing)).await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let server = Server::start().await;
    let page = server.get("/docs").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let (mut bytes, html) = (page.body.len(), String::from_utf8(page.body).unwrap());
    assert!(!html.contains("://") && !html.contains("style=") && !html.contains("<style"), "inline or from elsewhere");
    for (file, media) in [("docs/docs.js", "text/javascript; charset=utf-8"), ("docs/docs.css", "text/css; charset=utf-8")] {
        assert!(html.contains(&format!("\"{file}\"")), "{file}");
        let answer = server.get(&format!("/{file}")).await;
        assert_eq!(answer.header("content-type"), Some(media));
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(!text.contains("://") && !text.contains("innerHTML"), "{file}");
        bytes += answer.body.len();
    }
    assert!(bytes < 15_000, "{bytes}");
    server.get("/docs/other.js").await.refused(404, "not_found");
    // The document, as those have it who take it compressed, and those who have it.
    let packed = server.request(Method::GET, "/openapi.json").header("accept-encoding", "gzip");
    let packed = Answer::of(packed).await;
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), (Some("gzip"), Some("accept-encoding")));
    let plain = server.get("/openapi.json").await;
    assert!(packed.body.len() * 4 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    let again = server.request(Method::GET, "/openapi.json").header("if-none-match", plain.header("etag").unwrap());
    assert_eq!(Answer::of(again).await.status.as_u16(), 304);
    server.stop().await;
}
