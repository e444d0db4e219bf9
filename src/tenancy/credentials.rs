//! Passwords and tokens: how they are made, hashed and compared.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::kernel::random::Random;
use crate::kernel::secret::Secret;

/// Argon2id cost: 19 MiB and 2 passes, the least OWASP's password storage cheat sheet names for one lane.
/// The platform promises to stay small, so the memory is the low end and [`HASHES_AT_ONCE`] bounds its sum.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// Password hashes computed at the same time; more wait.
const HASHES_AT_ONCE: usize = 2;
static HASHING: Semaphore = Semaphore::const_new(HASHES_AT_ONCE);

/// Shortest and longest password taken, in characters.
const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 10..=256;

/// Passwords everybody tries first; the full list would not fit here, the length rule does the rest.
const TOO_COMMON: [&str; 8] = [
    "password12",
    "password123",
    "1234567890",
    "12345678910",
    "qwertyuiop",
    "qwerty12345",
    "letmein1234",
    "administrator",
];

/// Why a password was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("the password has {0} characters; use between 10 and 256")]
    Length(usize),
    /// Among those everybody tries first, or the person's own name.
    #[error("this password is too easy to guess; use several words or a password manager")]
    Common,
    /// The hash could not be computed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
}

/// Whether a password is good enough for the person with this e-mail address.
///
/// # Errors
/// When it is too short, too long or too easy to guess.
pub fn check_password(password: &str, email: &str) -> Result<(), PasswordError> {
    let length = password.chars().count();
    if !PASSWORD_LENGTH.contains(&length) {
        return Err(PasswordError::Length(length));
    }
    let lower = password.to_lowercase();
    let first = lower.chars().next();
    let monotone = lower.chars().all(|c| Some(c) == first);
    if monotone || TOO_COMMON.contains(&lower.as_str()) || lower == email.to_lowercase() {
        return Err(PasswordError::Common);
    }
    Ok(())
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("the cost is within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes a password for storage (PHC string, argon2id).
///
/// # Errors
/// When the hash cannot be computed.
pub async fn hash_password(password: &Secret<String>, random: &Random) -> Result<String, PasswordError> {
    let _turn = HASHING.acquire().await;
    let (password, salt) = (password.clone(), random.bytes::<16>());
    tokio::task::spawn_blocking(move || {
        hasher()
            .hash_password_with_salt(password.expose().as_bytes(), &salt)
            .map(|hash| hash.to_string())
            .map_err(|e| PasswordError::Hash(e.to_string()))
    })
    .await
    .map_err(|e| PasswordError::Hash(e.to_string()))?
}

/// Whether the password is the one that was hashed. An unreadable hash never matches.
pub async fn verify_password(password: &Secret<String>, hash: &str) -> bool {
    let _turn = HASHING.acquire().await;
    let (password, hash) = (password.clone(), hash.to_owned());
    tokio::task::spawn_blocking(move || {
        PasswordHash::new(&hash).is_ok_and(|h| hasher().verify_password(password.expose().as_bytes(), &h).is_ok())
    })
    .await
    .unwrap_or(false)
}

/// A new API token: a prefix that secret scanners can know, then 256 random bits.
#[must_use]
pub fn new_api_token(random: &Random) -> Secret<String> {
    Secret::new(format!("wharf_{}", random.token()))
}

/// What is stored of a token. Tokens have 256 random bits, so one fast hash is enough.
#[must_use]
pub fn hash_token(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}
