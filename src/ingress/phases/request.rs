//! The request head as the upstream gets it.
//!
//! Headers leave in their order and spelling. Those of one connection are left out, those that say who the client is
//! are set anew unless a trusted proxy sent them.

use crate::ingress::decimal;
use crate::ingress::h1::header::{self, Kind};
use crate::ingress::transaction::{Peer, Transaction};

/// Appends the head to `out`.
pub(crate) fn write_head(tx: &Transaction, peer: &Peer, out: &mut Vec<u8>) {
    let (head, bytes) = (&tx.head, tx.bytes.as_slice());
    let trusted = tx.table.trusts(peer.address.ip());
    out.extend_from_slice(head.method.get(bytes));
    out.push(b' ');
    let target = head.target.get(bytes);
    out.extend_from_slice(if target.is_empty() { b"/" } else { target });
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let rewrite_host = head.absolute || head.find(bytes, Kind::Host).is_none();
    if rewrite_host {
        field(out, b"host: ", head.host.get(bytes));
    }
    header::copy_lines(bytes, &head.lines, out, |line| match line.kind {
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
