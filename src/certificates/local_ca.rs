//! This installation's own certificate authority, for names that lead to this machine only. It lies in the data
//! directory: `certs/local-ca.pem` for whoever wants to trust it, `certs/local-ca.key` (0600, sealed with the master key).

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::error::CertificateError;
use super::model::Material;
use crate::kernel::clock::Timestamp;
use crate::kernel::secret::Secret;
use crate::tenancy::vault::Vault;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Days the authority itself holds: ten years.
const CA_DAYS: i64 = 3650;
/// Days its certificates hold; Apple's systems refuse those of private authorities beyond 825.
const LEAF_DAYS: i64 = 397;
/// Where the key is sealed for.
const PLACE: &str = "local-ca-key";

/// The authority, opened.
#[derive(Debug, Clone)]
pub(super) struct LocalCa {
    pem: String,
    key_pem: Secret<String>,
}

impl LocalCa {
    /// Opens the authority of this data directory, or makes it when there is none.
    ///
    /// # Errors
    /// When its files cannot be read or written, or were sealed with another master key.
    pub(super) fn open(data: &Path, vault: &Vault, name: &str, now: Timestamp) -> Result<Self, CertificateError> {
        let folder = data.join("certs");
        let (pem_path, key_path) = (folder.join("local-ca.pem"), folder.join("local-ca.key"));
        if !key_path.exists() {
            let made = make(name, now)?;
            write(&folder, &key_path, &vault.seal(PLACE, made.key_pem.expose().as_bytes()), 0o600)?;
            write(&folder, &pem_path, made.pem.as_bytes(), 0o644)?;
            return Ok(made);
        }
        let unusable = |path: &Path, reason: String| CertificateError::File { path: path.to_owned(), reason };
        let sealed = std::fs::read(&key_path).map_err(|e| unusable(&key_path, e.to_string()))?;
        let key = vault.open_value(PLACE, &sealed)?;
        let key_pem = Secret::new(String::from_utf8_lossy(key.expose()).into_owned());
        let pem = match std::fs::read_to_string(&pem_path) {
            Ok(pem) => pem,
            // Made anew from the key: it differs in its dates, so whoever trusts the old one has to trust this one too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = certificate_of(&key_pem, name, now)?;
                write(&folder, &pem_path, pem.as_bytes(), 0o644)?;
                pem
            }
            Err(error) => return Err(unusable(&pem_path, error.to_string())),
        };
        Ok(Self { pem, key_pem })
    }

    /// Its own certificate, which browsers and programs are told to trust.
    #[must_use]
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Makes a certificate for these names.
    ///
    /// # Errors
    /// When a name is no host name.
    pub(super) fn issue(&self, names: &[String], now: Timestamp) -> Result<Material, CertificateError> {
        let issuer_key = KeyPair::from_pem(self.key_pem.expose()).map_err(made_wrong)?;
        let issuer = Issuer::from_ca_cert_pem(&self.pem, issuer_key).map_err(made_wrong)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(made_wrong)?;
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("wharf", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        in_force(&mut params, now, LEAF_DAYS);
        let key = KeyPair::generate().map_err(made_wrong)?;
        let certificate = params.signed_by(&key, &issuer).map_err(made_wrong)?;
        let key_pem = Secret::new(key.serialize_pem());
        Ok(Material { chain_pem: certificate.pem(), key_pem })
    }
}

fn made_wrong(error: rcgen::Error) -> CertificateError {
    CertificateError::Make(error.to_string())
}

fn make(name: &str, now: Timestamp) -> Result<LocalCa, CertificateError> {
    let key = KeyPair::generate().map_err(made_wrong)?;
    let key_pem = Secret::new(key.serialize_pem());
    Ok(LocalCa { pem: certificate_of(&key_pem, name, now)?, key_pem })
}

fn certificate_of(key_pem: &Secret<String>, name: &str, now: Timestamp) -> Result<String, CertificateError> {
    let key = KeyPair::from_pem(key_pem.expose()).map_err(made_wrong)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Wharf local authority {name}"));
    params.distinguished_name.push(DnType::OrganizationName, "Wharf");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    in_force(&mut params, now, CA_DAYS);
    Ok(params.self_signed(&key).map_err(made_wrong)?.pem())
}

/// From the day before, for clocks that are a little slow, for so many days.
fn in_force(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let day = |at: Timestamp| {
        let date = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(now.plus_ms(-DAY_MS));
    params.not_after = day(now.plus_ms(days * DAY_MS));
}

/// Writes a file whole or not at all.
fn write(folder: &Path, path: &PathBuf, bytes: &[u8], mode: u32) -> Result<(), CertificateError> {
    let draft = path.with_extension("new");
    let work = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    work().map_err(|error| CertificateError::File { path: path.clone(), reason: error.to_string() })
}
