//! Tests of the data plane: pure parts by table and property, the rest with real sockets on free ports.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bodies;
mod framing;
mod harness;
mod life;
mod proxying;
mod pure;
mod resilience;
mod tls;
