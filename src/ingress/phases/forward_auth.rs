//! Forward auth: a service is asked about each request; what it says is done.

use std::io::Write;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ingress::h1::header::{Kind, classify};
use crate::ingress::h1::response::{self, Framing, ResponseHead};
use crate::ingress::problem::{Problem, Verbatim};
use crate::ingress::relay::Body;
use crate::ingress::relay::Output;
use crate::ingress::snapshot::{ForwardAuth, UpstreamAddress};
use crate::ingress::socket::Socket;
use crate::ingress::transaction::{Peer, Transaction};
use crate::ingress::view::{RequestView, client_address};

/// Largest answer passed on to the client, head included.
const MAX_ANSWER: usize = 128 << 10;

/// Asks about the request; headers of a good answer are noted for the upstream.
pub(crate) async fn ask(auth: &ForwardAuth, tx: &mut Transaction, peer: &Peer) -> Result<(), Problem> {
    let question = question(auth, tx, peer);
    let asking = exchange(&auth.address, &question);
    let answered = tokio::time::timeout(Duration::from_millis(auth.timeout_ms), asking).await;
    let Some((head, bytes, body)) = answered.ok().flatten() else { return Err(Problem::auth_unavailable()) };
    if (200..300).contains(&head.status) {
        for line in &head.lines {
            let name = line.name.get(&bytes);
            if let Some(name) = auth.copy_headers.iter().find(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes())) {
                let value = String::from_utf8_lossy(line.value.get(&bytes)).into_owned();
                tx.add_to_request(&name.to_ascii_lowercase(), value);
            }
        }
        return Ok(());
    }
    let end_to_end = head.lines.iter().filter(|line| line.kind == Kind::Keep);
    let headers = end_to_end.map(|line| {
        let name = String::from_utf8_lossy(line.name.get(&bytes)).to_ascii_lowercase();
        (name.into(), String::from_utf8_lossy(line.value.get(&bytes)).into_owned())
    });
    Err(Problem::verbatim(head.status, Verbatim { headers: headers.collect(), body }))
}

/// A GET with the client's headers and what the request is about.
fn question(auth: &ForwardAuth, tx: &Transaction, peer: &Peer) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    let host = match &auth.address {
        _ if !auth.host.is_empty() => auth.host.clone(),
        UpstreamAddress::Tcp(address) => address.to_string(),
        UpstreamAddress::Unix(_) => "auth".to_owned(),
    };
    let _ = write!(out, "GET {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n", auth.path);
    for line in &tx.head.lines {
        let name = line.name.get(&tx.bytes);
        if matches!(classify(name), Kind::Keep | Kind::Accept | Kind::UserAgent) {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(line.value.get(&tx.bytes));
            out.extend_from_slice(b"\r\n");
        }
    }
    let proto = if peer.is_tls { "https" } else { "http" };
    let client = client_address(&tx.table, tx, peer);
    let _ = write!(
        out,
        "x-forwarded-proto: {proto}\r\nx-forwarded-for: {client}\r\nx-request-id: {}\r\n",
        String::from_utf8_lossy(tx.request_id())
    );
    for (name, value) in [
        ("x-forwarded-method", tx.method()),
        ("x-forwarded-host", tx.head.host.get(&tx.bytes)),
        ("x-forwarded-uri", tx.head.target.get(&tx.bytes)),
    ] {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// One request on a connection of its own; head, its bytes, and the body.
async fn exchange(address: &UpstreamAddress, question: &[u8]) -> Option<(ResponseHead, Vec<u8>, Vec<u8>)> {
    let mut socket = match address {
        UpstreamAddress::Tcp(address) => Socket::connect_tcp(*address).await.ok()?,
        UpstreamAddress::Unix(path) => Socket::connect_unix(path).await.ok()?,
    };
    socket.write_all(question).await.ok()?;
    let mut bytes = Vec::with_capacity(4_096);
    let head = loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 || bytes.len() > MAX_ANSWER {
            return None;
        }
        match response::parse(&bytes, false, Vec::new()).ok()? {
            Some(head) if !head.is_interim() => break head,
            Some(head) => drop(bytes.drain(..head.len)),
            None => {}
        }
    };
    let mut rest = bytes.split_off(head.len);
    let mut body = Body::of_response(head.framing, Output::Plain);
    let mut content = Vec::new();
    loop {
        let used = body.transform(&rest, &mut content).ok()?;
        rest.drain(..used);
        if body.is_done() {
            break;
        }
        let read = socket.read_buf(&mut rest).await.ok()?;
        if read == 0 {
            if head.framing == Framing::UntilClose {
                break;
            }
            return None;
        }
        if content.len() + rest.len() > MAX_ANSWER {
            return None;
        }
    }
    Some((head, bytes, content))
}
