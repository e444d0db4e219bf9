//! `wharf setup`: set-up without a browser, on the machine itself.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::account::read_password;
use super::client::Client;
use super::context::Global;
use super::failure::{Failure, exit};
use super::output;
use crate::serve::Ready;

/// Set a fresh installation up. Run it on its machine as the user who runs `wharf serve`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf setup --email ann@example.com --org acme --password-stdin < password.txt")]
pub(super) struct Setup {
    /// Your e-mail address
    #[arg(long)]
    email: String,
    /// Your name
    #[arg(long)]
    name: Option<String>,
    /// Name of the first organisation (also --tenant)
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Directory of the sockets
    #[arg(long, value_name = "DIR", default_value = "/run/wharf", env = "WHARF_RUN")]
    run: PathBuf,
}

pub(super) async fn run(global: &Global, args: Setup) -> Result<(), Failure> {
    let ready = Ready::read(&args.run).map_err(|e| Failure::new(exit::UNREACHABLE, format!("{e:#}")))?;
    let done = || Failure::new(exit::CONFLICT, format!("this installation is set up already; log in at {}", ready.portal_url));
    let token = ready.setup_url.as_deref().and_then(|url| url.split_once("token=")).map(|(_, token)| token.to_owned());
    let token = token.ok_or_else(done)?;
    let tenant = args.org.or_else(|| global.tenant.clone()).ok_or_else(|| Failure::usage("name the first organisation with --org NAME"))?;
    let password = read_password(args.password_stdin)?;
    let name = args.name.unwrap_or_else(|| args.email.split('@').next().unwrap_or_default().to_owned());
    let body = json!({
        "token": token,
        "person": { "email": args.email, "name": name, "password": password },
        "tenant": tenant,
    });
    let outcome: serde_json::Value = Client::new(&ready.portal_url, None)?.call(Method::POST, "/setup", &body).await?;
    if global.json {
        return output::json(&outcome);
    }
    println!("Set up. You are the operator, and owner of {tenant}. Log in at {}", ready.portal_url);
    println!("or here: wharf login --url {} --email {}", ready.portal_url, args.email);
    Ok(())
}
