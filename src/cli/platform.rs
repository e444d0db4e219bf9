//! Commands that run the platform's own processes.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use tracing_subscriber::EnvFilter;

use crate::builds::static_server::{self, StaticOptions};
use crate::ingress::{self, IngressConfig, LogLevel};
use crate::serve::{self, ServeOptions};

/// A process of the platform.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the control plane
    #[command(after_help = "Example:\n  wharf serve --data /var/lib/wharf --domain example.com")]
    Serve(ServeOptions),
    /// Run the data plane (started by `wharf serve`; also runs stand-alone with a snapshot file)
    #[command(after_help = "Example:\n  wharf ingress --run /run/wharf --data /var/lib/wharf --http 0.0.0.0:80")]
    Ingress(IngressOptions),
    /// Serve a directory of static files
    #[command(after_help = "Example:\n  wharf static --root ./dist --spa")]
    Static(StaticArgs),
}

/// Options of the static file server.
#[derive(Debug, clap::Args)]
pub(super) struct StaticArgs {
    /// The directory
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Port; the environment's PORT when left out
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// Answer unknown paths with the index page, for single-page apps
    #[arg(long)]
    spa: bool,
    /// Page for unknown paths, relative to the directory
    #[arg(long, value_name = "FILE")]
    not_found: Option<String>,
}

/// Options of the data plane.
#[derive(Debug, clap::Args)]
pub(super) struct IngressOptions {
    /// Directory of the control socket
    #[arg(long, value_name = "DIR", default_value = "/run/wharf")]
    run: PathBuf,
    /// Directory of the kept snapshot and the access log
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wharf")]
    data: PathBuf,
    /// Address for plain HTTP; may be given several times
    #[arg(long, value_name = "ADDRESS", required_unless_present = "http_port")]
    http: Vec<SocketAddr>,
    /// Port for plain HTTP on all addresses
    #[arg(long, value_name = "PORT", conflicts_with = "http")]
    http_port: Option<u16>,
    /// Address for HTTPS; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    https: Vec<SocketAddr>,
    /// Worker threads; 0 = one per CPU
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Seconds that open requests may take to finish when it stops or is replaced
    #[arg(long, default_value_t = 30)]
    drain: u64,
    /// Serve this route table (JSON), without a control plane; it is read again when it changes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(command: Command) -> anyhow::Result<ExitCode> {
    let log_level = log_to_stderr();
    match command {
        Command::Serve(options) => {
            // Two workers are enough for a control plane, and each one costs memory.
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(serve::run(options))?;
        }
        Command::Ingress(options) => {
            // The control socket needs one thread only; requests run on threads of their own.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(ingress::run(ingress_config(options, log_level), stop_signal()))?;
        }
        Command::Static(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let listen = SocketAddr::from(([0, 0, 0, 0], args.port));
            let options = StaticOptions { root: args.root, listen, spa: args.spa, not_found: args.not_found };
            runtime.block_on(static_server::serve(options))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The log goes to standard error; what it holds can be changed while the process runs.
fn log_to_stderr() -> LogLevel {
    let chosen = std::env::var("WHARF_LOG").ok().filter(|text| EnvFilter::try_new(text).is_ok());
    let text = chosen.unwrap_or_else(|| "info,russh=warn".to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&text))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.init();
    LogLevel::new(&text, move |filter| {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    })
}

fn ingress_config(options: IngressOptions, log_level: LogLevel) -> IngressConfig {
    let http = match options.http_port {
        Some(port) => serve::ports::everywhere(port),
        None => options.http,
    };
    IngressConfig {
        run_dir: options.run,
        data_dir: options.data,
        http,
        https: options.https,
        workers: options.workers,
        drain: Duration::from_secs(options.drain),
        config_file: options.config,
        log_level: Some(log_level),
    }
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}
