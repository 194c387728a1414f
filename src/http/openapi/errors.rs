//! The error table, for people: every row of it with what it means.

use serde_json::{Map, Value, json};

use crate::http::error::Code;

/// Every code, in the order of the statuses. A test holds it to `error.rs`: a new row there needs a line here.
pub const MEANINGS: &[(Code, &str)] = &[
    (Code::BadRequest, "The body, the path or a header cannot be read."),
    (Code::BadQuery, "A query key or its value is wrong."),
    (Code::NoImage, "There is no image in the request."),
    (Code::BadImage, "The bytes are of a format that is read, and broken."),
    (Code::Unauthorized, "No admin token, or not this server's."),
    (Code::Forbidden, "Something this server allows nobody."),
    (Code::NotFound, "No such path."),
    (Code::UnknownModel, "No such model or version; the sentence names those there are."),
    (Code::UnknownLayer, "No such layer; the sentence names those there are."),
    (Code::UnknownSample, "No such sample image."),
    (Code::UnknownDataset, "No such dataset."),
    (Code::UnknownJob, "No such training run."),
    (Code::MethodNotAllowed, "The path exists, the method does not: see the `Allow` header."),
    (Code::RequestTimeout, "The request did not arrive in time."),
    (Code::Conflict, "It cannot be done in the present state."),
    (Code::BodyTooLarge, "The body has more bytes than are allowed."),
    (Code::ImageTooLarge, "The image has more pixels than are allowed, or needs more memory."),
    (Code::TooManyImages, "More images than can ever be taken at once."),
    (Code::UriTooLong, "A longer address than is read."),
    (Code::UnsupportedImage, "The bytes are of a format that is not read."),
    (Code::Unprocessable, "Readable, and contradictory or out of range."),
    (Code::QueueFull, "Every place is taken: try again after the time that the headers say."),
    (Code::HeadersTooLarge, "More headers, or larger ones, than are read."),
    (Code::Internal, "A failure of the server's: its log has the cause under the answer's `x-request-id`."),
    (Code::NotReady, "No model is ready."),
    (Code::Stopping, "The server is stopping: another may take its place."),
    (Code::TimedOut, "The deadline passed before the answer was ready."),
    (Code::NoRoom, "The disk is full."),
];

/// What a code means; nothing of one that has no line here.
pub fn meaning(code: Code) -> &'static str {
    MEANINGS.iter().find(|(known, _)| *known == code).map_or("", |(_, meaning)| meaning)
}

/// The answers of `codes`, by status.
pub fn responses(codes: &[Code]) -> Map<String, Value> {
    let mut responses = Map::new();
    for &code in codes {
        let (word, status) = code.row();
        let line = format!("- `{word}`: {}", meaning(code));
        let response = responses.entry(status.as_str()).or_insert_with(|| {
            let mut response = json!({
                "description": status.canonical_reason().unwrap_or_default(),
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
            });
            if matches!(status.as_u16(), 429 | 503) {
                response["headers"] = json!({
                    "retry-after": {"schema": {"type": "integer"}, "description": "Seconds until a place is likely to be free."},
                    "retry-after-ms": {"schema": {"type": "integer"}, "description": "The same in milliseconds."}
                });
            }
            response
        });
        let text = response["description"].as_str().unwrap_or_default();
        let gap = if text.contains("\n- ") { "\n" } else { "\n\n" };
        response["description"] = format!("{text}{gap}{line}").into();
    }
    responses
}

/// The body of every refusal.
pub fn schema() -> Value {
    let codes: Vec<&str> = MEANINGS.iter().map(|(code, _)| code.row().0).collect();
    let table = MEANINGS.iter().map(|&(code, meaning)| {
        let (word, status) = code.row();
        json!({"code": word, "status": status.as_u16(), "meaning": meaning})
    });
    json!({
        "type": "object",
        "description": "A refusal. A client branches on `code`; the sentence is for people and may change.",
        "required": ["error", "code"],
        "properties": {
            "error": {"type": "string", "description": "A sentence that says what to do."},
            "code": {"type": "string", "enum": codes}
        },
        "x-table": table.collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_has_exactly_the_rows_of_error_rs() {
        let source = include_str!("../error.rs");
        let rows = source.lines().filter(|line| line.contains("=> (\"") && line.contains("StatusCode::"));
        let rows: BTreeSet<&str> = rows.filter_map(|line| line.split('"').nth(1)).collect();
        let here: BTreeSet<&str> = MEANINGS.iter().map(|(code, _)| code.row().0).collect();
        assert_eq!(here, rows, "every row of `Code::row` has its line in MEANINGS, once");
        assert_eq!(MEANINGS.len(), rows.len());
        let statuses: Vec<u16> = MEANINGS.iter().map(|(code, _)| code.row().1.as_u16()).collect();
        assert!(statuses.is_sorted(), "{statuses:?}");
    }
}
