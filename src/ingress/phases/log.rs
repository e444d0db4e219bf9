//! The end of a request: counters and the access-log line.
//!
//! The query is left out of the log on purpose: it often holds tokens.

use std::io::Write;
use std::time::Instant;

use crate::ingress::core::Core;
use crate::ingress::decimal;
use crate::ingress::h1::header::Kind;
use crate::ingress::snapshot::{AccessLog, Route};
use crate::ingress::transaction::{Peer, Transaction};

/// Longest user agent and path written to the log.
const MAX_TEXT: usize = 512;

/// The part of a log line that is the same for all requests of a route.
pub(crate) fn route_fields(route: &Route) -> String {
    let owner = &route.owner;
    let mut out = Vec::new();
    let fields = [
        ("route", &route.id),
        ("tenant", &owner.tenant),
        ("project", &owner.project),
        ("environment", &owner.environment),
        ("service", &owner.service),
        ("revision", &owner.revision),
    ];
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(out, ",\"{name}\":");
        string(&mut out, value.as_bytes());
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Gives back what the request held, counts it and writes its line.
pub(crate) fn record(core: &Core, tx: &mut Transaction, peer: &Peer) {
    let end = Instant::now();
    let micros = end.saturating_duration_since(tx.started).as_micros() as u64;
    if let Some(permit) = tx.permit.take() {
        permit.end(core, tx.status, micros, tx.upstream_micros);
    }
    if let Some(entry) = tx.entry() {
        entry.stats.record(core.worker, tx.status, tx.bytes_in, tx.bytes_out, micros);
        if let Some(backend) = tx.backend {
            entry.backends[backend].record(core.worker, tx.status, tx.bytes_in, tx.bytes_out, micros);
        }
    }
    core.shared.requests.add(core.worker, 1);
    let is_written = match tx.table.snapshot.settings.access_log {
        AccessLog::All => true,
        AccessLog::Errors => tx.status == 0 || tx.status >= 400 || tx.error.is_some(),
        AccessLog::Off => false,
    };
    if is_written {
        core.log.line(|out| line(out, tx, peer, core.clock.wall_ms_at(end), micros));
    }
}

fn line(out: &mut Vec<u8>, tx: &Transaction, peer: &Peer, time_ms: u64, micros: u64) {
    number(out, "{\"time_ms\":", time_ms);
    text(out, ",\"request_id\":\"", tx.request_id());
    text(out, "\",\"trace_id\":\"", tx.trace.id());
    text(out, "\",\"client\":\"", peer.text.as_bytes());
    out.extend_from_slice(b"\",\"method\":");
    string(out, tx.head.method.get(&tx.bytes));
    out.extend_from_slice(b",\"host\":");
    string(out, tx.head.host.get(&tx.bytes));
    out.extend_from_slice(b",\"path\":");
    string(out, tx.head.path(&tx.bytes));
    out.extend_from_slice(match (peer.is_http2, tx.head.is_http11) {
        (true, _) => b",\"http\":\"2\"".as_slice(),
        (false, true) => b",\"http\":\"1.1\"",
        (false, false) => b",\"http\":\"1.0\"",
    });
    out.extend_from_slice(if peer.is_tls { b",\"tls\":true" } else { b",\"tls\":false" });
    number(out, ",\"status\":", u64::from(tx.status));
    number(out, ",\"bytes_in\":", tx.bytes_in);
    number(out, ",\"bytes_out\":", tx.bytes_out);
    number(out, ",\"duration_us\":", micros);
    if let Some(micros) = tx.upstream_micros {
        number(out, ",\"upstream_us\":", micros);
    }
    if tx.attempts > 1 {
        number(out, ",\"attempts\":", u64::from(tx.attempts));
    }
    if let Some(entry) = tx.entry() {
        out.extend_from_slice(entry.log_fields.as_bytes());
    }
    if let Some((entry, backend)) = tx.entry().zip(tx.backend) {
        out.extend_from_slice(b",\"backend\":");
        string(out, entry.route.backends[backend].id.as_bytes());
    }
    if let Some(upstream) = tx.upstream_state() {
        out.extend_from_slice(b",\"instance\":");
        string(out, upstream.id.as_bytes());
    }
    if let Some(error) = tx.error {
        text(out, ",\"error\":\"", error.as_bytes());
        out.push(b'"');
    }
    if let Some(agent) = tx.head.find(&tx.bytes, Kind::UserAgent) {
        out.extend_from_slice(b",\"user_agent\":");
        string(out, agent);
    }
    out.extend_from_slice(b"}\n");
}

fn number(out: &mut Vec<u8>, label: &str, value: u64) {
    out.extend_from_slice(label.as_bytes());
    decimal::push(out, value);
}

/// Text that needs no escaping.
fn text(out: &mut Vec<u8>, label: &str, value: &[u8]) {
    out.extend_from_slice(label.as_bytes());
    out.extend_from_slice(value);
}

/// A JSON string; bytes that are not UTF-8 become the replacement character.
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
    out.push(b'"');
    // No early end, so that many bytes are looked at in one step.
    let needs_escape = |b: &u8| !(b' '..0x7f).contains(b) || *b == b'"' || *b == b'\\';
    if !bytes.iter().fold(false, |any, b| any | needs_escape(b)) {
        out.extend_from_slice(bytes);
    } else {
        for char in String::from_utf8_lossy(bytes).chars() {
            match char {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                char if char < ' ' || char == '\u{7f}' => {
                    let _ = write!(out, "\\u{:04x}", char as u32);
                }
                char => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}
