//! The request head as the upstream gets it.
//!
//! Headers leave in their order and spelling. Those of one connection are left out, those that say who the client is
//! are set anew unless a trusted proxy sent them. Then come the changes the route asks for ([`RequestEdits`]) and what
//! phases added.
//!
//! [`RequestEdits`]: crate::ingress::edit::RequestEdits

use crate::ingress::decimal;
use crate::ingress::h1::header::{self, Kind};
use crate::ingress::transaction::{Peer, Transaction};

/// Appends the head to `out`.
pub(crate) fn write_head(tx: &Transaction, peer: &Peer, out: &mut Vec<u8>) {
    let (head, bytes) = (&tx.head, tx.bytes.as_slice());
    let trusted = tx.table.trusts(peer.address.ip());
    out.extend_from_slice(head.method.get(bytes));
    out.push(b' ');
    let edits = tx.entry().and_then(|entry| entry.request_edits.as_deref());
    let target = head.target.get(bytes);
    match edits.and_then(|edits| edits.target(target)) {
        Some(target) => out.extend_from_slice(&target),
        None => out.extend_from_slice(if target.is_empty() { b"/" } else { target }),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let new_host = edits.and_then(|edits| edits.host.as_deref());
    let rewrite_host = new_host.is_some() || head.absolute || head.find(bytes, Kind::Host).is_none();
    if rewrite_host {
        field(out, b"host: ", new_host.map_or(head.host.get(bytes), str::as_bytes));
    }
    let keeps = edits.and_then(|edits| edits.headers.as_deref());
    header::copy_lines(bytes, &head.lines, out, |line| match line.kind {
        _ if keeps.is_some_and(|edits| !edits.keeps(line.name.get(bytes))) => false,
        Kind::Drop | Kind::Connection | Kind::Upgrade | Kind::RequestId | Kind::TraceParent | Kind::ForwardedFor => {
            false
        }
        Kind::Host => !rewrite_host,
        // A trace state without its valid parent means nothing.
        Kind::TraceState => !tx.trace.is_new,
        Kind::ForwardedOther | Kind::ForwardedProto | Kind::ForwardedHost | Kind::ForwardedPort => trusted,
        Kind::Expect => head.expect_continue,
        _ => true,
    });
    write_forwarding(tx, peer, trusted, out);
    field(out, b"x-request-id: ", tx.request_id());
    field(out, b"traceparent: ", &tx.trace.parent);
    if let Some(edits) = edits {
        out.extend_from_slice(edits.headers.as_ref().map_or(b"", |edits| &edits.rendered));
        if let Some(prefix) = &edits.stripped {
            field(out, b"x-forwarded-prefix: ", prefix.as_bytes());
        }
    }
    for (name, value) in tx.extra.iter().flat_map(|extra| &extra.request) {
        out.extend_from_slice(name.as_bytes());
        field(out, b": ", value.as_bytes());
    }
    if let Some(protocol) = head.upgrade {
        field(out, b"connection: upgrade\r\nupgrade: ", protocol.get(bytes));
    }
    out.extend_from_slice(b"\r\n");
}

fn write_forwarding(tx: &Transaction, peer: &Peer, trusted: bool, out: &mut Vec<u8>) {
    let (head, bytes) = (&tx.head, tx.bytes.as_slice());
    let sent = |kind| trusted && head.find(bytes, kind).is_some();
    out.extend_from_slice(b"x-forwarded-for: ");
    if trusted {
        for line in head.lines.iter().filter(|line| line.kind == Kind::ForwardedFor) {
            out.extend_from_slice(line.value.get(bytes));
            out.extend_from_slice(b", ");
        }
    }
    out.extend_from_slice(peer.text.as_bytes());
    out.extend_from_slice(b"\r\n");
    if !sent(Kind::ForwardedProto) {
        out.extend_from_slice(if peer.is_tls {
            b"x-forwarded-proto: https\r\n"
        } else {
            b"x-forwarded-proto: http\r\n"
        });
    }
    if !sent(Kind::ForwardedHost) && !head.host.get(bytes).is_empty() {
        field(out, b"x-forwarded-host: ", head.host.get(bytes));
    }
    if !sent(Kind::ForwardedPort) {
        out.extend_from_slice(b"x-forwarded-port: ");
        decimal::push(out, u64::from(peer.local_port));
        out.extend_from_slice(b"\r\n");
    }
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
