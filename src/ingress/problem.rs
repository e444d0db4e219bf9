//! What a client is told when a request could not be answered by its app.

use std::collections::BTreeMap;

use super::entry::RouteEntry;
use super::h1::request::HeadError;

/// A refusal or failure, in words for the person in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub status: u16,
    /// One short line.
    pub title: &'static str,
    /// What happened and what to do.
    pub detail: String,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
    /// `Location`, for a redirect.
    pub location: Option<String>,
    /// The route is in maintenance mode.
    pub is_maintenance: bool,
    /// `WWW-Authenticate`, for a 401.
    pub challenge: Option<String>,
    /// An answer that is given as it is, instead of words about the problem.
    pub verbatim: Option<Box<Verbatim>>,
}

/// Headers (no framing) and body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verbatim {
    pub headers: Vec<(Box<str>, String)>,
    pub body: Vec<u8>,
}

impl Problem {
    pub(crate) fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
            retry_after: None,
            location: None,
            is_maintenance: false,
            challenge: None,
            verbatim: None,
        }
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn unknown_host() -> Self {
        Self::new(
            404,
            "No app answers at this address",
            "The name in the address bar belongs to no app here. Check the spelling; a new domain has to be added to its app first.",
        )
    }

    pub(crate) fn unknown_path() -> Self {
        Self::new(404, "Nothing answers at this path", "This name is known, but no app takes requests for this path.")
    }

    pub(crate) fn moved_to(location: String) -> Self {
        let moved = Self::new(308, "Use the secure address", "This app is served over HTTPS only.");
        Self { location: Some(location), ..moved }
    }

    /// A redirect a route asks for.
    pub(crate) fn elsewhere(status: u16, location: String) -> Self {
        let moved = Self::new(status, "This page is elsewhere", "The address you asked for leads to another one.");
        Self { location: Some(location), ..moved }
    }

    pub(crate) fn no_instance(reason: Option<&str>) -> Self {
        let detail = match reason {
            Some(reason) => format!("No instance of the app is running: {reason}."),
            None => "No instance of the app is running at the moment.".to_owned(),
        };
        Self::new(503, "The app is not running", detail).retry_after(5)
    }

    pub(crate) fn maintenance(message: &str, retry_after: Option<u32>) -> Self {
        let detail = if message.is_empty() { "The app is being worked on and will be back soon." } else { message };
        Self {
            retry_after: retry_after.or(Some(60)),
            is_maintenance: true,
            ..Self::new(503, "Down for maintenance", detail)
        }
    }

    pub(crate) fn control_plane_restarting() -> Self {
        Self::new(
            503,
            "The control plane is restarting",
            "Apps keep running meanwhile. This page is back in a few seconds; just reload it.",
        )
        .retry_after(2)
    }

    pub(crate) fn refused() -> Self {
        Self::new(
            502,
            "The app does not accept connections",
            "The app is registered, but nothing listens on its port. If this stays, look at the app's log and check that it listens on the port given in PORT.",
        )
    }

    pub(crate) fn broke_off() -> Self {
        Self::new(
            502,
            "The app closed the connection",
            "The app ended the connection before it had answered. The app's log may say why.",
        )
    }

    pub(crate) fn bad_answer(what: &str) -> Self {
        Self::new(
            502,
            "The app's answer cannot be passed on",
            format!("The app answered in a way that is not safe to forward: {what}."),
        )
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(
            504,
            "The app took too long to answer",
            "The app accepted the request but sent no answer in time. Trying again may help; long work is better done in the background.",
        )
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        Self::new(413, "The request is too large", format!("This app takes request bodies of at most {limit} bytes."))
    }

    pub(crate) fn bad_body() -> Self {
        Self::new(400, "The request is not valid", "The chunked framing of the request body is broken.")
    }

    pub(crate) fn too_many_requests(wait_secs: u32) -> Self {
        Self::new(
            429,
            "Too many requests",
            "This app limits how many requests it takes in a time. Please wait a little.",
        )
        .retry_after(wait_secs)
    }

    /// An answer made elsewhere.
    pub(crate) fn verbatim(status: u16, answer: Verbatim) -> Self {
        Self { verbatim: Some(Box::new(answer)), ..Self::new(status, "", "") }
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(403, "You may not open this", "This app takes requests from certain addresses only.")
    }

    pub(crate) fn unauthorized(challenge: String) -> Self {
        let problem = Self::new(401, "Please sign in", "This app asks for a name and a password.");
        Self { challenge: Some(challenge), ..problem }
    }

    pub(crate) fn auth_unavailable() -> Self {
        Self::new(
            503,
            "Signing in is not possible at the moment",
            "The service that decides who may use this app does not answer.",
        )
        .retry_after(5)
    }

    pub(crate) fn overloaded() -> Self {
        Self::new(
            503,
            "The app has too much to do",
            "More requests came than can be answered in good time. Please try again in a moment.",
        )
        .retry_after(1)
    }

    pub(crate) fn circuit_open(wait_ms: u64) -> Self {
        let seconds = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        Self::new(
            503,
            "The app is in trouble",
            "Most of its answers were errors, so requests are held back for a moment to let it recover.",
        )
        .retry_after(seconds)
    }

    pub(crate) fn waiting_room_full() -> Self {
        Self::new(503, "The app is being started", "Many are waiting for it already. Please try again in a moment.")
            .retry_after(5)
    }

    pub(crate) fn did_not_start(reason: Option<&str>) -> Self {
        let why = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        let detail = format!("The app was asked to start but was not ready in time{why}. Please try again.");
        Self::new(504, "The app took too long to start", detail).retry_after(10)
    }

    pub(crate) fn head_timeout() -> Self {
        Self::new(408, "The request took too long to arrive", "The request head was not complete in time.")
    }
}

