//! Idle keep-alive connections to upstreams, one pool per thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::h2::client::Links;
use super::socket::Socket;
use super::table::Table;

/// Idle connections kept per upstream and thread.
const MAX_IDLE: usize = 256;
/// An idle connection older than this is closed: many servers close theirs after a minute.
const MAX_AGE_MS: u64 = 55_000;
/// A request that must not be repeated only takes a connection used this recently: servers commonly close idle
/// connections after 2 to 5 s, and such a close may cross with our request.
const FRESH_MS: u64 = 1_500;

#[derive(Debug)]
struct Idle {
    socket: Socket,
    since_ms: u64,
}

/// The pool of one thread, keyed by the serial of the upstream.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<u64, Vec<Idle>, BuildHasherDefault<SerialHasher>>>,
    /// Connections that carry many requests at a time.
    pub links: Links,
}

/// Serials are our own and in order, so nobody can make them collide: one multiplication spreads them.
#[derive(Debug, Default)]
struct SerialHasher(u64);

impl Hasher for SerialHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, serial: u64) {
        self.0 = (self.0 ^ serial).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Pool {
    /// The connection used last, if it still seems open. `repeatable`: the request may be sent again if it is not.
    pub(crate) fn take(&self, upstream: u64, now_ms: u64, repeatable: bool) -> Option<Socket> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&upstream)?;
        while let Some(last) = list.pop() {
            let age = now_ms.saturating_sub(last.since_ms);
            if age > MAX_AGE_MS {
                list.clear();
                return None;
            }
            if !repeatable && age > FRESH_MS {
                list.push(last);
                return None;
            }
            // The kernel is asked only where a wrong guess costs something: fresh connections for repeatable
            // requests are taken as they are.
            if (repeatable && age < FRESH_MS) || last.socket.is_quiet() {
                return Some(last.socket);
            }
        }
        None
    }

    /// Keeps a connection whose response is complete.
    pub(crate) fn put(&self, upstream: u64, socket: Socket, now_ms: u64) {
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(upstream).or_default();
        if list.len() < MAX_IDLE {
            list.push(Idle { socket, since_ms: now_ms });
        }
    }

    /// Closes connections to upstreams that the table does not use any more.
    pub(crate) fn keep_only(&self, table: &Table) {
        let mut used = std::collections::HashSet::new();
        for route in &table.routes {
            for (upstream, state) in route.route.upstreams.iter().zip(&route.upstreams) {
                if !upstream.draining {
                    used.insert(state.serial);
                }
            }
        }
        self.idle.borrow_mut().retain(|serial, _| used.contains(serial));
        self.links.keep_only(|serial| used.contains(&serial));
    }

    /// Closes connections that grew old or that the upstream has closed.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.links.sweep(now_ms);
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|idle| now_ms.saturating_sub(idle.since_ms) <= MAX_AGE_MS && idle.socket.is_quiet());
            !list.is_empty()
        });
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        self.links.clear();
        self.idle.borrow_mut().clear();
    }
}
