//! The listening sockets of the process beside those of HTTP: bound, shared with workers and successors, closed.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::doors::Change;
use super::model::{Key, Transport};
use super::table::Listeners;
use crate::ingress::listen;

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Handle {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Handle {
    pub(crate) fn of(protocol: Transport, fd: OwnedFd) -> Self {
        match protocol {
            Transport::Tcp => Self::Tcp(fd.into()),
            Transport::Udp => Self::Udp(fd.into()),
        }
    }

    /// Another handle of the same socket.
    pub(crate) fn share(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Udp(socket) => Self::Udp(socket.try_clone()?),
        })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Udp(socket) => socket.local_addr().ok(),
        }
    }
}

/// All of them, one for each worker and key.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    bound: BTreeMap<Key, Bound>,
    /// Why a socket could not be bound.
    errors: HashMap<Key, String>,
    workers: usize,
}

#[derive(Debug)]
struct Bound {
    handles: Vec<Handle>,
    /// How long connections may go on when it is closed.
    drain_ms: u64,
    /// The workers serve on it.
    is_served: bool,
}

impl Ports {
    /// `inherited`: sockets a predecessor handed over.
    pub(crate) fn new(workers: usize, inherited: Vec<(Key, Handle)>) -> Self {
        let mut ports = Self { workers, ..Self::default() };
        for (key, handle) in inherited {
            let bound = Bound { handles: Vec::new(), drain_ms: 0, is_served: false };
            ports.bound.entry(key).or_insert(bound).handles.push(handle);
        }
        ports
    }

    /// Binds what the table has and is not bound yet, lets go of what it has not; what each worker has to do.
    pub(crate) fn follow(&mut self, table: &Listeners) -> Vec<Change> {
        let mut changes: Vec<Change> = (0..self.workers).map(|_| Change::default()).collect();
        let gone: Vec<Key> = self.bound.keys().filter(|key| table.find(**key).is_none()).copied().collect();
        for key in gone {
            let drain_ms = self.bound.remove(&key).map_or(0, |bound| bound.drain_ms);
            changes.iter_mut().for_each(|change| change.close.push((key, drain_ms)));
        }
        self.errors.clear();
        for entry in &table.entries {
            let key = entry.listener.key();
            if let Err(error) = self.open(key, entry.listener.drain_ms, &mut changes) {
                self.errors.insert(key, error);
            }
        }
        changes
    }

    fn open(&mut self, key: Key, drain_ms: u64, changes: &mut [Change]) -> Result<(), String> {
        if !self.bound.contains_key(&key) {
            let handles = bind(key, self.workers)?;
            self.bound.insert(key, Bound { handles, drain_ms, is_served: false });
        }
        let Some(bound) = self.bound.get_mut(&key) else { return Ok(()) };
        bound.drain_ms = drain_ms;
        if !bound.is_served {
            // A predecessor may have had more workers or fewer: every socket needs somebody who serves on it.
            for (index, handle) in bound.handles.iter().enumerate() {
                let copy = handle.share().map_err(|error| error.to_string())?;
                changes[index % self.workers].open.push((key, copy));
            }
            bound.is_served = true;
        }
        Ok(())
    }

    /// Some sockets could not be bound: it is worth trying again.
    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Where it listens, or why not.
    pub(crate) fn state(&self, key: Key) -> (Option<SocketAddr>, Option<String>) {
        let address = self.bound.get(&key).and_then(|bound| bound.handles.first()).and_then(Handle::address);
        (address, self.errors.get(&key).cloned())
    }

    /// Copies for a successor.
    pub(crate) fn share(&self) -> io::Result<Vec<(Key, Handle)>> {
        let all = self.bound.iter().flat_map(|(key, bound)| bound.handles.iter().map(move |handle| (*key, handle)));
        all.map(|(key, handle)| Ok((key, handle.share()?))).collect()
    }

    /// Lets go of all; workers close theirs when they drain.
    pub(crate) fn clear(&mut self) {
        self.bound.clear();
        self.errors.clear();
    }
}

fn bind(key: Key, workers: usize) -> Result<Vec<Handle>, String> {
    match key.protocol {
        Transport::Tcp => {
            let bound = listen::bind(key.address, workers).map_err(|error| error.to_string())?;
            Ok(bound.into_iter().map(Handle::Tcp).collect())
        }
        Transport::Udp => {
            bind_udp(key.address, workers).map_err(|error| format!("cannot listen on {} (UDP): {error}", key.address))
        }
    }
}

/// Binds `count` sockets to the address; the kernel spreads clients over them.
fn bind_udp(address: SocketAddr, count: usize) -> io::Result<Vec<Handle>> {
    // Without sharing first: another process that listens there must not lose half its clients to us.
    if address.port() != 0 {
        open_udp(address, false)?;
    }
    let first = open_udp(address, true)?;
    let address = first.local_addr()?;
    let mut all = vec![Handle::Udp(first)];
    while all.len() < count {
        all.push(Handle::Udp(open_udp(address, true)?));
    }
    Ok(all)
}

fn open_udp(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
