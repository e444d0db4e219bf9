//! `Idempotency-Key`: a request sent twice is carried out once.
//!
//! A client that lost the connection cannot know whether its request arrived, so it sends it again with the same key and
//! gets the answer of the first time, marked `Idempotency-Replayed: true`. Only successes are remembered, since a refusal
//! changed nothing. A key belongs to a person, a path and a query; it is kept for a day, in memory only: after a restart
//! of the control plane the rule that one operation changes an app at a time still holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};

use super::access::Me;
use super::problem::Problem;
use crate::kernel::clock::{Clock, Timestamp};

/// The header that carries the key.
pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Keys remembered at most, and for how long.
const MOST: usize = 1_000;
const KEEP_MS: i64 = 24 * 3600 * 1000;
/// The largest answer remembered, in bytes.
const LARGEST: usize = 64 * 1024;
/// The longest key, in characters.
const LONGEST_KEY: usize = 200;

/// Whose key: a person, the path with its query, and the word they chose.
type Key = (String, String, String);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    body: Bytes,
}

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Running,
    Done(Answer),
}

/// The keys. Pure: time comes in.
#[derive(Debug, Default)]
struct Memory {
    keys: BTreeMap<Key, (Timestamp, Known)>,
}

impl Memory {
    /// What is known of a key; when nothing is, it is now running.
    fn begin(&mut self, key: &Key, now: Timestamp) -> Option<Known> {
        self.keys.retain(|_, (since, _)| now.since_ms(*since) < KEEP_MS);
        if let Some((_, known)) = self.keys.get(key) {
            return Some(known.clone());
        }
        if self.keys.len() >= MOST
            && let Some(oldest) = self.keys.iter().min_by_key(|(_, (since, _))| *since).map(|(k, _)| k.clone())
        {
            self.keys.remove(&oldest);
        }
        self.keys.insert(key.clone(), (now, Known::Running));
        None
    }

    /// Remembers a success, forgets everything else.
    fn end(&mut self, key: &Key, answer: Option<Answer>) {
        match (answer, self.keys.get_mut(key)) {
            (Some(answer), Some((_, known))) => *known = Known::Done(answer),
            (None, _) => {
                self.keys.remove(key);
            }
            (Some(_), None) => {}
        }
    }
}

/// The memory of one API; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Idempotency {
    memory: Arc<Mutex<Memory>>,
    clock: Clock,
}

impl Idempotency {
    pub(super) fn new(clock: Clock) -> Self {
        Self { memory: Arc::new(Mutex::new(Memory::default())), clock }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a key whose request neither succeeded nor failed but broke off.
struct Started {
    idempotency: Idempotency,
    key: Key,
    answer: Option<Answer>,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.idempotency.memory().end(&self.key, self.answer.take());
    }
}

/// The layer around handlers that make operations.
pub(super) async fn once(State(idempotency): State<Idempotency>, request: Request, next: Next) -> Response {
    let key = match key_of(&request) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(problem) => return problem.into_response(),
    };
    let known = idempotency.memory().begin(&key, idempotency.clock.now());
    match known {
        Some(Known::Done(answer)) => replay(answer),
        Some(Known::Running) => {
            let detail = "a request with this Idempotency-Key is still being carried out; ask again in a moment";
            Problem::new(StatusCode::CONFLICT, "in-progress", detail).into_response()
        }
        None => {
            let started = Started { idempotency, key, answer: None };
            // On a task of its own, so that it is carried through when the client goes away, which is what keys are for.
            tokio::spawn(run(started, request, next)).await.unwrap_or_else(|e| {
                Problem::internal("the platform failed to answer this request", e.to_string()).into_response()
            })
        }
    }
}

async fn run(mut started: Started, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    let (parts, body) = response.into_parts();
    match to_bytes(body, LARGEST).await {
        Ok(body) => {
            started.answer = Some(Answer { status: parts.status, body: body.clone() });
            Response::from_parts(parts, Body::from(body))
        }
        Err(e) => Problem::internal("the answer could not be made", e.to_string()).into_response(),
    }
}

fn key_of(request: &Request) -> Result<Option<Key>, Problem> {
    let Some(value) = request.headers().get(HEADER) else { return Ok(None) };
    let word = value.to_str().ok().filter(|w| (1..=LONGEST_KEY).contains(&w.len()));
    let word = word.ok_or_else(|| {
        Problem::malformed(format!("Idempotency-Key must have 1 to {LONGEST_KEY} printable ASCII characters"))
    })?;
    let who = request.extensions().get::<Me>().map(|Me(who)| who.user.to_string());
    Ok(who.map(|who| (who, request.uri().to_string(), word.to_owned())))
}

fn replay(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::{Answer, KEEP_MS, Key, Known, MOST, Memory};
    use crate::kernel::clock::Timestamp;

    fn key(n: usize) -> Key {
        ("usr_1".to_owned(), "/restart".to_owned(), n.to_string())
    }

    fn answer() -> Answer {
        Answer { status: http::StatusCode::ACCEPTED, body: bytes::Bytes::from_static(b"{}") }
    }

    #[test]
    fn a_success_is_replayed_and_a_failure_is_tried_again() {
        let (mut memory, now) = (Memory::default(), Timestamp(0));
        assert_eq!(memory.begin(&key(1), now), None);
        assert_eq!(memory.begin(&key(1), now), Some(Known::Running));
        memory.end(&key(1), Some(answer()));
        assert_eq!(memory.begin(&key(1), now), Some(Known::Done(answer())));
        assert_eq!(memory.begin(&key(2), now), None);
        memory.end(&key(2), None);
        assert_eq!(memory.begin(&key(2), now), None);
        assert_eq!(memory.begin(&key(1), now.plus_ms(KEEP_MS)), None, "forgotten after a day");
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes_first() {
        let mut memory = Memory::default();
        for n in 0..=MOST {
            assert_eq!(memory.begin(&key(n), Timestamp(i64::try_from(n).expect("small"))), None);
        }
        assert_eq!(memory.keys.len(), MOST);
        let now = Timestamp(5_000);
        assert_eq!(memory.begin(&key(MOST), now), Some(Known::Running));
        assert_eq!(memory.begin(&key(0), now), None);
    }
}
