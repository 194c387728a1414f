//! Which of several forms of an answer a caller wants.

use axum::http::{HeaderMap, header};

/// The one of `offered` media types (`type/subtype`) that `Accept` ranks highest; the first where it has no preference.
/// Nothing acceptable gives the first, too: an answer serves a caller better than 406.
pub fn preferred<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Option<&'a str> {
    let accept: Vec<(&str, f32)> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(range)
        .collect();
    // The most specific range that covers a type decides its quality.
    let quality = |media: &str| {
        let ranks = accept.iter().filter_map(|&(range, quality)| Some((specificity(range, media)?, quality)));
        ranks.max_by_key(|&(specificity, _)| specificity).map_or(0.0, |(_, quality)| quality)
    };
    // Of equals, the one offered first.
    let best = offered.iter().rev().max_by(|a, b| quality(a).total_cmp(&quality(b)));
    best.copied()
}

fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0);
    (media, quality)
}

fn specificity(range: &str, media: &str) -> Option<u8> {
    let of_type = range.strip_suffix("/*").is_some_and(|kind| media.split('/').next() == Some(kind));
    match range {
        _ if range.eq_ignore_ascii_case(media) => Some(2),
        "*/*" => Some(0),
        _ => of_type.then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_quality_wins_and_the_first_is_the_default() {
        let offered = ["image/png", "application/json"];
        for (accept, expected) in [
            ("*/*", "image/png"),
            ("application/json", "application/json"),
            ("application/json, */*", "image/png"),
            ("application/json, */*;q=0.1", "application/json"),
            ("image/png;q=0.5, application/json;q=0.9", "application/json"),
            ("image/*, application/json;q=0.9", "image/png"),
            ("text/html", "image/png"),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(preferred(&headers, &offered), Some(expected), "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new(), &offered), Some("image/png"));
    }
}
