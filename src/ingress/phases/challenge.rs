//! Answers to a certificate authority that checks over plain HTTP who controls a name (RFC 8555 section 8.3). It comes
//! before redirects, authentication and limits, because nothing of those may stand in its way.

use crate::ingress::transaction::{Peer, Transaction};

const PLACE: &[u8] = b"/.well-known/acme-challenge/";

/// The whole answer, when the request is such a question and the table has an answer.
pub(crate) fn answer(tx: &mut Transaction, peer: &Peer) -> Option<Vec<u8>> {
    let challenges = &tx.table.snapshot.http_challenges;
    if challenges.is_empty() || peer.is_tls {
        return None;
    }
    let token = tx.head.path(&tx.bytes).strip_prefix(PLACE)?;
    let host = tx.head.host.get(&tx.bytes);
    let name = host.split(|b| *b == b':').next().unwrap_or_default();
    let asked = |host: &str| name.eq_ignore_ascii_case(host.as_bytes());
    let found = challenges.iter().find(|c| c.token.as_bytes() == token && asked(&c.host))?;
    let length = found.answer.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    if tx.head.method.get(&tx.bytes) != b"HEAD" {
        answer.extend_from_slice(found.answer.as_bytes());
    }
    tx.status = 200;
    tx.bytes_out = answer.len() as u64;
    Some(answer)
}
