//! The response as the client gets it.

use std::io::Write;

use tokio::io::AsyncWrite;

use super::compress::{self, Decision};
use crate::ingress::buffer::Buffer;
use crate::ingress::core::Core;
use crate::ingress::decimal;
use crate::ingress::encoder;
use crate::ingress::h1::header::{self, Kind};
use crate::ingress::h1::response::{Framing, ResponseHead};
use crate::ingress::problem::Problem;
use crate::ingress::relay::{self, Body, Output, Pace, RelayError};
use crate::ingress::socket::Transport;
use crate::ingress::transaction::Transaction;
use crate::ingress::view::RequestView;

/// What is decided about a response before its first byte leaves.
#[derive(Debug)]
pub(crate) struct Plan {
    pub keep_alive: bool,
    output: Output,
    is_tls: bool,
    compression: Decision,
    /// Age for `Strict-Transport-Security`, when it is to be added.
    hsts: Option<u64>,
}

impl Plan {
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.compression, Decision::Encode(_))
    }
}

/// Decides how the response is framed for this client and whether its connection goes on.
pub(crate) fn plan(
    tx: &Transaction,
    head: &ResponseHead,
    bytes: &[u8],
    uploaded: bool,
    draining: bool,
    is_tls: bool,
) -> Result<Plan, Problem> {
    if head.status == 101 {
        return match tx.head.upgrade {
            Some(_) => {
                Ok(Plan { keep_alive: false, output: Output::Same, is_tls, compression: Decision::Leave, hsts: None })
            }
            None => Err(Problem::bad_answer("it switched protocols unasked")),
        };
    }
    let compression = compression(tx, head, bytes);
    let output = match (head.framing, tx.head.is_http11) {
        _ if matches!(compression, Decision::Encode(_)) => Output::Chunks,
        (Framing::UntilClose, true) => Output::Chunks,
        (Framing::UntilClose | Framing::Chunked, false) => Output::Plain,
        _ => Output::Same,
    };
    let keep_alive = tx.head.keep_alive && uploaded && !draining && output != Output::Plain;
    let hsts = tx.entry().map(|entry| entry.route.policy.hsts_secs).filter(|age| *age > 0 && is_tls);
    Ok(Plan { keep_alive, output, is_tls, compression, hsts })
}

/// Sends head and body; returns the bytes sent.
#[expect(clippy::too_many_arguments, reason = "both sockets and their buffers belong to the caller")]
pub(crate) async fn send(
    tx: &Transaction,
    head: &ResponseHead,
    plan: &Plan,
    input: &mut Buffer,
    up: &mut impl Transport,
    down: &mut impl Transport,
    core: &Core,
    pace: Pace<'_>,
) -> Result<u64, RelayError> {
    let mut out = core.spares.output();
    write_head(tx, head, plan, &input.unread()[..head.len], &mut out);
    input.consume(head.len);
    let framing = if head.status == 101 { Framing::None } else { head.framing };
    let sent = if let Decision::Encode(coding) = plan.compression {
        // Boxed: the encoder and its state are for few answers.
        Box::pin(compress::relay_encoded(up, input, down, &mut out, (framing, coding), pace)).await
    } else {
        let mut body = Body::of_response(framing, plan.output);
        relay::relay(up, input, down, &mut out, &mut body, pace).await
    };
    core.spares.give_output(out);
    sent
}

/// Passes a 1xx on to a client that can understand it.
pub(crate) async fn pass_interim(
    tx: &Transaction,
    head: &ResponseHead,
    bytes: &[u8],
    client: &mut (impl AsyncWrite + Unpin),
    pace: Pace<'_>,
) -> Result<(), RelayError> {
    if !tx.head.is_http11 || (head.status == 100 && !tx.head.expect_continue) {
        return Ok(());
    }
    let mut out = Vec::with_capacity(head.len);
    status_line(head, bytes, &mut out);
    header::copy_lines(bytes, &head.lines, &mut out, |line| is_end_to_end(line.kind));
    out.extend_from_slice(b"\r\n");
    relay::write(client, &out, pace).await
}

/// What the route's compression makes of this answer.
fn compression(tx: &Transaction, head: &ResponseHead, bytes: &[u8]) -> Decision {
    let rules = tx.entry().and_then(|entry| entry.route.compression.as_ref()).filter(|_| tx.head.is_http11);
    let Some(rules) = rules else { return Decision::Leave };
    let accepts = tx.header("accept-encoding", 0).unwrap_or_default();
    match tx.header("accept-encoding", 1) {
        None => compress::decide(rules, accepts, head, bytes),
        // Lines of one name are one list (RFC 9110 section 5.3).
        Some(more) => compress::decide(rules, &[accepts, more].join(&b','), head, bytes),
    }
}

