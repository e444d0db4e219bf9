//! The settings of the gateway as they are typed: `rate-limit=100/1m`, `allow=10.0.0.0/8,203.0.113.7`. Pure: words to a
//! JSON merge patch, and back to lines.

use serde_json::{Map, Value, json};

/// A setting: how it is typed, what it holds, and what is read.
struct Key {
    word: &'static str,
    /// Path in the settings.
    path: &'static [&'static str],
    kind: Kind,
    /// Only of the platform.
    of_platform: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    /// `on`, `off`, or the message.
    Maintenance,
    List,
    Rate,
    Address,
    Word,
    Switch,
    Bytes,
    Seconds,
    Number,
}

const KEYS: [Key; 20] = [
    app("maintenance", &["maintenance"], Kind::Maintenance),
    app("allow", &["allow"], Kind::List),
    app("deny", &["deny"], Kind::List),
    app("realm", &["basic_auth", "realm"], Kind::Word),
    app("rate-limit", &["rate_limit"], Kind::Rate),
    app("redirect", &["redirect"], Kind::Address),
    app("robots", &["robots"], Kind::Word),
    app("compression", &["compression"], Kind::Switch),
    app("max-body", &["max_body_bytes"], Kind::Bytes),
    app("request-timeout", &["request_timeout_seconds"], Kind::Seconds),
    app("sticky", &["sticky"], Kind::Switch),
    app("balance", &["balance"], Kind::Word),
    app("protocol", &["protocol"], Kind::Word),
    platform("trusted-proxies", &["trusted_proxies"], Kind::List),
    platform("proxy-protocol-from", &["proxy_protocol_from"], Kind::List),
    platform("max-connections", &["max_connections"], Kind::Number),
    platform("max-connections-per-address", &["max_connections_per_address"], Kind::Number),
    platform("keep-alive", &["keep_alive_seconds"], Kind::Seconds),
    platform("shed-cpu-percent", &["shed_cpu_percent"], Kind::Number),
    platform("access-log", &["access_log"], Kind::Word),
];

/// Settings by name: `response-header.x-frame-options=DENY`.
const FAMILIES: [(&str, &str); 3] =
    [("request-header.", "request_headers"), ("response-header.", "response_headers"), ("error-page.", "error_pages")];

