//! A worker's listening sockets: one task for each, begun and ended as the engine orders.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{JoinHandle, spawn_local};

use super::model::Key;
use super::ports::Handle;
use super::{tcp, udp};
use crate::ingress::clock::NEVER;
use crate::ingress::core::Core;

/// Pause after accepting failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the engine tells a worker.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Serve on these.
    pub open: Vec<(Key, Handle)>,
    /// Close these; open connections may go on for so many milliseconds.
    pub close: Vec<(Key, u64)>,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.close.is_empty()
    }
}

/// A listening socket as its connections know it.
#[derive(Debug)]
pub(super) struct Port {
    pub key: Key,
    /// Time of the clock when connections are cut.
    pub cut_at: Cell<u64>,
}

#[derive(Debug)]
struct Door {
    port: Rc<Port>,
    /// One for each socket: a predecessor may have had more workers.
    tasks: Vec<JoinHandle<()>>,
}

impl Door {
    async fn close(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

/// The sockets of one worker.
#[derive(Debug, Default)]
pub(crate) struct Doors(RefCell<HashMap<Key, Door>>);

impl Doors {
    /// Carries out a change; sockets to be closed are closed when this returns.
    pub(crate) async fn change(&self, core: &Rc<Core>, change: Change) {
        for (key, drain_ms) in change.close {
            let removed = self.0.borrow_mut().remove(&key);
            if let Some(door) = removed {
                door.port.cut_at.set(core.clock.now_ms().saturating_add(drain_ms));
                door.close().await;
            }
        }
        // Whoever waits has to look at the new deadline.
        core.clock.wake_all();
        for (key, handle) in change.open {
            let mut doors = self.0.borrow_mut();
            let fresh = || Door { port: Rc::new(Port { key, cut_at: Cell::new(NEVER) }), tasks: Vec::new() };
            let door = doors.entry(key).or_insert_with(fresh);
            match serve(core, &door.port, handle) {
                Ok(task) => door.tasks.push(task),
                Err(error) => tracing::error!(%error, address = %key.address, "cannot use a listening socket"),
            }
        }
    }

    /// Closes all; open connections go on.
    pub(crate) async fn close(&self) {
        let all = std::mem::take(&mut *self.0.borrow_mut());
        for door in all.into_values() {
            door.close().await;
        }
    }
}

fn serve(core: &Rc<Core>, port: &Rc<Port>, handle: Handle) -> std::io::Result<JoinHandle<()>> {
    let (core, port) = (Rc::clone(core), Rc::clone(port));
    Ok(match handle {
        Handle::Tcp(listener) => spawn_local(accept(core, port, TcpListener::from_std(listener)?)),
        Handle::Udp(socket) => spawn_local(udp::serve(core, port, UdpSocket::from_std(socket)?)),
    })
}

async fn accept(core: Rc<Core>, port: Rc<Port>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                spawn_local(tcp::serve(Rc::clone(&core), Rc::clone(&port), stream, address));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
