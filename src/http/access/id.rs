//! What a request is called: what its caller calls it, or a name of ours.

use std::cell::RefCell;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{Rng, SeedableRng};
use uuid::Builder;

/// The header of a request's id, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A caller's own id, if it is short and plain: it is written to the log.
pub fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let id = headers.get(REQUEST_ID)?;
    ((1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain)).then(|| id.clone())
}

/// A new one: a random UUID, drawn without a system call.
pub fn new() -> HeaderValue {
    thread_local! {
        static RANDOM: RefCell<Option<ChaCha8Rng>> = RefCell::new(ChaCha8Rng::try_from_rng(&mut SysRng).ok());
    }
    let drawn = RANDOM.with_borrow_mut(|random| {
        random.as_mut().map(|random| {
            let mut bytes = [0; 16];
            random.fill_bytes(&mut bytes);
            Builder::from_random_bytes(bytes).into_uuid()
        })
    });
    // Where the system had no seed to give it may have a number by now.
    let id = drawn.unwrap_or_else(uuid::Uuid::new_v4);
    // Hexadecimal digits and dashes always make a header.
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut [0; 36])).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_ours_are_uuids_and_never_the_same() {
        let draw = || (0..1000).map(|_| new()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let ids: HashSet<HeaderValue> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 4000);
        for id in ids {
            assert_eq!(uuid::Uuid::parse_str(id.to_str().unwrap()).unwrap().get_version_num(), 4);
        }
    }
}
