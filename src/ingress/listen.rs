//! Binding listening sockets: one per worker and address, so that the kernel spreads connections over the threads.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::error::IngressError;
use super::l4::model::Key;
use super::l4::ports::Handle;

/// A listening socket and what is spoken on it.
#[derive(Debug)]
pub(crate) struct Door {
    pub listener: TcpListener,
    pub is_tls: bool,
}

impl Door {
    /// Another handle of the same socket.
    pub(crate) fn share(&self) -> std::io::Result<Self> {
        Ok(Self { listener: self.listener.try_clone()?, is_tls: self.is_tls })
    }
}

/// All listening sockets the process begins with.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub doors: Vec<Door>,
    /// Those beside HTTP that a predecessor handed over.
    pub ports: Vec<(Key, Handle)>,
}

/// Connections the kernel may queue per socket.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to the address (port 0: all to the same free port). Says exactly what failed.
pub(crate) fn bind(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, IngressError> {
    let failed = |source| IngressError::Bind { address, source };
    // A first socket without SO_REUSEPORT finds out whether anybody else listens there, even another ingress: sharing
    // a port by accident would split the traffic between strangers.
    if address.port() != 0 {
        open(address, false).map_err(failed)?;
    }
    let first = open(address, true).map_err(failed)?;
    let address = first.local_addr().map_err(failed)?;
    let mut all = vec![first];
    while all.len() < count {
        all.push(open(address, true).map_err(failed)?);
    }
    Ok(all)
}

fn open(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` means IPv6 alone, so that `0.0.0.0` can stand beside it whatever the system's default is.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}
