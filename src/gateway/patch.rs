//! Changes of settings as JSON merge patches (RFC 7396). Pure: passwords are hashed by the caller, in between.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a change was refused: the field, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    /// Path of the field, as in `rate_limit.requests`.
    pub field: String,
    pub sentence: String,
}

/// Shortest password of basic auth.
const SHORTEST_PASSWORD: usize = 8;
/// Longest one; hashing more than this is only work.
const LONGEST_PASSWORD: usize = 256;

/// The settings after a change; `null` takes away. Passwords in the change were replaced before, see [`passwords`].
///
/// # Errors
/// When what comes out is no settings; the refusal names the field.
pub fn apply<T: Serialize + DeserializeOwned>(before: &T, change: Value) -> Result<T, Refusal> {
    if !change.is_object() {
        return Err(refuse("body", "a change is a JSON object; `null` takes a setting away"));
    }
    let mut value = serde_json::to_value(before).map_err(|error| refuse("body", error))?;
    merge(&mut value, change);
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        refuse(&field.clone(), format!("`{field}`: {}", error.into_inner()))
    })
}

fn merge(into: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *into = change;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = into else { return };
    for (name, value) in change {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// The users whose passwords a change sets, to be replaced by their hashes. `settings` is the part of the change that
/// holds `basic_auth`.
///
/// # Errors
/// When a name or password cannot be used, or a hash is given instead of a password.
pub fn passwords(settings: &mut Value) -> Result<Vec<(String, &mut Value, String)>, Refusal> {
    let Some(users) = settings.pointer_mut("/basic_auth/users").and_then(Value::as_object_mut) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (name, user) in users.iter_mut().filter(|(_, user)| !user.is_null()) {
        let field = format!("basic_auth.users.{name}");
        if name.is_empty() || name.len() > 64 || name.contains(|c: char| c == ':' || c.is_control()) {
            return Err(refuse(&field, "a name has 1 to 64 characters and no colon"));
        }
        // A hash made elsewhere could be made to cost minutes at each visit.
        if user.get("hash").is_some() {
            return Err(refuse(&field, "send the password; it is hashed here"));
        }
        let Some(password) = user.get("password").and_then(Value::as_str).map(str::to_owned) else {
            return Err(refuse(&field, format!("`{name}` needs a password: {{\"password\": \"…\"}}")));
        };
        if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&password.len()) {
            let sentence = format!("a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} bytes");
            return Err(refuse(&field, sentence));
        }
        found.push((name.clone(), user, password));
    }
    Ok(found)
}

fn refuse(field: &str, sentence: impl ToString) -> Refusal {
    Refusal { field: field.to_owned(), sentence: sentence.to_string() }
}