/// Adds what goes with compression: the coding, a weak entity tag (the bytes are not the same ones), and `Vary`.
fn write_compression(compression: Decision, head: &ResponseHead, bytes: &[u8], out: &mut Vec<u8>) {
    if compression == Decision::Leave {
        return;
    }
    if !varies(head, bytes) {
        out.extend_from_slice(b"vary: accept-encoding\r\n");
    }
    let Decision::Encode(coding) = compression else { return };
    let _ = write!(out, "content-encoding: {}\r\n", encoder::name(coding));
    if let Some(tag) = head.lines.iter().find(|line| line.name.get(bytes).eq_ignore_ascii_case(b"etag")) {
        let tag = tag.value.get(bytes);
        out.extend_from_slice(if tag.starts_with(b"W/") { b"etag: " } else { b"etag: W/" });
        out.extend_from_slice(tag);
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether the upstream says itself that its answer depends on `Accept-Encoding`.
fn varies(head: &ResponseHead, bytes: &[u8]) -> bool {
    let named = head.lines.iter().filter(|line| line.name.get(bytes).eq_ignore_ascii_case(b"vary"));
    let mut words = named.flat_map(|line| header::tokens(line.value.get(bytes)));
    words.any(|word| word == b"*" || word.eq_ignore_ascii_case(b"accept-encoding"))
}

/// Headers that are not true any more of an encoded body.
fn is_of_plain_body(name: &[u8]) -> bool {
    [&b"etag"[..], b"accept-ranges", b"content-md5", b"digest", b"content-digest"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// The cookie by which the client comes back to the upstream that answered.
fn sticky_cookie(tx: &Transaction, is_tls: bool) -> Option<String> {
    if !tx.set_cookie {
        return None;
    }
    tx.entry()?.balancer.cookie(tx.upstream?, is_tls)
}

fn is_end_to_end(kind: Kind) -> bool {
    !matches!(kind, Kind::Drop | Kind::Connection | Kind::Upgrade | Kind::TransferEncoding | Kind::ContentLength)
}

fn status_line(head: &ResponseHead, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal::push(out, u64::from(head.status));
    out.push(b' ');
    out.extend_from_slice(head.reason.get(bytes));
    out.extend_from_slice(b"\r\n");
}

fn write_head(tx: &Transaction, head: &ResponseHead, plan: &Plan, bytes: &[u8], out: &mut Vec<u8>) {
    status_line(head, bytes, out);
    let has_no_length = head.status == 204 || head.status < 200;
    let is_encoded = plan.is_compressed();
    let edits = tx.entry().and_then(|entry| entry.response_edits.as_deref());
    header::copy_lines(bytes, &head.lines, out, |line| match line.kind {
        _ if edits.is_some_and(|edits| !edits.keeps(line.name.get(bytes))) => false,
        Kind::ContentLength => !has_no_length && !is_encoded,
        Kind::Keep if is_encoded && is_of_plain_body(line.name.get(bytes)) => false,
        Kind::TransferEncoding => plan.output == Output::Same && !has_no_length && head.status != 304,
        kind => is_end_to_end(kind),
    });
    if !head.has(Kind::RequestId) {
        out.extend_from_slice(b"x-request-id: ");
        out.extend_from_slice(tx.request_id());
        out.extend_from_slice(b"\r\n");
    }
    write_compression(plan.compression, head, bytes, out);
    out.extend_from_slice(edits.map_or(b"", |edits| &edits.rendered));
    for (name, value) in tx.response_extra() {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    if let Some(cookie) = sticky_cookie(tx, plan.is_tls) {
        let _ = write!(out, "set-cookie: {cookie}\r\n");
    }
    if let Some(seconds) = plan.hsts {
        out.extend_from_slice(b"strict-transport-security: max-age=");
        decimal::push(out, seconds);
        out.extend_from_slice(b"\r\n");
    }
    if plan.output == Output::Chunks {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if let Some(protocol) = head.upgrade.filter(|_| matches!(head.status, 101 | 426)) {
        out.extend_from_slice(if plan.keep_alive || head.status == 101 {
            b"connection: upgrade\r\n"
        } else {
            b"connection: close, upgrade\r\n"
        });
        out.extend_from_slice(b"upgrade: ");
        out.extend_from_slice(protocol.get(bytes));
        out.extend_from_slice(b"\r\n");
    } else if !plan.keep_alive {
        out.extend_from_slice(b"connection: close\r\n");
    } else if !tx.head.is_http11 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}
