//! One request and all that is learned about it on its way through the phases.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use super::balance::Choice;
use super::core::{Random, TableRef};
use super::entry::RouteEntry;
use super::h1::header::{Kind, Span};
use super::h1::request::RequestHead;
use super::phases::valve::Permit;
use super::stats::UpstreamState;

/// Longest request id taken from a client.
const MAX_REQUEST_ID: usize = 64;

/// The client's end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub address: SocketAddr,
    /// The address as text, rendered once per connection.
    pub text: Rc<str>,
    /// Port the client connected to.
    pub local_port: u16,
    pub is_tls: bool,
    pub is_http2: bool,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub started: Instant,
    /// The bytes of the request head; all spans of `head` point into it.
    pub bytes: Vec<u8>,
    pub head: RequestHead,
    pub table: Rc<TableRef>,
    /// Index of the route in the table, once found.
    pub route: Option<usize>,
    /// Index of the last upstream tried.
    pub upstream: Option<usize>,
    /// Index of the backend chosen, where the route has several.
    pub backend: Option<usize>,
    /// The answer sets the cookie that makes the client stick to its upstream.
    pub set_cookie: bool,
    /// What it holds while it is with the upstreams.
    pub permit: Option<Box<Permit>>,
    /// What phases add to the messages; most requests have none.
    pub extra: Option<Box<Extra>>,
    /// Where the client's own id stands in `bytes`, when it sent a sane one.
    sent_id: Option<Span>,
    /// `traceparent` to send on: the client's own when valid, else a new one.
    pub trace: Trace,
    /// Status answered; 0 = none.
    pub status: u16,
    /// The request body was read to its end: the connection can carry another request.
    pub body_read: bool,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Microseconds until the upstream's response head.
    pub upstream_micros: Option<u64>,
    /// Connections tried.
    pub attempts: u32,
    /// What went wrong, in a word for the log.
    pub error: Option<&'static str>,
}

/// Headers that phases add to the messages of one request; names in lower case.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub request: Vec<(Box<str>, String)>,
    pub response: Vec<(Box<str>, String)>,
}

/// W3C trace context of the request.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The value of the header.
    pub parent: [u8; 55],
    /// It was made here.
    pub is_new: bool,
}

impl Transaction {
    pub(crate) fn new(bytes: Vec<u8>, head: RequestHead, table: Rc<TableRef>, random: &Random) -> Self {
        let mut parents = head.lines.iter().filter(|line| line.kind == Kind::TraceParent);
        // Sent twice it is not valid: nobody can say which one is meant.
        let parent = parents.next().filter(|_| parents.next().is_none());
        let trace = Trace::of(parent.map(|line| line.value.get(&bytes)), random);
        let sent_id = head.lines.iter().find(|line| line.kind == Kind::RequestId).map(|line| line.value);
        Self {
            started: Instant::now(),
            sent_id: sent_id.filter(|id| is_sane_id(id.get(&bytes))),
            bytes,
            head,
            table,
            route: None,
            upstream: None,
            backend: None,
            set_cookie: false,
            permit: None,
            extra: None,
            trace,
            status: 0,
            body_read: false,
            bytes_in: 0,
            bytes_out: 0,
            upstream_micros: None,
            attempts: 0,
            error: None,
        }
    }

    /// The id of the request: the client's own when it is sane, else that of the trace.
    pub(crate) fn request_id(&self) -> &[u8] {
        self.sent_id.map_or(self.trace.id(), |id| id.get(&self.bytes))
    }

    /// The route found for it.
    pub(crate) fn entry(&self) -> Option<&RouteEntry> {
        self.route.map(|index| &self.table.routes[index])
    }

    /// This upstream is tried next.
    pub(crate) fn take(&mut self, choice: Choice) {
        self.upstream = Some(choice.upstream);
        self.backend = choice.backend;
        self.set_cookie = choice.set_cookie;
    }

    /// Adds a header to the response, whoever gives it.
    pub(crate) fn add_to_response(&mut self, name: &str, value: impl Into<String>) {
        self.extra.get_or_insert_default().response.push((name.into(), value.into()));
    }

    /// Adds a header to the request as the upstream gets it.
    pub(crate) fn add_to_request(&mut self, name: &str, value: String) {
        self.extra.get_or_insert_default().request.push((name.into(), value));
    }

    /// Headers to add to the response.
    pub(crate) fn response_extra(&self) -> &[(Box<str>, String)] {
        self.extra.as_ref().map_or(&[], |extra| &extra.response)
    }

    /// The last upstream tried.
    pub(crate) fn upstream_state(&self) -> Option<&UpstreamState> {
        let entry = self.entry()?;
        Some(&entry.upstreams[self.upstream?])
    }

    /// A gRPC call: errors are told in `grpc-status`.
    pub(crate) fn is_grpc(&self) -> bool {
        super::grpc::is_call(&self.head, &self.bytes)
    }

    /// Browsers get a page, programs get problem+json.
    pub(crate) fn wants_html(&self) -> bool {
        self.head
            .find(&self.bytes, Kind::Accept)
            .is_some_and(|accept| accept.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html")))
    }
}

fn is_sane_id(id: &[u8]) -> bool {
    (8..=MAX_REQUEST_ID).contains(&id.len())
        && id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl Trace {
    /// Takes over a valid `traceparent` or starts a trace.
    pub(crate) fn of(header: Option<&[u8]>, random: &Random) -> Self {
        if let Some(parent) = header.and_then(valid_parent) {
            return Self { parent, is_new: false };
        }
        let mut parent = *b"00-00000000000000000000000000000000-0000000000000000-01";
        parent[3..35].copy_from_slice(&random.hex::<32>());
        parent[36..52].copy_from_slice(&random.hex::<16>());
        Self { parent, is_new: true }
    }

    /// The trace id, 32 hex digits.
    pub(crate) fn id(&self) -> &[u8] {
        &self.parent[3..35]
    }
}

/// Version 00 to fe, ids not all zero, lower-case hex. What a later version appends is left off, and what goes on is
/// of the version known here.
fn valid_parent(value: &[u8]) -> Option<[u8; 55]> {
    let mut parent: [u8; 55] = value.get(..55)?.try_into().ok()?;
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let set = |part: &[u8]| hex(part) && part.iter().any(|b| *b != b'0');
    let dashes = parent[2] == b'-' && parent[35] == b'-' && parent[52] == b'-';
    let version_ok = hex(&parent[..2]) && &parent[..2] != b"ff";
    let rest_ok = value.len() == 55 || (&parent[..2] != b"00" && value[55] == b'-');
    let is_valid = dashes && version_ok && rest_ok && set(&parent[3..35]) && set(&parent[36..52]) && hex(&parent[53..]);
    parent[..2].copy_from_slice(b"00");
    is_valid.then_some(parent)
}
