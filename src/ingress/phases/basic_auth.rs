//! Basic auth (RFC 7617). An Argon2 check costs milliseconds on purpose, so it is done once per password, off the
//! worker thread; that it passed is remembered for a while under a keyed hash, never the password itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::ingress::problem::Problem;
use crate::ingress::snapshot::BasicAuth;
use crate::ingress::transaction::Transaction;
use crate::ingress::view::RequestView;

/// How long a password that passed need not be checked again.
const REMEMBER: Duration = Duration::from_secs(600);
/// Passwords remembered per route.
const MAX_REMEMBERED: usize = 1_000;
/// Checks at once per route: a flood of wrong passwords must not take all CPUs.
const MAX_CHECKS: usize = 2;
/// Longest `Authorization` looked at.
const MAX_HEADER: usize = 1_024;

/// Basic auth of one route.
#[derive(Debug)]
pub(crate) struct Guard {
    pub rules: BasicAuth,
    /// Of this process; what is remembered is worth nothing elsewhere.
    key: [u8; 32],
    passed: Mutex<HashMap<[u8; 32], Instant>>,
    checks: Arc<Semaphore>,
}

impl Guard {
    pub(crate) fn new(rules: BasicAuth) -> Self {
        let checks = Arc::new(Semaphore::new(MAX_CHECKS));
        Self { rules, key: rand::random(), passed: Mutex::default(), checks }
    }

    /// Forgets all passwords that passed.
    pub(crate) fn forget(&self) {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn digest(&self, credentials: &[u8]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(credentials);
        mac.finalize().into_bytes().into()
    }

    fn has_passed(&self, digest: &[u8; 32], now: Instant) -> bool {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.get(digest).is_some_and(|until| *until > now)
    }

    fn remember(&self, digest: [u8; 32], now: Instant) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.len() >= MAX_REMEMBERED {
            passed.retain(|_, until| *until > now);
        }
        if passed.len() < MAX_REMEMBERED {
            passed.insert(digest, now + REMEMBER);
        }
    }

    fn refusal(&self) -> Problem {
        let realm = if self.rules.realm.is_empty() { "restricted" } else { &self.rules.realm };
        Problem::unauthorized(format!("Basic realm=\"{realm}\", charset=\"UTF-8\""))
    }
}

/// Lets the request pass when name and password are right.
pub(crate) async fn check(guard: &Arc<Guard>, tx: &Transaction) -> Result<(), Problem> {
    let header = tx.header("authorization", 0).filter(|value| value.len() <= MAX_HEADER);
    let Some(credentials) = header.and_then(credentials) else { return Err(guard.refusal()) };
    let digest = guard.digest(&credentials);
    if guard.has_passed(&digest, tx.started) {
        return Ok(());
    }
    let Ok(permit) = Arc::clone(&guard.checks).acquire_owned().await else { return Err(guard.refusal()) };
    let checking = Arc::clone(guard);
    let right = tokio::task::spawn_blocking(move || {
        let right = is_right(&checking.rules, &credentials);
        drop(permit);
        right
    });
    if right.await.unwrap_or(false) {
        guard.remember(digest, Instant::now());
        Ok(())
    } else {
        Err(guard.refusal())
    }
}

/// `name:password` of the header.
fn credentials(header: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim_ascii()).ok()?;
    decoded.contains(&b':').then_some(decoded)
}

fn is_right(rules: &BasicAuth, credentials: &[u8]) -> bool {
    let Some(colon) = credentials.iter().position(|byte| *byte == b':') else { return false };
    let (name, password) = (&credentials[..colon], &credentials[colon + 1..]);
    let user = rules.users.iter().find(|user| user.name.as_bytes() == name);
    // An unknown name costs as much time as a wrong password, so that names cannot be found out.
    let known = user.or(rules.users.first()).and_then(|user| PasswordHash::new(&user.hash).ok());
    let fits = known.is_some_and(|hash| Argon2::default().verify_password(password, &hash).is_ok());
    fits && user.is_some()
}
