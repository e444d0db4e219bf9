//! An upgrade without a lost connection: the running ingress gives its listening sockets to the new one.
//!
//! 1. The successor sends `POST /v1/handover` with `Upgrade: wharf-handover` on the control socket.
//! 2. The predecessor answers 101, then a length-prefixed JSON [`Offer`], then the sockets (`SCM_RIGHTS`). From here
//!    on it refuses new snapshots, so none gets lost between the two.
//! 3. The successor serves on the same sockets and says so with [`READY`].
//! 4. The predecessor lets go of lock and control socket, answers [`RELEASED`], and drains.
//!
//! Both serve between 3 and 4. The sockets are never closed in between, so nothing in their queues is lost. If the
//! successor dies before step 3, the predecessor goes on as if nothing had happened.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::control::{Control, Leave, problem};
use super::error::IngressError;
use super::l4::model::Key;
use super::l4::ports::Handle;
use super::listen::Door;
use super::snapshot::Snapshot;

const PROTOCOL: &str = "wharf-handover";
const READY: u8 = b'R';
const RELEASED: u8 = b'D';
/// Sockets per message; the kernel allows 253.
const BATCH: usize = 64;
/// A successor that does not come up within this is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the successor gets beside the sockets.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    /// One per socket, in order: whether TLS is spoken on it.
    tls: Vec<bool>,
    /// What the sockets behind those are.
    #[serde(default)]
    ports: Vec<Key>,
    snapshot: Snapshot,
}

/// The predecessor's side: answers the request and goes on in the background.
pub(crate) fn offer(control: &Arc<Control>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let asked = request.headers().get(hyper::header::UPGRADE).is_some_and(|value| value == PROTOCOL);
    if !asked {
        return problem(StatusCode::UPGRADE_REQUIRED, "a handover needs `Upgrade: wharf-handover`");
    }
    if *control.leave.borrow() != Leave::Stay {
        return problem(StatusCode::CONFLICT, "this ingress is leaving already");
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let control = Arc::clone(control);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<UnixStream>>() else { return };
        let given = tokio::time::timeout(PATIENCE, give(&control, parts.io.into_inner())).await;
        if !matches!(given, Ok(Ok(()))) {
            tracing::warn!("a successor asked for the sockets but did not come up; serving on");
            control.engine.handover_failed();
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(hyper::header::CONNECTION, hyper::header::HeaderValue::from_static("upgrade"));
    headers.insert(hyper::header::UPGRADE, hyper::header::HeaderValue::from_static(PROTOCOL));
    response
}

async fn give(control: &Control, mut stream: UnixStream) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let doors = control.engine.begin_handover()?;
    let ports = control.engine.share_ports()?;
    let offer = Offer {
        tls: doors.iter().map(|door| door.is_tls).collect(),
        ports: ports.iter().map(|(key, _)| *key).collect(),
        snapshot: (*control.engine.table().snapshot).clone(),
    };
    let text = serde_json::to_vec(&offer)?;
    stream.write_u32(text.len() as u32).await?;
    stream.write_all(&text).await?;
    let ports = ports.iter().map(|(_, handle)| handle.as_fd());
    let all: Vec<_> = doors.iter().map(|door| door.listener.as_fd()).chain(ports).collect();
    for fds in all.chunks(BATCH) {
        stream.async_io(tokio::io::Interest::WRITABLE, || send_fds(stream.as_fd(), fds)).await?;
    }
    if stream.read_u8().await? != READY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    control.leave.send_replace(Leave::Succeeded);
    let mut released = control.released.clone();
    released.wait_for(|released| *released).await.map_err(io::Error::other)?;
    stream.write_u8(RELEASED).await
}

fn send_fds(socket: BorrowedFd<'_>, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(socket, &[IoSlice::new(b"F")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// What a successor received; the predecessor still serves.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub snapshot: Snapshot,
    pub doors: Vec<Door>,
    /// Those beside HTTP.
    pub ports: Vec<(Key, Handle)>,
    stream: StdUnixStream,
}

impl Inheritance {
    /// Tells the predecessor that we serve; returns when it has let go of lock and control socket. Blocks.
    pub(crate) fn take_over(mut self) -> Result<(), IngressError> {
        let mut answer = [0u8; 1];
        self.stream.write_all(&[READY]).and_then(|()| self.stream.read_exact(&mut answer)).map_err(failed)?;
        if answer[0] == RELEASED {
            Ok(())
        } else {
            Err(IngressError::Handover { reason: "it gave an unknown answer".into() })
        }
    }
}

fn failed(error: io::Error) -> IngressError {
    IngressError::Handover { reason: error.to_string() }
}

/// The successor's side: asks the ingress at `socket` for its listening sockets. `None` when nobody is there. Blocks.
pub(crate) fn inherit(socket: &Path) -> Result<Option<Inheritance>, IngressError> {
    let Ok(mut stream) = StdUnixStream::connect(socket) else { return Ok(None) };
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = format!(
        "POST /v1/handover HTTP/1.1\r\nhost: ingress\r\nconnection: upgrade\r\nupgrade: {PROTOCOL}\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0u8; 1];
        stream.read_exact(&mut byte).map_err(failed)?;
        head.push(byte[0]);
        if head.len() > 4096 {
            return Err(IngressError::Handover { reason: "its answer is not HTTP".into() });
        }
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        return Err(IngressError::Handover { reason: format!("it answered `{line}`") });
    }
    let mut length = [0u8; 4];
    stream.read_exact(&mut length).map_err(failed)?;
    let mut text = vec![0u8; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut text).map_err(failed)?;
    let offer: Offer =
        serde_json::from_slice(&text).map_err(|error| IngressError::Handover { reason: error.to_string() })?;
    let mut listeners = Vec::new();
    while listeners.len() < offer.tls.len() + offer.ports.len() {
        let fds = receive_fds(&stream).map_err(failed)?;
        if fds.is_empty() {
            return Err(IngressError::Handover { reason: "sockets are missing".into() });
        }
        listeners.extend(fds);
    }
    let ports = listeners.split_off(offer.tls.len());
    let ports = ports.into_iter().zip(offer.ports).map(|(fd, key)| (key, Handle::of(key.protocol, fd))).collect();
    let door = |(fd, is_tls)| Door { listener: TcpListener::from(fd), is_tls };
    let doors = listeners.into_iter().zip(offer.tls).map(door).collect();
    Ok(Some(Inheritance { snapshot: offer.snapshot, doors, ports, stream }))
}

fn receive_fds(stream: &StdUnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0u8; 1];
    recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(fds)
}