impl From<HeadError> for Problem {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed(reason) => {
                Self::new(400, "The request is not valid", format!("It was refused because {reason}."))
            }
            HeadError::MethodRefused => {
                Self::new(405, "The method is not allowed", "CONNECT and TRACE are not served here.")
            }
            HeadError::TargetTooLong => {
                Self::new(414, "The address is too long", "Addresses of up to 16 KiB are served.")
            }
            HeadError::Expectation => {
                Self::new(417, "The expectation is not known", "Only `Expect: 100-continue` is served.")
            }
            HeadError::TooLarge => Self::new(
                431,
                "The request head is too large",
                "At most 32 KiB and 100 header lines are served. Old cookies are the most common cause: clear the cookies of this site.",
            ),
            HeadError::Version => {
                Self::new(505, "The HTTP version is not served", "HTTP/1.0 and HTTP/1.1 are served here.")
            }
        }
    }
}

/// The reason phrase of a status this room answers with.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

/// How the answer is to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'a> {
    pub html: bool,
    /// Headers the phases added, and the route's own.
    pub extra: &'a [(Box<str>, String)],
    pub route: Option<&'a RouteEntry>,
    /// The request was HEAD: no body.
    pub head_only: bool,
    pub keep_alive: bool,
    /// A gRPC call: the error is told in trailers.
    pub is_grpc: bool,
    pub request_id: &'a str,
}

/// An answer of the ingress itself, for any HTTP version: status, headers (framing left out), body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(Box<str>, String)>,
    pub body: Vec<u8>,
}

