//! The command line: every verb of the platform for people and scripts. It speaks only the public HTTP API;
//! the commands that run parts of the platform itself (`serve`, `ingress`, `static`) stand in `platform.rs`.
//!
//! To add a command: a file with its arguments and its function, a variant here, and an example in its help.

mod platform;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Turns a Linux VM with Docker into a multi-tenant PaaS.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Platform(platform::Command),
}

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    // Two TLS back ends could be meant; name ours before anything connects.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Platform(command) => platform::run(command),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wharf: {error:#}");
            ExitCode::FAILURE
        }
    }
}
