//! Addresses and file names of a site, as text: what may be asked for, and how long an answer lasts.

/// Percent-decodes a path; refuses what can't be a name in a site.
pub(super) fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(b) = rest.next() {
        if b == b'%' {
            let hex = [rest.next()?, rest.next()?];
            let hex = std::str::from_utf8(&hex).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+'))?);
        } else {
            bytes.push(b);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let bad = text.contains(['\0', '\\']) || text.split('/').any(|part| part == ".." || part == ".");
    (!bad).then_some(text)
}

pub(super) fn encode(path: &str) -> String {
    let mut out = String::from("/");
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"/-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// `//host` at the start of a redirect would lead to another site.
pub(super) fn one_slash(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

/// Files with a leading dot are for tools, except those made for the web.
pub(super) fn hidden(path: &str) -> bool {
    let mut parts = path.split('/').filter(|p| !p.is_empty()).peekable();
    if parts.peek() == Some(&".well-known") {
        parts.next();
    }
    parts.any(|p| p.starts_with('.'))
}

/// Names with a hash in them never change their content; all else is asked for again (and mostly answered with 304).
pub(super) fn lifetime(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    if hashed(name) { "public, max-age=31536000, immutable" } else { "public, max-age=0, must-revalidate" }
}

/// `app.3f9a2b1c.js`, `index-BxYz12_9.css`: a part of at least 8 characters with a digit and a letter in it, just before the extension.
fn hashed(name: &str) -> bool {
    let name = name.strip_suffix(".map").unwrap_or(name);
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    if ["html", "xml", "txt", "json", "pdf"].contains(&extension) {
        return false;
    }
    let stem = stem.strip_suffix(".chunk").or_else(|| stem.strip_suffix(".min")).unwrap_or(stem);
    let Some((_, hash)) = stem.rsplit_once(['.', '-']) else {
        return false;
    };
    let characters = hash.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let digit = hash.chars().any(|c| c.is_ascii_digit());
    let mixed = digit && hash.chars().any(|c| c.is_ascii_alphabetic());
    hash.len() >= 8 && characters && mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_are_known() {
        for name in [
            "app.3f9a2b1c.js",
            "index-BxYz12_9.css",
            "main.8c3f1d2e.chunk.js",
            "logo-0a1b2c3d.svg",
            "a.3f9a2b1c.js.map",
        ] {
            assert!(hashed(name), "{name}");
        }
        for name in [
            "app.js",
            "jquery-3.7.1.min.js",
            "my-component.js",
            "report-20240101.css",
            "page-3f9a2b1c.html",
            "x-12345678.json",
        ] {
            assert!(!hashed(name), "{name}");
        }
    }

    #[test]
    fn what_is_decoded_is_encoded_again() {
        assert_eq!(decode("/a%20b/%C3%BC").as_deref(), Some("/a b/ü"));
        assert_eq!(encode("a b/ü"), "/a%20b/%C3%BC");
        for bad in ["/..", "/a/../b", "/.", "/%5c", "/%00", "/%2", "/%+1", "/%ff", "/%2e%2e/x"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