/// What a client is told about a problem.
pub(crate) fn answer(problem: &Problem, shape: Shape<'_>) -> Answer {
    let mut headers: Vec<(Box<str>, String)> = Vec::with_capacity(8);
    let mut add = |name: &str, value: String| headers.push((name.into(), value));
    let body = match &problem.verbatim {
        Some(answer) => {
            answer.headers.iter().for_each(|(name, value)| add(name, value.clone()));
            answer.body.clone()
        }
        None => {
            let (kind, body) = body(problem, shape);
            add("content-type", kind.to_owned());
            add("cache-control", "no-store".to_owned());
            body
        }
    };
    add("x-request-id", shape.request_id.to_owned());
    if let Some(seconds) = problem.retry_after {
        add("retry-after", seconds.to_string());
    }
    if let Some(location) = &problem.location {
        add("location", location.clone());
    }
    if let Some(challenge) = &problem.challenge {
        add("www-authenticate", challenge.clone());
    }
    if problem.status == 405 {
        add("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned());
    }
    if let Some(edits) = shape.route.and_then(|route| route.response_edits.as_deref()) {
        headers.retain(|(name, _)| edits.keeps(name.as_bytes()));
        headers.extend(edits.lines.iter().map(|(name, value)| (name.clone(), value.to_string())));
    }
    headers.extend(shape.extra.iter().cloned());
    Answer { status: problem.status, headers, body }
}

fn body(problem: &Problem, shape: Shape<'_>) -> (&'static str, Vec<u8>) {
    if shape.html {
        let branded = shape.route.and_then(|entry| error_page(&entry.route.error_pages, problem));
        let template = branded.unwrap_or(include_str!("problem.html"));
        return ("text/html; charset=utf-8", page(template, problem, shape.request_id).into_bytes());
    }
    let body = serde_json::json!({
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": shape.request_id,
    });
    ("application/problem+json", body.to_string().into_bytes())
}

/// The route's own page: that for maintenance, for the status, for its class, for all.
fn error_page<'a>(pages: &'a BTreeMap<String, String>, problem: &Problem) -> Option<&'a str> {
    let maintenance = problem.is_maintenance.then(|| pages.get("maintenance")).flatten();
    let class = if problem.status < 500 { "4xx" } else { "5xx" };
    let by_status = || pages.get(problem.status.to_string().as_str()).or_else(|| pages.get(class));
    let found = maintenance.or_else(by_status).or_else(|| pages.get("*"));
    found.filter(|_| problem.status >= 400).map(String::as_str)
}

/// The complete HTTP/1.1 response for a problem.
pub(crate) fn render(problem: &Problem, shape: Shape<'_>) -> Vec<u8> {
    if shape.is_grpc {
        return grpc(problem, shape);
    }
    let answer = answer(problem, shape);
    let mut out = format!("HTTP/1.1 {} {}\r\n", answer.status, phrase(answer.status));
    for (name, value) in &answer.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    out.push_str(if shape.keep_alive { "\r\n" } else { "connection: close\r\n\r\n" });
    let mut out = out.into_bytes();
    if !shape.head_only {
        out.extend_from_slice(&answer.body);
    }
    out
}

/// A gRPC answer of trailers only: clients look at nothing else.
fn grpc(problem: &Problem, shape: Shape<'_>) -> Vec<u8> {
    let mut message = String::new();
    for byte in format!("{}: {}", problem.title, problem.detail).bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => message.push_str(&format!("%{byte:02X}")),
            _ => message.push(char::from(byte)),
        }
    }
    let connection = if shape.keep_alive { "" } else { "connection: close\r\n" };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: {}\r\ngrpc-message: {message}\r\ncontent-length: 0\r\nx-request-id: {}\r\n{connection}\r\n",
        grpc_status(problem.status),
        shape.request_id,
    )
    .into_bytes()
}

/// The code of gRPC for a status of HTTP: what gRPC prescribes where it does, and what says best whether trying again
/// can help elsewhere.
fn grpc_status(status: u16) -> u8 {
    match status {
        400 => 13,             // INTERNAL
        401 => 16,             // UNAUTHENTICATED
        403 => 7,              // PERMISSION_DENIED
        404 | 405 => 12,       // UNIMPLEMENTED
        408 | 504 => 4,        // DEADLINE_EXCEEDED
        413 | 431 => 8,        // RESOURCE_EXHAUSTED
        429 | 502 | 503 => 14, // UNAVAILABLE
        _ => 2,                // UNKNOWN
    }
}

fn page(template: &str, problem: &Problem, request_id: &str) -> String {
    template
        .replace("{status}", &problem.status.to_string())
        .replace("{title}", &escape(problem.title))
        .replace("{detail}", &escape(&problem.detail))
        .replace("{request_id}", &escape(request_id))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
