//! The account with an authority: made once, kept sealed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};

use super::http::{Client, Pace};
use super::{OrderFailure, failed};
use crate::certificates::handle::Parts;
use crate::certificates::settings::ExternalAccount;
use crate::certificates::store;
use crate::store::StoreError;

/// The account of this directory; makes one when there is none.
pub(super) async fn open(parts: &Parts, pace: &Pace) -> Result<Account, OrderFailure> {
    let directory = &parts.acme.directory;
    let place = format!("acme-account/{directory}");
    let client = Box::new(Client::new(parts, pace)?);
    let builder = Account::builder_with_http(client);
    if let Some(sealed) = store::account(&parts.store, directory).await? {
        let opened = parts.vault.open_value(&place, &sealed).map_err(|e| OrderFailure::new(e.to_string()))?;
        let credentials: AccountCredentials = serde_json::from_slice(opened.expose())
            .map_err(|e| OrderFailure::new(format!("the stored account cannot be read: {e}")))?;
        return builder.from_credentials(credentials).await.map_err(|e| unreachable(directory, &e));
    }
    let contact = parts.acme.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: parts.acme.agree_to_terms,
        only_return_existing: false,
    };
    let external = parts.acme.external_account.as_ref().map(external_key).transpose()?;
    let made = builder.create(&new, directory.clone(), external.as_ref()).await;
    let (account, credentials) = made.map_err(|e| unreachable(directory, &e))?;
    let text = serde_json::to_vec(&credentials)
        .map_err(|e| OrderFailure::new(format!("the account cannot be written: {e}")))?;
    let sealed = parts.vault.seal(&place, &text);
    let mut tx = parts.store.write().await?;
    let email = parts.acme.email.clone().unwrap_or_default();
    store::put_account(&mut tx, directory, &email, &sealed, parts.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    tracing::info!(directory, "an account with the certificate authority was made");
    Ok(account)
}

fn unreachable(directory: &str, error: &instant_acme::Error) -> OrderFailure {
    failed(&format!("the authority at {directory} gave no account"), error)
}

fn external_key(external: &ExternalAccount) -> Result<ExternalAccountKey, OrderFailure> {
    let path = external.hmac_key_file.display();
    let text = std::fs::read_to_string(&external.hmac_key_file)
        .map_err(|e| OrderFailure::new(format!("acme.external_account.hmac_key_file {path} cannot be read: {e}")))?;
    let key = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).map_err(|_| {
        OrderFailure::new(format!("acme.external_account.hmac_key_file {path} holds no key in base64url"))
    })?;
    Ok(ExternalAccountKey::new(external.kid.clone(), &key))
}
