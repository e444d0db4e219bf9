//! Encryption at rest: a master key in a file wraps one data key per tenant, and that seals the tenant's values
//! (XChaCha20-Poly1305). Each sealed value is bound to where it stands, so that it cannot be moved to another row.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use thiserror::Error;

use crate::kernel::id::TenantId;
use crate::kernel::random::Random;
use crate::kernel::secret::Secret;

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
/// First byte of each sealed value: the format, so that it can change later.
const FORMAT: u8 = 1;

/// Why a value could not be sealed or opened.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The key file cannot be used.
    #[error("cannot use the master key {path}: {reason}")]
    KeyFile { path: String, reason: String },
    /// A sealed value was made with another key, moved, or changed.
    #[error("a sealed value cannot be opened: it was made with another master key, or it was altered")]
    Unreadable,
}

/// Holds the master key.
#[derive(Debug, Clone)]
pub struct Vault {
    master: Secret<[u8; KEY_BYTES]>,
    random: Random,
}

/// A tenant's own key, opened.
#[derive(Debug, Clone)]
pub struct TenantKey {
    key: Secret<[u8; KEY_BYTES]>,
    tenant: TenantId,
    random: Random,
}

impl Vault {
    /// Reads the master key, or makes it when there is none and `may_create` (a first start) says so.
    ///
    /// # Errors
    /// When the file is missing although there is state that needs it, can be read by others, or has a wrong size.
    pub fn open(path: &Path, may_create: bool, random: &Random) -> Result<Self, VaultError> {
        let problem = |reason: String| VaultError::KeyFile { path: path.display().to_string(), reason };
        if !path.exists() {
            if !may_create {
                return Err(problem(
                    "it is missing, and without it the stored secrets are lost; restore it from your backup".to_owned(),
                ));
            }
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(|e| problem(e.to_string()))?;
            file.write_all(&random.bytes::<KEY_BYTES>())
                .and_then(|()| file.sync_all())
                .map_err(|e| problem(e.to_string()))?;
        }
        let mode = std::fs::metadata(path).map_err(|e| problem(e.to_string()))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(problem(format!("its mode is {:o}, others may read it; run: chmod 600 on it", mode & 0o777)));
        }
        let bytes = std::fs::read(path).map_err(|e| problem(e.to_string()))?;
        let key = <[u8; KEY_BYTES]>::try_from(bytes)
            .map_err(|b| problem(format!("it has {} bytes instead of {KEY_BYTES}", b.len())))?;
        Ok(Self { master: Secret::new(key), random: random.clone() })
    }

    /// Seals a value of the platform itself for one place (`certificate/crt_…`).
    #[must_use]
    pub fn seal(&self, place: &str, value: &[u8]) -> Vec<u8> {
        seal(self.master.expose(), &platform_aad(place), value, &self.random)
    }

    /// Opens a value of the platform sealed for that place.
    ///
    /// # Errors
    /// When it was sealed with another master key or for another place, or altered.
    pub fn open_value(&self, place: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        open(self.master.expose(), &platform_aad(place), sealed).map(Secret::new)
    }

    /// Makes a data key for a new tenant; gives it wrapped, as it is stored.
    #[must_use]
    pub fn new_tenant_key(&self, tenant: &TenantId) -> Vec<u8> {
        let key = Secret::new(self.random.bytes::<KEY_BYTES>());
        seal(self.master.expose(), &aad(tenant, "tenant-key"), key.expose(), &self.random)
    }

    /// Unwraps a tenant's data key.
    ///
    /// # Errors
    /// When it was wrapped with another master key or for another tenant.
    pub fn tenant_key(&self, tenant: &TenantId, sealed: &[u8]) -> Result<TenantKey, VaultError> {
        let bytes = open(self.master.expose(), &aad(tenant, "tenant-key"), sealed)?;
        let key = <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| VaultError::Unreadable)?;
        Ok(TenantKey { key: Secret::new(key), tenant: tenant.clone(), random: self.random.clone() })
    }
}

impl TenantKey {
    /// Seals a value for one place (`config/env_…/3`).
    #[must_use]
    pub fn seal(&self, place: &str, value: &[u8]) -> Vec<u8> {
        seal(self.key.expose(), &aad(&self.tenant, place), value, &self.random)
    }

    /// Opens a value sealed for that place.
    ///
    /// # Errors
    /// When it was sealed for another place or tenant, or altered.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        open(self.key.expose(), &aad(&self.tenant, place), sealed)
    }
}

/// The context a value is bound to; lengths are written out, so that no two contexts look alike.
fn aad(tenant: &TenantId, place: &str) -> Vec<u8> {
    format!("{}:{}|{}:{}", tenant.as_str().len(), tenant, place.len(), place).into_bytes()
}

/// The same for values of the platform; no tenant's context begins with a letter.
fn platform_aad(place: &str) -> Vec<u8> {
    format!("platform|{}:{}", place.len(), place).into_bytes()
}

fn seal(key: &[u8; KEY_BYTES], aad: &[u8], value: &[u8], random: &Random) -> Vec<u8> {
    let nonce = random.bytes::<NONCE_BYTES>();
    let cipher = XChaCha20Poly1305::new(&Key::from(*key));
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: value, aad })
        .expect("values are far below the cipher's 256 GiB limit");
    let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
    out.push(FORMAT);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    out
}

fn open(key: &[u8; KEY_BYTES], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (format, rest) = sealed.split_first().ok_or(VaultError::Unreadable)?;
    let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Unreadable)?;
    if *format != FORMAT {
        return Err(VaultError::Unreadable);
    }
    let cipher = XChaCha20Poly1305::new(&Key::from(*key));
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: body, aad }).map_err(|_| VaultError::Unreadable)
}