const fn app(word: &'static str, path: &'static [&'static str], kind: Kind) -> Key {
    Key { word, path, kind, of_platform: false }
}

const fn platform(word: &'static str, path: &'static [&'static str], kind: Kind) -> Key {
    Key { word, path, kind, of_platform: true }
}

/// Where a word leads, and what it takes; `None` for a member of a family.
fn find(word: &str, for_platform: bool) -> Result<(Vec<String>, Option<Kind>), String> {
    let defaults = |path: Vec<String>, of_platform: bool| {
        let below = (for_platform && !of_platform).then(|| "defaults".to_owned());
        below.into_iter().chain(path).collect::<Vec<String>>()
    };
    for (prefix, member) in FAMILIES {
        if let Some(name) = word.strip_prefix(prefix).filter(|name| !name.is_empty()) {
            return Ok((defaults(vec![member.to_owned(), name.to_owned()], false), None));
        }
    }
    match KEYS.iter().find(|key| key.word == word) {
        Some(key) if key.of_platform && !for_platform => {
            Err(format!("`{word}` is a setting of the whole platform: add --platform (operators)"))
        }
        Some(key) => {
            Ok((defaults(key.path.iter().map(ToString::to_string).collect(), key.of_platform), Some(key.kind)))
        }
        None => Err(format!("there is no setting `{word}`; there are {}", words(for_platform))),
    }
}

fn words(for_platform: bool) -> String {
    let known = KEYS.iter().filter(|key| for_platform || !key.of_platform).map(|key| key.word.to_owned());
    known.chain(FAMILIES.iter().map(|(prefix, _)| format!("{prefix}NAME"))).collect::<Vec<_>>().join(", ")
}

/// The change that sets these: `KEY=VALUE`. `read` gives the content of a file (`@FILE`).
pub(super) fn set(
    pairs: &[String],
    for_platform: bool,
    read: impl Fn(&str) -> Result<String, String>,
) -> Result<Value, String> {
    let mut change = Value::Object(Map::new());
    for pair in pairs {
        let (word, text) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is no KEY=VALUE"))?;
        let (path, kind) = find(word, for_platform)?;
        let text = match text.strip_prefix('@') {
            Some(file) => read(file)?,
            None => text.to_owned(),
        };
        let value = match kind {
            None => Value::String(text),
            Some(kind) => value(kind, &text).map_err(|why| format!("`{pair}`: {why}"))?,
        };
        put(&mut change, &path, value);
    }
    Ok(change)
}

/// The change that takes these away.
pub(super) fn unset(words: &[String], for_platform: bool) -> Result<Value, String> {
    let mut change = Value::Object(Map::new());
    for word in words {
        let path = if word == "users" { vec!["basic_auth".to_owned()] } else { find(word, for_platform)?.0 };
        put(&mut change, &path, Value::Null);
    }
    Ok(change)
}

fn put(into: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *into = value;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    put(&mut into[first.as_str()], rest, value);
}

fn value(kind: Kind, text: &str) -> Result<Value, String> {
    let number = |text: &str| text.parse::<u64>().map(Value::from).map_err(|_| "write a number".to_owned());
    match kind {
        Kind::Maintenance if text == "off" => Ok(Value::Null),
        Kind::Maintenance => Ok(json!({ "message": if text == "on" { "" } else { text } })),
        Kind::List => Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()),
        Kind::Rate => rate(text),
        Kind::Address => {
            let (to, status) = text.split_once(' ').map_or((text, None), |(to, status)| (to, Some(status)));
            let mut redirect = json!({ "to": to });
            if let Some(status) = status {
                redirect["status"] = number(status.trim())?;
            }
            Ok(redirect)
        }
        Kind::Word => Ok(Value::from(text)),
        Kind::Switch => match text {
            "on" => Ok(Value::Bool(true)),
            "off" => Ok(Value::Bool(false)),
            _ => Err("write on or off".to_owned()),
        },
        Kind::Bytes => bytes(text).map(Value::from),
        Kind::Seconds => seconds(text).map(Value::from),
        Kind::Number => number(text),
    }
}

/// `100/1m`, and behind it `,burst=20` and `,by=header:x-api-key`.
fn rate(text: &str) -> Result<Value, String> {
    let wrong = || "write it as 100/1m, 100/1m,burst=20 or 100/1m,by=header:x-api-key".to_owned();
    let mut parts = text.split(',');
    let (requests, time) = parts.next().and_then(|first| first.split_once('/')).ok_or_else(wrong)?;
    let mut limit =
        json!({ "requests": requests.trim().parse::<u32>().map_err(|_| wrong())?, "per_seconds": seconds(time)? });
    for part in parts {
        match part.trim().split_once('=') {
            Some(("burst", n)) => limit["burst"] = n.parse::<u32>().map_err(|_| wrong())?.into(),
            Some(("by", by)) => limit["by"] = by.into(),
            _ => return Err(wrong()),
        }
    }
    Ok(limit)
}

/// A time as `30s`, `5m` or `1h`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "write a time as 30s, 5m or 1h".to_owned();
    let (digits, unit) = text.trim().split_at(text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = if digits.is_empty() { 1 } else { digits.parse().map_err(|_| wrong())? };
    number.checked_mul(factor).filter(|n| *n <= u64::from(u32::MAX)).ok_or_else(wrong)
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "write a size as 500K, 10M or 1G".to_owned();
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, unit) = lower.split_at(lower.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).ok_or_else(wrong)
}

