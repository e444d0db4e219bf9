//! RFC 9113 and RFC 7541, section by section, in frames written by hand: what a server must refuse, with which error,
//! and what it must let pass.

mod frames;
mod messages;
mod windows;

use super::h2_client::*;
use super::harness::*;

const DATA: u8 = 0;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 0x20;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;
/// Where RFC 9113 names a special error the framing layer below us may say the general one: the connection ends all the
/// same.
const BAD_BLOCK: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];

/// What has to happen.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// The connection ends with one of these errors.
    Connection(&'static [u32]),
    /// The stream ends with one of these errors, or the whole connection does (RFC 9113 section 5.4.1 allows that).
    Stream(u32, &'static [u32]),
    /// The stream is answered with 200.
    Served(u32),
    /// Nothing: a PING sent behind it is answered.
    Alive,
}

/// A case: what it is, what is sent, what has to happen.
type Case = (&'static str, Vec<Vec<u8>>, Want);

/// The head of a GET on a stream, complete.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(&GET))
}

/// The head of a POST whose body follows, to an upstream that never answers.
fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &fields(&silent(b"POST")))
}

/// A complete request that stays unanswered: the stream is half closed.
fn half_closed(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(&silent(b"GET")))
}

fn silent(method: &'static [u8]) -> [(&'static [u8], &'static [u8]); 4] {
    [(b":method", method), (b":scheme", b"http"), (b":authority", b"silent.test"), (b":path", b"/")]
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn ping(tag: u8) -> Vec<u8> {
    frame(PING, 0, 0, &[tag; 8])
}

async fn start() -> (Vec<Server>, Ingress) {
    let quiet = Server::start(|mut wire| async move { drop(wire.rest().await) }).await;
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    let ingress = Ingress::start(vec![route("a", &[server.address]), route("silent", &[quiet.address])]).await;
    (vec![server, quiet], ingress)
}

/// Reads until this PING is answered; an error of any kind on the way is one.
async fn alive(wire: &mut Wire, tag: u8) -> Result<(), String> {
    wire.send(ping(tag)).await;
    while let Some((kind, flags, on, payload)) = next(wire).await {
        match kind {
            PING if flags == ACK && payload == [tag; 8] => return Ok(()),
            RST_STREAM | GOAWAY => return Err(format!("frame {kind} on {on}: {payload:?}")),
            SETTINGS if flags == 0 => wire.send(frame(SETTINGS, ACK, 0, &[])).await,
            _ => {}
        }
    }
    Err("closed".into())
}

/// Runs each case on a connection of its own and lists those that went otherwise.
async fn check(cases: Vec<Case>) {
    let (_servers, ingress) = start().await;
    let mut wrong = Vec::new();
    for (what, parts, want) in cases {
        let mut wire = raw(&ingress).await;
        for part in parts {
            wire.send(part).await;
        }
        let got = match want {
            Want::Alive => alive(&mut wire, 77).await.err(),
            Want::Served(stream) => {
                let end = end_of(&mut wire, stream).await;
                (end != End::Answered(0x88)).then(|| format!("{end:?}"))
            }
            Want::Stream(stream, codes) => match end_of(&mut wire, stream).await {
                End::Reset(code) | End::GoAway(code) if codes.contains(&code) => None,
                end => Some(format!("{end:?}")),
            },
            Want::Connection(codes) => match end_of(&mut wire, u32::MAX).await {
                // What comes after GOAWAY is only the end (section 5.4.1).
                End::GoAway(code) if codes.contains(&code) => (!wire.rest().await.is_empty()).then(|| "goes on".into()),
                end => Some(format!("{end:?}")),
            },
        };
        if let Some(got) = got {
            wrong.push(format!("{what}: wanted {want:?}, got {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
