//! Ports of services that do not speak HTTP: TCP and UDP, passed on as they are.
//!
//! What is exposed stands in the snapshot ([`model::Listener`]). A TCP port is passed on untouched, or its TLS is read:
//! by the server name in the greeting a connection is passed on still encrypted, or TLS ends here ([`greeting`]).
//! UDP is kept in sessions by client address ([`udp`]).
//!
//! The process binds the sockets, one for each worker ([`ports`]); each worker accepts on its own ([`doors`]), as it
//! does for HTTP. A port that cannot be bound is said in the status and tried again; it never holds up the rest of the
//! snapshot. A port that leaves the snapshot is closed at once; its connections get [`model::Listener::drain_ms`].
//! Sockets go to a successor with those of HTTP.
//!
//! Invariants: every wait has a deadline; connections, sessions and their memory are bounded; a connection keeps the
//! table it began with.

pub(crate) mod doors;
mod greeting;
mod log;
pub(super) mod model;
pub(crate) mod ports;
pub(crate) mod stats;
pub(crate) mod table;
mod tcp;
mod udp;
pub(crate) mod validate;
