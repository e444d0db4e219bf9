//! `wharf login`, `logout`, `whoami`, `tokens`, `keys`.

use std::io::{IsTerminal, Read as _};

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::context::{Context, Global, Stored, encode};
use super::failure::Failure;
use super::output;
use crate::api::model::{AccountView, KeyView, LoginOutcome, MadeToken, TokenView};

/// Log in; the token is stored for this user of this machine.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  wharf login --url http://wharf.example.com --email ann@example.com\n  wharf login --url http://wharf.example.com --token wharf_…"
)]
pub(super) struct Login {
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Use this API token instead of e-mail and password
    #[arg(long, conflicts_with_all = ["email", "password_stdin"])]
    token: Option<String>,
}

pub(super) async fn login(global: &Global, args: Login) -> Result<(), Failure> {
    let stored = Stored::load()?;
    let url = global.url.clone().or(stored.url).unwrap_or_else(|| "http://wharf.localhost".to_owned());
    let token = match args.token {
        Some(token) => token,
        None => {
            let email = match args.email {
                Some(email) => email,
                None => super::apps::ask("E-mail: ", "pass --email ADDRESS")?,
            };
            let password = read_password(args.password_stdin)?;
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let body = json!({ "email": email, "password": password, "token_name": format!("command line on {host}") });
            let outcome: LoginOutcome = Client::new(&url, None)?.call(Method::POST, "/login", &body).await?;
            outcome.token
        }
    };
    let account: AccountView = Client::new(&url, Some(token.clone()))?.get("/account").await?;
    let tenant = match (&global.tenant, account.tenants.as_slice()) {
        (Some(named), _) => Some(named.clone()),
        (None, [only]) => Some(only.slug.clone()),
        _ => None,
    };
    let path = Stored { url: Some(url.clone()), token: Some(token), tenant }.save()?;
    if global.json {
        return output::json(&account);
    }
    println!("Logged in to {url} as {} ({}).", account.user.name, path.display());
    Ok(())
}

/// A password from standard input, or typed without being shown.
pub(super) fn read_password(from_stdin: bool) -> Result<String, Failure> {
    if from_stdin {
        let mut text = String::new();
        std::io::stdin().take(4096).read_to_string(&mut text)?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is there to type the password; pass --password-stdin"));
    }
    let mut terminal = console::Term::stderr();
    std::io::Write::write_all(&mut terminal, b"Password: ")?;
    Ok(terminal.read_secure_line()?)
}

/// Forget the log-in stored on this machine.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  wharf logout\n\nThe token itself stays good; revoke it with: wharf tokens revoke ID"
)]
pub(super) struct Logout {}

pub(super) fn logout(_args: &Logout) -> Result<(), Failure> {
    let stored = Stored { token: None, tenant: None, ..Stored::load()? };
    stored.save()?;
    println!("Logged out.");
    Ok(())
}

/// Show who is logged in.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf whoami")]
pub(super) struct Whoami {}

pub(super) async fn whoami(global: &Global, _args: Whoami) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let account: AccountView = context.client.get("/account").await?;
    if context.json {
        return output::json(&account);
    }
    let operator = if account.user.operator { ", operator of the platform" } else { "" };
    println!("{} <{}>{operator}, at {}", account.user.name, account.user.email, context.client.base());
    for tenant in &account.tenants {
        let role = serde_json::to_value(tenant)?.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
        println!("  {} ({role})", tenant.slug);
    }
    Ok(())
}

/// What a token may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ScopeWord {
    Read,
    Deploy,
    Full,
}

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// List your tokens
    #[command(after_help = "Example:\n  wharf tokens")]
    List,
    /// Make a token; it is shown this once
    #[command(after_help = "Example:\n  wharf tokens create ci --scope deploy --days 90")]
    Create {
        /// What it is for
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "deploy")]
        scope: ScopeWord,
        /// Days it is good for
        #[arg(long)]
        days: Option<u32>,
    },
    /// Revoke a token
    #[command(after_help = "Example:\n  wharf tokens revoke tok_0193…")]
    Revoke {
        /// Id of the token
        id: String,
    },
}

pub(super) async fn tokens(global: &Global, command: Tokens) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    match command {
        Tokens::List => {
            let all: Vec<TokenView> = context.client.items("/account/tokens").await?;
            if context.json {
                return output::json(&all);
            }
            let rows = all.iter().map(|t| {
                let used = t.last_used_at.as_deref().map_or_else(|| "never".to_owned(), output::ago);
                let scope = serde_json::to_value(t)
                    .ok()
                    .and_then(|v| v["scope"].as_str().map(str::to_owned))
                    .unwrap_or_default();
                vec![t.id.clone(), t.name.clone(), scope, used, t.expires_at.clone().unwrap_or_default()]
            });
            output::table(&["TOKEN", "NAME", "SCOPE", "USED", "EXPIRES"], rows.collect());
        }
        Tokens::Create { name, scope, days } => {
            let scope = format!("{scope:?}").to_lowercase();
            let body = json!({ "name": name, "scope": scope, "tenant": global.tenant, "expires_in_days": days });
            let made: MadeToken = context.client.call(Method::POST, "/account/tokens", &body).await?;
            if context.json {
                return output::json(&made);
            }
            println!("{}", made.token);
            eprintln!("Keep it: it is not shown again.");
        }
        Tokens::Revoke { id } => {
            context.client.call_empty(Method::DELETE, &format!("/account/tokens/{}", encode(&id)), None::<&()>).await?;
            println!("{id} is revoked.");
        }
    }
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// List your SSH keys
    #[command(after_help = "Example:\n  wharf keys")]
    List,
    /// Add a public key for git push over SSH
    #[command(after_help = "Example:\n  wharf keys add ~/.ssh/id_ed25519.pub --name laptop")]
    Add {
        /// The file with the public key
        file: std::path::PathBuf,
        /// What to call it
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove a key
    #[command(after_help = "Example:\n  wharf keys remove key_0193…")]
    Remove {
        /// Id of the key
        id: String,
    },
}

pub(super) async fn keys(global: &Global, command: Keys) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    match command {
        Keys::List => {
            let all: Vec<KeyView> = context.client.items("/account/ssh-keys").await?;
            if context.json {
                return output::json(&all);
            }
            let rows = all.iter().map(|k| vec![k.id.clone(), k.name.clone(), k.fingerprint.clone()]);
            output::table(&["KEY", "NAME", "FINGERPRINT"], rows.collect());
        }
        Keys::Add { file, name } => {
            let text = std::fs::read_to_string(&file)
                .map_err(|e| Failure::usage(format!("{} cannot be read: {e}", file.display())))?;
            let made: KeyView = context
                .client
                .call(Method::POST, "/account/ssh-keys", &json!({ "public_key": text, "name": name }))
                .await?;
            if context.json {
                return output::json(&made);
            }
            println!("Added {} ({}).", made.name, made.fingerprint);
        }
        Keys::Remove { id } => {
            context
                .client
                .call_empty(Method::DELETE, &format!("/account/ssh-keys/{}", encode(&id)), None::<&()>)
                .await?;
            println!("{id} is removed.");
        }
    }
    Ok(())
}
