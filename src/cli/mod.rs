//! The command line: every verb of the platform for people and scripts. It speaks only the public HTTP API;
//! the commands that run parts of the platform itself (`serve`, `ingress`, `static`) stand in `platform.rs`.
//!
//! Invariants: `--json` everywhere, exit codes as in [`failure::exit`], colours off with `NO_COLOR` or without a
//! terminal, every help text with an example.
//!
//! To add a command: a file with its arguments and its function, a variant here, and an example in its help.

mod account;
mod aliases;
mod apps;
mod build;
mod certs;
mod client;
mod config;
mod context;
mod deploy;
mod doctor;
mod domains;
mod failure;
mod follow;
mod gateway;
mod gateway_keys;
mod jobs;
mod logs;
mod ops;
mod output;
mod people;
mod plan;
mod platform;
mod ps;
mod releases;
mod rollout;
mod run;
mod setup;
mod stack;
mod status;
#[cfg(test)]
mod tests;
mod validate;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use context::Global;
use failure::{Failure, exit};

/// Push code, get a service: the command line of Wharf, a PaaS on your own machine.
#[derive(Debug, Parser)]
#[command(
    name = "wharf",
    version,
    about,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "First steps:\n  wharf login --url http://wharf.example.com\n  wharf apps create shop\n  git push wharf main"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List, create and destroy apps
    #[command(subcommand)]
    Apps(apps::Command),
    /// List, run, watch and cancel jobs
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// List, run, watch and cancel workflows: jobs of several steps
    #[command(subcommand)]
    Workflows(jobs::Workflows),
    /// Build and deploy this directory, without git
    Up(deploy::Up),
    /// Deploy an image
    Deploy(deploy::Deploy),
    /// Show an app: what runs, and what it waits for
    Status(status::Status),
    /// Show what the app prints
    Logs(logs::Logs),
    /// Run a command in a fresh container of the app
    Run(run::Run),
    /// Show, scale, restart, stop and start instances
    #[command(subcommand)]
    Ps(ps::Command),
    /// Show and change environment variables
    #[command(subcommand)]
    Config(config::Command),
    /// Show and change domains
    #[command(subcommand)]
    Domains(domains::Command),
    /// Show, upload and renew certificates for HTTPS
    #[command(subcommand)]
    Certs(certs::Command),
    /// Deploy a whole architecture from its Compose file
    Apply(plan::Apply),
    /// Show what applying a Compose file would change
    Plan(plan::Plan),
    /// Show what differs between two revisions
    Diff(stack::Diff),
    /// List volumes
    Volumes(stack::Volumes),
    /// List, set and remove secrets
    #[command(subcommand)]
    Secrets(stack::Secrets),
    /// Show and change what happens on host names before the app is asked
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Answer every visitor with a page that says so, without touching the app
    #[command(subcommand)]
    Maintenance(gateway::Maintenance),
    /// List releases: the revisions of the app
    #[command(alias = "revisions")]
    Releases(releases::Releases),
    /// Go back to an earlier release
    Rollback(releases::Rollback),
    /// Watch, pause, resume, promote and abort a rollout under way
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Try a service again that was left to a person
    Retry(rollout::Retry),
    /// List, watch and cancel operations
    #[command(subcommand)]
    Ops(ops::Command),
    /// Show how a directory would be built, offline
    Build(build::Build),
    /// Check a Compose file, offline
    Validate(validate::Validate),
    /// Log in
    Login(account::Login),
    /// Forget the log-in
    Logout(account::Logout),
    /// Who am I, and where
    Whoami(account::Whoami),
    /// API tokens
    #[command(subcommand)]
    Tokens(account::Tokens),
    /// SSH keys for git push
    #[command(subcommand)]
    Keys(account::Keys),
    /// Members of the organisation
    #[command(subcommand)]
    Members(people::Members),
    /// Organisations (operators)
    #[command(subcommand)]
    Tenants(people::Tenants),
    /// People (operators)
    #[command(subcommand)]
    People(people::People),
    /// Set a fresh installation up, on its own machine
    Setup(setup::Setup),
    /// Check the platform and say what is wrong
    Doctor(doctor::Doctor),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  wharf completions bash > /etc/bash_completion.d/wharf")]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Platform(platform::Command),
}

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    // Two TLS back ends could be meant; name ours before anything connects.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse_from(aliases::expand(std::env::args().collect()));
    // The servers go on when nobody reads what they say.
    if !matches!(cli.command, Command::Platform(_)) {
        end_with_the_reader();
    }
    match cli.command {
        Command::Platform(command) => match platform::run(command) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("wharf: {error:#}");
                ExitCode::FAILURE
            }
        },
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "wharf", &mut script);
            // Whoever reads only the head of it closes the pipe; that is no failure.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
            ExitCode::SUCCESS
        }
        Command::Validate(args) => match validate::run(&cli.global, &args) {
            Ok(code) => code,
            Err(failure) => failed(&failure),
        },
        command => client_main(&cli.global, command),
    }
}

