//! Public SSH keys as people paste them. Pure.

use russh::keys::{Algorithm, HashAlg, PublicKey};
use thiserror::Error;

/// RSA keys below this many bits can be broken, or soon.
const MIN_RSA_BITS: u32 = 2048;
/// RSA keys above this only cost time.
const MAX_RSA_BITS: u32 = 16_384;
/// Longest line looked at, in bytes; a 16,384-bit RSA key needs about 2,800.
const MAX_LINE: usize = 8192;

/// What is worth storing of a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyInfo {
    /// `SHA256:…`, as `ssh-keygen -l` prints it; unique to the key and the thing to look it up by.
    pub fingerprint: String,
    /// `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256` and so on.
    pub algorithm: String,
    /// What follows the key; often `user@machine`.
    pub comment: String,
    /// `algorithm base64 comment`, always in the same form.
    pub line: String,
}

/// Why a text is no acceptable public key. `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Nothing was given.
    #[error("no key was given; paste the content of your .pub file, for example ~/.ssh/id_ed25519.pub")]
    Empty,
    /// A private key: it must never leave its machine.
    #[error(
        "this is a PRIVATE key and must stay on your machine. It was not stored, but it has been sent: make a new key \
         pair (ssh-keygen -t ed25519) and paste the file that ends with .pub"
    )]
    Private,
    /// More than one line.
    #[error("this has several lines; add one key at a time, each is a single line")]
    SeveralLines,
    /// Not a key, or cut off.
    #[error("this is not a whole public key in OpenSSH form (a line such as `ssh-ed25519 AAAA… you@laptop`): {0}")]
    Malformed(String),
    /// An algorithm that is not safe or not usable here.
    #[error("{0} keys are not accepted; make a new one: ssh-keygen -t ed25519")]
    Algorithm(String),
    /// RSA with too few or too many bits.
    #[error(
        "this RSA key has {0} bits; at least 2048 and at most 16384 are needed. Make a new one: ssh-keygen -t ed25519"
    )]
    RsaSize(u32),
}

/// Reads one public key: ed25519 and ECDSA (also on security keys), or RSA with at least 2048 bits.
///
/// # Errors
/// A sentence that says what was pasted and what to paste instead.
pub fn parse_public_key(text: &str) -> Result<PublicKeyInfo, KeyError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    if text.contains("PRIVATE KEY") || text.starts_with("PuTTY-User-Key-File") {
        return Err(KeyError::Private);
    }
    if text.starts_with("---- BEGIN SSH2") {
        return Err(KeyError::Malformed("it is in SSH2 form; convert it with: ssh-keygen -i -f KEYFILE".to_owned()));
    }
    if text.lines().count() > 1 {
        return Err(KeyError::SeveralLines);
    }
    if text.len() > MAX_LINE {
        return Err(KeyError::Malformed(format!("it has {} characters", text.len())));
    }
    if text.starts_with("ssh-dss") {
        return Err(KeyError::Algorithm("DSA".to_owned()));
    }
    let key = PublicKey::from_openssh(text).map_err(|e| KeyError::Malformed(e.to_string()))?;
    describe(&key)
}

/// What is worth knowing of a key that was parsed already.
///
/// # Errors
/// What [`parse_public_key`] refuses.
pub fn describe(key: &PublicKey) -> Result<PublicKeyInfo, KeyError> {
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {}
        Algorithm::Rsa { .. } => check_rsa(key)?,
        Algorithm::Dsa => return Err(KeyError::Algorithm("DSA".to_owned())),
        other => return Err(KeyError::Algorithm(other.to_string())),
    }
    let comment: String =
        String::from_utf8_lossy(key.comment().as_bytes()).chars().filter(|c| !c.is_control()).collect();
    let comment = comment.trim();
    // The comment is left out here and added after cleaning, so that the line is always one line.
    let mut bare = key.clone();
    bare.set_comment("");
    let line = bare.to_openssh().map_err(|e| KeyError::Malformed(e.to_string()))?;
    Ok(PublicKeyInfo {
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        algorithm: key.algorithm().to_string(),
        line: format!("{} {comment}", line.trim()).trim().to_owned(),
        comment: comment.to_owned(),
    })
}

fn check_rsa(key: &PublicKey) -> Result<(), KeyError> {
    let bits = key.key_data().rsa().map_or(0, |rsa| rsa.key_size());
    if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) { Ok(()) } else { Err(KeyError::RsaSize(bits)) }
}
