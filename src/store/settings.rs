//! Facts about the installation itself: a few named values.

use super::{Store, StoreError, Write};

/// The value of a setting.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(store: &Store, key: &str) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT value FROM settings WHERE key = ?", key).fetch_optional(store.read()).await?)
}

/// Sets a value, replacing an older one.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Write, key: &str, value: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        key,
        value
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes a value; gives back whether it was there with this very value, so that one-time secrets can be spent once.
///
/// # Errors
/// When the database cannot be written.
pub async fn take(tx: &mut Write, key: &str, value: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!("DELETE FROM settings WHERE key = ? AND value = ?", key, value).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}
