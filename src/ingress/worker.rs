//! Worker threads: each runs its own single-threaded runtime, accepts on its own sockets and shares nothing.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use super::buffer::Buffer;
use super::clock::Slot;
use super::connection::Connection;
use super::core::{Core, Order};
use super::error::IngressError;
use super::h2;
use super::listen::Door;
use super::proxy_protocol::{self, Header};
use super::shared::{Admission, Shared};
use super::socket::Socket;
use super::table::Table;
use super::tls;
use super::transaction::Peer;

/// A PROXY header is sent at once, or it is none.
const HERALD_TIMEOUT: Duration = Duration::from_secs(5);
/// A TLS handshake that takes longer is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after accepting failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running worker thread. It ends when its order channel is closed.
#[derive(Debug)]
pub(crate) struct Worker {
    pub orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts worker number `index`; it accepts at its doors at once.
    pub(crate) fn start(
        index: usize,
        shared: Arc<Shared>,
        table: Arc<Table>,
        doors: Vec<Door>,
        tls: &Arc<ServerConfig>,
    ) -> Result<Self, IngressError> {
        let failed = |source| IngressError::Worker { worker: index, source };
        let (orders, inbox) = mpsc::unbounded_channel();
        let bare = tls::without_protocols(tls);
        let tls = TlsAcceptor::from(Arc::clone(tls));
        let (report, failure) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("ingress-{index}"))
            .spawn(move || {
                // The runtime cannot leave the thread it is made on.
                let runtime = match runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(report.send(error)),
                };
                drop(report);
                let core = Core::new(index, shared, table, bare);
                runtime.block_on(run(core, doors, tls, inbox));
            })
            .map_err(failed)?;
        match failure.recv() {
            Ok(source) => Err(failed(source)),
            Err(_) => Ok(Self { orders, thread }),
        }
    }

    /// Waits for the thread's end; connections still open are cut.
    pub(crate) fn stop(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}

fn runtime() -> std::io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

async fn run(core: Rc<Core>, doors: Vec<Door>, tls: TlsAcceptor, inbox: mpsc::UnboundedReceiver<Order>) {
    let ticking = Rc::clone(&core);
    spawn_local(Rc::clone(&core.clock).tick(move || ticking.housekeeping()));
    let mut accepting = Vec::new();
    for door in doors {
        let tls = door.is_tls.then(|| tls.clone());
        match TcpListener::from_std(door.listener) {
            Ok(listener) => accepting.push(spawn_local(accept(Rc::clone(&core), listener, tls))),
            Err(error) => tracing::error!(%error, "cannot use a listening socket"),
        }
    }
    core.obey(inbox, accepting).await;
}

async fn accept(core: Rc<Core>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    // What is accepted takes the option over from the listener.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&listener, true);
    let local_port = listener.local_addr().map_or(0, |local| local.port());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => begin(&core, stream, peer, local_port, tls.clone()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin(core: &Rc<Core>, mut stream: TcpStream, address: SocketAddr, local_port: u16, tls: Option<TlsAcceptor>) {
    core.shared.accepted.add(core.worker, 1);
    let table = core.table();
    let settings = &table.snapshot.settings;
    let ip = address.ip().to_canonical();
    // Of a load balancer's connections each counts for the client it is about.
    let is_heralded = table.is_heralded(ip);
    let per_address = if is_heralded { u32::MAX } else { settings.max_connections_per_address };
    let admitted = core.shared.admit(ip, settings.max_connections, per_address);
    let Some(admission) = admitted else {
        core.shared.turned_away.add(core.worker, 1);
        return;
    };
    let address = SocketAddr::new(ip, address.port());
    let mut peer = Peer { address, text: ip.to_string().into(), local_port, is_tls: tls.is_some(), is_http2: false };
    let core = Rc::clone(core);
    spawn_local(async move {
        let slot = core.clock.slot();
        let mut admission = admission;
        if is_heralded {
            match unwrap(&core, &slot, &mut stream, &mut peer).await {
                Ok(Some(real)) => admission = real,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(client = %peer.text, %error, "a connection is refused");
                    core.shared.refused.add(core.worker, 1);
                    return;
                }
            }
        }
        let socket = match tls {
            None => Socket::Tcp(stream),
            // Boxed: the handshake's state must not make every idle connection larger.
            Some(tls) => match slot.within(HANDSHAKE_TIMEOUT, Box::pin(tls.accept(stream))).await {
                Ok(Ok(stream)) => Socket::Tls(Box::new(stream)),
                Ok(Err(_)) | Err(_) => {
                    core.shared.refused.add(core.worker, 1);
                    return;
                }
            },
        };
        let connection = Connection { socket, input: Buffer::default(), peer, core, slot };
        if connection.socket.chose_http2() {
            Box::pin(h2::server::serve(connection)).await;
        } else {
            connection.serve().await;
        }
        drop(admission);
    });
}

/// Takes the PROXY header off and counts the connection for the client it names, if it names one.
async fn unwrap(
    core: &Core,
    slot: &Slot,
    stream: &mut TcpStream,
    peer: &mut Peer,
) -> Result<Option<Admission>, String> {
    let header = slot.within(HERALD_TIMEOUT, proxy_protocol::take(stream)).await;
    let header = header.map_err(|_| "its PROXY header did not come in time".to_owned())??;
    let Header::Proxied { client, server } = header else { return Ok(None) };
    let ip = client.ip().to_canonical();
    (peer.address, peer.text, peer.local_port) =
        (SocketAddr::new(ip, client.port()), ip.to_string().into(), server.port());
    let table = core.table();
    let settings = &table.snapshot.settings;
    let admitted = core.shared.admit(ip, settings.max_connections, settings.max_connections_per_address);
    let Some(admission) = admitted else {
        core.shared.turned_away.add(core.worker, 1);
        return Err("there are too many of its client".into());
    };
    Ok(Some(admission))
}
