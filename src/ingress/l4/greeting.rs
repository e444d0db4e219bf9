//! Reads what a TLS client says first, so that it can be passed on or answered.

use rustls::server::Acceptor;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest greeting. Those of today's clients have less than 2 KiB, with post-quantum keys.
const MAX: usize = 64 * 1024;

/// A client's greeting.
#[derive(Debug)]
pub(super) struct Greeting {
    /// All that was read.
    pub bytes: Vec<u8>,
    /// The server it wants.
    pub name: Option<String>,
}

/// Reads the greeting; the error says why it is none. The deadline is the caller's.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Greeting, &'static str> {
    let mut bytes = Vec::with_capacity(2048);
    let mut acceptor = Acceptor::default();
    loop {
        let before = bytes.len();
        match stream.read_buf(&mut bytes).await {
            Ok(1..) if bytes.len() <= MAX => {}
            Ok(1..) => return Err("greeting_too_long"),
            Ok(0) | Err(_) => return Err("client_gone"),
        }
        let mut fresh = &bytes[before..];
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh).map_err(|_| "not_tls")?;
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_owned);
                    return Ok(Greeting { bytes, name });
                }
                Ok(None) => {}
                Err(_) => return Err("not_tls"),
            }
        }
    }
}
