//! Which cipher suites TLS uses, and in which order we like them. `docs/decisions/008-cost-of-tls.md` has the figures.
//!
//! AES-128-GCM with SHA-256 stands before AES-256-GCM with SHA-384: processors have instructions for SHA-256, not for
//! SHA-384, and the key schedule of a handshake is made of hashes. A client that puts ChaCha20 first has no AES
//! instructions; it gets AES nevertheless, as rustls knows one order for all.
//!
//! Key exchange groups are those of rustls: the client's order decides, so browsers get the hybrid X25519MLKEM768 and older
//! clients X25519.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite};

/// Tickets given to a client with each TLS 1.3 handshake. Clients use a ticket once and get a new one each time; a
/// second would only serve one that opens several connections at the same moment.
pub(crate) const TICKETS: usize = 1;

/// The provider with our preferences; they hold when the server's order is the one that counts.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    })
}
