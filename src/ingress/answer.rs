//! How a [`Problem`] is told: as a page, as `application/problem+json`, or as gRPC's trailers.

use std::collections::BTreeMap;

use super::entry::RouteEntry;
use super::problem::Problem;

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