/// Ends quietly when whoever reads the output has had enough (`wharf logs | head`), as other programs do.
fn end_with_the_reader() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(exit::READER_GONE.into());
        }
        tell(panic);
    }));
}

fn client_main(global: &Global, command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("wharf: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(dispatch(global, command));
    // A read of the terminal that waits for a key must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    let mark = console::style("error:").red().bold().for_stderr();
    eprintln!("{mark} {}", failure.message);
    ExitCode::from(failure.code)
}

async fn dispatch(global: &Global, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Apps(c) => apps::run(global, c).await,
        Command::Jobs(c) => jobs::run(global, jobs::About::Jobs, c).await,
        Command::Workflows(c) => jobs::run(global, jobs::About::Workflows, c.into()).await,
        Command::Up(c) => deploy::up(global, c).await,
        Command::Deploy(c) => deploy::deploy(global, c).await,
        Command::Status(c) => status::run(global, c).await,
        Command::Logs(c) => logs::run(global, c).await,
        Command::Run(c) => return run::run(global, c).await,
        Command::Ps(c) => ps::run(global, c).await,
        Command::Config(c) => config::run(global, c).await,
        Command::Domains(c) => domains::run(global, c).await,
        Command::Certs(c) => certs::run(global, c).await,
        Command::Apply(c) => plan::apply(global, c).await,
        Command::Plan(c) => plan::plan(global, c).await,
        Command::Diff(c) => stack::diff(global, c).await,
        Command::Volumes(c) => stack::volumes(global, c).await,
        Command::Secrets(c) => stack::secrets(global, c).await,
        Command::Gateway(c) => gateway::run(global, c).await,
        Command::Maintenance(c) => gateway::maintenance(global, c).await,
        Command::Releases(c) => releases::list(global, c).await,
        Command::Rollback(c) => releases::rollback(global, c).await,
        Command::Rollout(c) => rollout::run(global, c).await,
        Command::Retry(c) => rollout::retry(global, c).await,
        Command::Ops(c) => ops::run(global, c).await,
        Command::Build(c) => build::run(&c),
        Command::Login(c) => account::login(global, c).await,
        Command::Logout(c) => account::logout(&c),
        Command::Whoami(c) => account::whoami(global, c).await,
        Command::Tokens(c) => account::tokens(global, c).await,
        Command::Keys(c) => account::keys(global, c).await,
        Command::Members(c) => people::members(global, c).await,
        Command::Tenants(c) => people::tenants(global, c).await,
        Command::People(c) => people::people(global, c).await,
        Command::Setup(c) => setup::run(global, c).await,
        Command::Doctor(c) => doctor::run(global, c).await,
        Command::Validate(_) | Command::Completions { .. } | Command::Platform(_) => Ok(()),
    }
    .map(|()| 0)
}
