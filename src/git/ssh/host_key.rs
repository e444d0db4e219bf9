//! The key by which clients recognise this server.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;

use crate::kernel::random::Random;
use crate::kernel::secret::Secret;

/// Reads the host key; makes it, readable by this user only, if there is none yet.
pub(super) fn load_or_make(path: &Path, random: &Random) -> Result<PrivateKey, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = Secret::new(text);
            PrivateKey::from_openssh(text.expose())
                .map_err(|e| format!("it is not a private key in OpenSSH form ({e}); restore it from a backup, or remove it to make a new one"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path, random).map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn make(path: &Path, random: &Random) -> std::io::Result<PrivateKey> {
    let seed = Secret::new(random.bytes::<32>());
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(seed.expose()));
    key.set_comment("wharf");
    let text = key.to_openssh(LineEnding::LF).map_err(std::io::Error::other)?;
    let parent = path.parent().ok_or_else(|| std::io::Error::other("it has no directory"))?;
    // Written aside and renamed, so that a crash leaves no half of a key. Temporary files are private from the start.
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let first = load_or_make(&path, &Random::seeded(1)).unwrap();
        let again = load_or_make(&path, &Random::seeded(2)).unwrap();
        assert_eq!(first.public_key().key_data(), again.public_key().key_data());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(load_or_make(&path, &Random::seeded(3)).unwrap_err().contains("restore it from a backup"));
    }
}
