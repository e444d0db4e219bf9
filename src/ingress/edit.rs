//! Compiled changes to messages: headers, path, redirects. Pure, and the same for every HTTP version.

use regex::bytes::Regex;

use super::matching::regex;
use super::snapshot::{HeaderEdits, PathRewrite, Redirect, Rewrite, Route};

/// Changes to the headers of a message.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    /// Names (lower case) whose headers are left out.
    gone: Box<[Box<str>]>,
    /// Headers that are added after that.
    pub lines: Box<[(Box<str>, Box<str>)]>,
    /// The same as they stand in an HTTP/1.1 head.
    pub rendered: Box<[u8]>,
}

impl Edits {
    /// `None` when nothing is changed. `more` are headers the route gets for other reasons.
    pub(crate) fn compile(edits: &HeaderEdits, also_gone: &[String], more: &[(&str, &str)]) -> Option<Box<Self>> {
        let mut gone: Vec<Box<str>> = Vec::new();
        for name in edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name)).chain(also_gone) {
            gone.push(name.to_ascii_lowercase().into());
        }
        gone.extend(more.iter().map(|(name, _)| (*name).into()));
        gone.sort();
        gone.dedup();
        let own = edits.set.iter().chain(&edits.add).map(|(name, value)| (name.as_str(), value.as_str()));
        let lines: Box<[(Box<str>, Box<str>)]> = own
            .chain(more.iter().copied())
            .map(|(name, value)| (name.to_ascii_lowercase().into(), value.into()))
            .collect();
        if gone.is_empty() && lines.is_empty() {
            return None;
        }
        let rendered: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Some(Box::new(Self { gone: gone.into(), lines, rendered: rendered.into_bytes().into() }))
    }

    /// Whether a header of the original message stays.
    pub(crate) fn keeps(&self, name: &[u8]) -> bool {
        !self.gone.iter().any(|gone| name.eq_ignore_ascii_case(gone.as_bytes()))
    }
}

/// A compiled change of the path.
#[derive(Debug)]
pub(crate) enum NewPath {
    /// `(from, to)`, both without a slash at the end.
    Prefix(Box<str>, Box<str>),
    Full(Box<str>),
    Regex(Regex, Box<[u8]>),
}

impl NewPath {
    /// `prefix` is that of the route.
    pub(crate) fn compile(rewrite: &PathRewrite, prefix: &str) -> Option<Self> {
        Some(match rewrite {
            PathRewrite::Prefix(to) => {
                Self::Prefix(prefix.trim_end_matches('/').into(), to.trim_end_matches('/').into())
            }
            PathRewrite::Full(path) => Self::Full(path.as_str().into()),
            PathRewrite::Regex { pattern, replacement } => {
                Self::Regex(regex(pattern).ok()?, replacement.as_bytes().into())
            }
        })
    }

    /// The new path. It always begins with exactly one slash, so that it cannot be read as another host.
    pub(crate) fn apply(&self, path: &[u8]) -> Vec<u8> {
        let changed = match self {
            Self::Prefix(from, to) => match path.strip_prefix(from.as_bytes()) {
                Some(rest) => [to.as_bytes(), rest].concat(),
                None => path.to_vec(),
            },
            Self::Full(path) => path.as_bytes().to_vec(),
            Self::Regex(regex, replacement) => regex.replace(path, &**replacement).into_owned(),
        };
        let start = changed.iter().position(|byte| *byte != b'/').unwrap_or(changed.len());
        let mut out = Vec::with_capacity(changed.len() + 1);
        out.push(b'/');
        out.extend_from_slice(&changed[start..]);
        out
    }
}

/// The compiled request side of a route's changes.
#[derive(Debug)]
pub(crate) struct RequestEdits {
    pub headers: Option<Box<Edits>>,
    pub path: Option<NewPath>,
    pub host: Option<Box<str>>,
    /// Told in `X-Forwarded-Prefix` when the path loses it.
    pub stripped: Option<Box<str>>,
}

impl RequestEdits {
    /// `None` when the request goes on as it came.
    pub(crate) fn compile(route: &Route) -> Option<Box<Self>> {
        let Rewrite { path, host } = &route.rewrite;
        let prefix = route.path_prefix.trim_end_matches('/');
        let strips = matches!(path, Some(PathRewrite::Prefix(_))) && !prefix.is_empty();
        let mut also_gone = Vec::new();
        if let Some(auth) = &route.access.forward {
            also_gone.extend(auth.copy_headers.iter().cloned());
        }
        if route.access.basic.as_ref().is_some_and(|basic| !basic.pass_on) {
            also_gone.push("authorization".to_owned());
        }
        if strips {
            also_gone.push("x-forwarded-prefix".to_owned());
        }
        let this = Self {
            headers: Edits::compile(&route.request_headers, &also_gone, &[]),
            path: path.as_ref().and_then(|path| NewPath::compile(path, prefix)),
            host: host.as_deref().map(Into::into),
            stripped: strips.then(|| prefix.into()),
        };
        (this.headers.is_some() || this.path.is_some() || this.host.is_some()).then(|| Box::new(this))
    }

    /// Path and query for the upstream, when they change.
    pub(crate) fn target(&self, target: &[u8]) -> Option<Vec<u8>> {
        let path = self.path.as_ref()?;
        let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        let mut new = path.apply(&target[..end]);
        new.extend_from_slice(&target[end..]);
        Some(new)
    }
}

/// A compiled redirect.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    redirect: Redirect,
    path: Option<NewPath>,
}

impl Elsewhere {
    pub(crate) fn compile(redirect: &Redirect, prefix: &str) -> Box<Self> {
        let path = redirect.path.as_ref().and_then(|path| NewPath::compile(path, prefix));
        Box::new(Self { redirect: redirect.clone(), path })
    }

    pub(crate) fn status(&self) -> u16 {
        self.redirect.status
    }

    /// The value of `Location` for a request; `host` may carry a port, which a new scheme or host drops.
    pub(crate) fn location(&self, is_tls: bool, host: &str, target: &[u8]) -> String {
        let Redirect { scheme, host: new_host, port, keep_query, .. } = &self.redirect;
        let scheme = scheme.as_deref().unwrap_or(if is_tls { "https" } else { "http" });
        let name = without_port(host);
        let authority = match (new_host, port) {
            (None, None) if self.redirect.scheme.is_none() => host.to_owned(),
            (host, port) => {
                let default = if scheme == "https" { 443 } else { 80 };
                let port = port.filter(|port| *port != default).map_or(String::new(), |port| format!(":{port}"));
                format!("{}{port}", host.as_deref().unwrap_or(name))
            }
        };
        let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        let path = self.path.as_ref().map_or_else(|| target[..end].to_vec(), |path| path.apply(&target[..end]));
        let query = if *keep_query { &target[end..] } else { b"" };
        let (path, query) = (String::from_utf8_lossy(&path), String::from_utf8_lossy(query));
        format!("{scheme}://{authority}{path}{query}")
    }
}

/// The name of a `Host` value.
pub(crate) fn without_port(host: &str) -> &str {
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name)
}
