//! One line in the access log for each connection or session.

use std::io::Write;
use std::net::IpAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::table::Entry;
use crate::ingress::core::Core;
use crate::ingress::phases::log::string;

/// What is known about a connection at its end.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub started: Instant,
    pub client: IpAddr,
    pub server_name: Option<&'a str>,
    pub instance: Option<&'a str>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// What went wrong, in a word.
    pub error: Option<&'static str>,
}

/// Counts the bytes and writes the line.
pub(super) fn record(core: &Core, entry: &Entry, line: &Line<'_>) {
    entry.stats.moved(line.bytes_in, line.bytes_out);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let protocol = match entry.listener.protocol {
        super::model::Transport::Tcp => "tcp",
        super::model::Transport::Udp => "udp",
    };
    core.log.line(|out| {
        let _ = write!(out, "{{\"time_ms\":{time},\"protocol\":\"{protocol}\",\"listener\":");
        string(out, entry.listener.id.as_bytes());
        let _ = write!(
            out,
            ",\"client\":\"{}\",\"bytes_in\":{},\"bytes_out\":{},\"duration_us\":{}",
            line.client,
            line.bytes_in,
            line.bytes_out,
            line.started.elapsed().as_micros()
        );
        out.extend_from_slice(entry.log_fields.as_bytes());
        for (name, value) in [("server_name", line.server_name), ("instance", line.instance)] {
            if let Some(value) = value {
                let _ = write!(out, ",\"{name}\":");
                string(out, value.as_bytes());
            }
        }
        if let Some(error) = line.error {
            let _ = write!(out, ",\"error\":\"{error}\"");
        }
        out.extend_from_slice(b"}\n");
    });
}
