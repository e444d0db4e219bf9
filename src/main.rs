//! The `wharf` program.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use wharf::ingress::{self, IngressConfig};

#[derive(Parser)]
#[command(name = "wharf", version, about = "Turns a Linux VM with Docker into a multi-tenant PaaS")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the data plane (started by `wharf serve`; also runs stand-alone with a snapshot file)
    #[command(after_help = "Example:\n  wharf ingress --run /run/wharf --data /var/lib/wharf --http 0.0.0.0:80")]
    Ingress(IngressArgs),
}

#[derive(clap::Args)]
struct IngressArgs {
    /// Directory of the control socket
    #[arg(long, value_name = "DIR", default_value = "/run/wharf")]
    run: PathBuf,
    /// Directory of the kept snapshot and the access log
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wharf")]
    data: PathBuf,
    /// Address for plain HTTP; may be given several times
    #[arg(long, value_name = "ADDRESS", required = true)]
    http: Vec<SocketAddr>,
    /// Worker threads; 0 = one per CPU
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Seconds that open requests may take to finish when it stops or is replaced
    #[arg(long, default_value_t = 30)]
    drain: u64,
    /// Serve this snapshot file, without a control plane
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    // git starts this program as its hook `pre-receive`.
    if wharf::git::hook::is_hook(std::env::args_os().next().as_deref()) {
        return wharf::git::hook::main();
    }
    let Cli { command: Command::Ingress(args) } = Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    match run_ingress(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wharf ingress: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_ingress(args: IngressArgs) -> anyhow::Result<()> {
    let config = IngressConfig {
        run_dir: args.run,
        data_dir: args.data,
        http: args.http,
        workers: args.workers,
        drain: Duration::from_secs(args.drain),
        config_file: args.config,
    };
    // The control socket needs one thread only; requests run on threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ingress::run(config, stop_signal()))?;
    Ok(())
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
