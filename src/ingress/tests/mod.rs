//! Tests of the data plane: pure parts by table and property, the rest with real sockets on free ports.

mod access;
mod bodies;
mod compression;
mod differential;
mod edges;
mod faults;
mod framing;
mod fuzz;
mod grpc;
mod h2;
mod h2_attacks;
mod h2_client;
mod h2_conformance;
mod harness;
mod l4;
mod life;
mod proxy_headers;
mod proxying;
mod pure;
mod resilience;
mod routing;
mod tls;