/// Settings as lines of `KEY=VALUE`, in the order of the table.
pub(super) fn lines(settings: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for key in &KEYS {
        let Some(value) = key.path.iter().try_fold(settings, |at, name| at.get(name)) else { continue };
        lines.push(format!("{}={}", key.word, shown(key.kind, value)));
    }
    for (prefix, member) in FAMILIES {
        for (name, value) in settings.get(member).and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let first = text.lines().next().unwrap_or_default();
            let more = if first.len() < text.len() { " …" } else { "" };
            lines.push(format!("{prefix}{name}={first}{more}"));
        }
    }
    if let Some(users) = settings.pointer("/basic_auth/users").and_then(Value::as_object) {
        lines.push(format!("users={}", users.keys().cloned().collect::<Vec<_>>().join(",")));
    }
    lines
}

fn shown(kind: Kind, value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    match (kind, value) {
        (Kind::Maintenance, _) if text("message").is_empty() => "on".to_owned(),
        (Kind::Maintenance, _) => text("message").to_owned(),
        (Kind::List, Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        (Kind::Rate, _) => {
            let burst = number("burst").map(|n| format!(",burst={n}")).unwrap_or_default();
            let by = Some(text("by")).filter(|by| *by != "address").map(|by| format!(",by={by}")).unwrap_or_default();
            let (requests, time) = (number("requests").unwrap_or(0), number("per_seconds").unwrap_or(0));
            format!("{requests}/{time}s{burst}{by}")
        }
        (Kind::Address, _) => format!("{} {}", text("to"), number("status").unwrap_or(308)),
        (Kind::Switch, Value::Bool(on)) => if *on { "on" } else { "off" }.to_owned(),
        (Kind::Seconds, value) => format!("{value}s"),
        (_, Value::String(word)) => word.clone(),
        (_, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[&str], for_platform: bool) -> Result<Value, String> {
        let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        set(&pairs, for_platform, |file| Ok(format!("<p>{file}</p>")))
    }

    #[test]
    fn what_is_typed_becomes_a_change_and_is_shown_as_typed() {
        for (pair, want) in [
            ("maintenance=back soon", json!({"maintenance": {"message": "back soon"}})),
            ("allow=10.0.0.0/8,192.0.2.1", json!({"allow": ["10.0.0.0/8", "192.0.2.1"]})),
            (
                "rate-limit=100/60s,burst=20,by=header:x-key",
                json!({"rate_limit": {"requests": 100, "per_seconds": 60, "burst": 20, "by": "header:x-key"}}),
            ),
            ("redirect=https://a.test 301", json!({"redirect": {"to": "https://a.test", "status": 301}})),
            ("compression=off", json!({"compression": false})),
            ("request-timeout=30s", json!({"request_timeout_seconds": 30})),
            ("response-header.x-frame-options=DENY", json!({"response_headers": {"x-frame-options": "DENY"}})),
        ] {
            let change = said(&[pair], false).unwrap();
            assert_eq!(change, want);
            assert_eq!(lines(&change), [pair]);
        }
        assert_eq!(said(&["maintenance=off"], false).unwrap(), json!({"maintenance": null}));
        assert_eq!(said(&["max-body=10MiB"], false).unwrap(), json!({"max_body_bytes": 10 << 20}));
        assert_eq!(said(&["rate-limit=5/m"], false).unwrap()["rate_limit"]["per_seconds"], 60);
        assert_eq!(said(&["error-page.503=@x.html"], false).unwrap(), json!({"error_pages": {"503": "<p>x.html</p>"}}));
        assert_eq!(
            said(&["robots=deny", "access-log=errors"], true).unwrap(),
            json!({"defaults": {"robots": "deny"}, "access_log": "errors"})
        );
        let words = ["response-header.x".to_owned(), "users".to_owned()];
        assert_eq!(unset(&words, false).unwrap(), json!({"response_headers": {"x": null}, "basic_auth": null}));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (pair, word) in [
            ("robots", "KEY=VALUE"),
            ("robbots=deny", "there are maintenance, allow"),
            ("access-log=off", "--platform"),
            ("rate-limit=many", "100/1m"),
            ("sticky=yes", "on or off"),
            ("max-body=ten", "10M"),
            ("request-timeout=soon", "30s"),
        ] {
            let error = said(&[pair], false).unwrap_err();
            assert!(error.contains(word), "{pair}: {error}");
        }
    }
}
