//! HTTP/2 for tests: a proper client and server, and frames written by hand.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::*;

/// A client with prior knowledge.
pub(crate) async fn connect(ingress: &Ingress) -> SendRequest<Bytes> {
    let client = over(TcpStream::connect(ingress.address).await.unwrap()).await;
    // The settings are there: from now on the client knows how many streams it may open.
    until_some(|| async { client.is_extended_connect_protocol_enabled().then_some(()) }).await;
    client
}

/// A client on any stream.
pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    send
}

/// A request to `a.test`.
pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://a.test{path}")).body(()).unwrap()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub head: Response<()>,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).map(|value| value.to_str().unwrap())
    }
    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request with this body and takes in the whole answer.
pub(crate) async fn ask(client: &SendRequest<Bytes>, request: Request<()>, body: &[u8]) -> Result<Answer, h2::Error> {
    let mut client = timeout(LIMIT, client.clone().ready()).await.unwrap()?;
    let (response, mut send) = client.send_request(request, body.is_empty())?;
    let body = Bytes::copy_from_slice(body);
    let sending = async {
        send_all(&mut send, body).await;
        send
    };
    let receiving = async { take(timeout(LIMIT, response).await.unwrap()?).await };
    let (_send, answer) = futures_util::future::join(sending, receiving).await;
    answer
}

/// Sends content as the window allows, then the end of the stream; an error is for the reading side to find out.
async fn send_all(send: &mut h2::SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        send.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx));
        let Some(Ok(room)) = timeout(LIMIT, room).await.unwrap() else { return };
        let piece = body.split_to(room.min(body.len()));
        if send.send_data(piece, body.is_empty()).is_err() {
            return;
        }
    }
}

/// Takes in a response to its end.
pub(crate) async fn take(response: Response<h2::RecvStream>) -> Result<Answer, h2::Error> {
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = timeout(LIMIT, stream.data()).await.unwrap() {
        let data = data?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    let trailers = timeout(LIMIT, stream.trailers()).await.unwrap()?;
    Ok(Answer { head: Response::from_parts(parts, ()), body, trailers })
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Header fields as literals that are not indexed, without Huffman coding.
pub(crate) fn fields(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            assert!(text.len() < 127 + 128);
            match text.len() {
                length @ 0..127 => out.push(length as u8),
                length => out.extend([127, (length - 127) as u8]),
            }
            out.extend_from_slice(text);
        }
    }
    out
}

pub(crate) const HEADERS: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The usual pseudo headers of a GET.
pub(crate) const GET: [(&[u8], &[u8]); 4] =
    [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/")];

/// A connection on which frames are written by hand; settings are exchanged.
pub(crate) async fn raw(ingress: &Ingress) -> Wire {
    let mut wire = ingress.connect().await;
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    wire.send(frame(4, 0, 0, &[])).await;
    wire
}

/// The next frame: kind, flags, stream and payload; `None` when the connection has ended.
pub(crate) async fn next(wire: &mut Wire) -> Option<(u8, u8, u32, Vec<u8>)> {
    let head = wire.up_to(9).await;
    let [a, b, c, kind, flags, s1, s2, s3, s4] = head.try_into().ok()?;
    let payload = wire.up_to(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)).await;
    Some((kind, flags, u32::from_be_bytes([s1, s2, s3, s4]), payload))
}

/// How a stream, or the connection, ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The first octet of the response's head: an index into the static table tells the status.
    Answered(u8),
    Reset(u32),
    GoAway(u32),
    Closed,
}

/// Reads until the stream or the connection ends; answers settings and pings.
pub(crate) async fn end_of(wire: &mut Wire, stream: u32) -> End {
    let code = |payload: &[u8], at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    while let Some((kind, flags, on, payload)) = next(wire).await {
        match kind {
            1 if on == stream => return End::Answered(payload[0]),
            3 if on == stream => return End::Reset(code(&payload, 0)),
            4 if flags == 0 => wire.send(frame(4, 1, 0, &[])).await,
            7 => return End::GoAway(code(&payload, 4)),
            _ => {}
        }
    }
    End::Closed
}
