//! What `wharf serve` may be told.

use std::path::PathBuf;

/// Options of the control plane.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeOptions {
    /// Directory of the state: database, repositories, keys
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wharf", env = "WHARF_DATA")]
    pub data: PathBuf,
    /// Directory of the sockets
    #[arg(long, value_name = "DIR", default_value = "/run/wharf", env = "WHARF_RUN")]
    pub run: PathBuf,
    /// Domain below which apps and the portal answer (shop.DOMAIN, wharf.DOMAIN)
    #[arg(long, value_name = "DOMAIN", default_value = "localhost", env = "WHARF_DOMAIN")]
    pub domain: String,
    /// Port for HTTP; when it is taken or not allowed, 8080 is used and that is said
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    pub http_port: u16,
    /// Port for HTTPS; when it is taken or not allowed, 8443 is used and that is said
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub https_port: u16,
    /// Port for git over SSH; when it is taken, the next free one is used and that is said
    #[arg(long, value_name = "PORT", default_value_t = 2222)]
    pub ssh_port: u16,
    /// Socket of the container engine
    #[arg(long, value_name = "FILE", default_value = "/var/run/docker.sock", env = "WHARF_DOCKER")]
    pub docker: PathBuf,
}
