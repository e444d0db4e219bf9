//! `wharf members`, `tenants`, `people`.

use clap::{Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::account::read_password;
use super::context::{Context, Global, encode};
use super::failure::Failure;
use super::output;
use crate::api::model::MemberView;

/// What a member may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleWord {
    Viewer,
    Developer,
    Owner,
}

#[derive(Debug, Subcommand)]
pub(super) enum Members {
    /// List the members of the organisation
    #[command(after_help = "Example:\n  wharf members")]
    List,
    /// Make somebody a member, or change their role
    #[command(after_help = "Example:\n  wharf members add bob@example.com --role developer")]
    Add {
        /// E-mail address
        email: String,
        /// What they may do
        #[arg(long, value_enum, default_value = "developer")]
        role: RoleWord,
    },
    /// End a membership
    #[command(after_help = "Example:\n  wharf members remove bob@example.com")]
    Remove {
        /// E-mail address
        email: String,
    },
}

pub(super) async fn members(global: &Global, command: Members) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let base = format!("/tenants/{}/members", encode(&context.tenant().await?));
    match command {
        Members::List => {
            let all: Vec<MemberView> = context.client.items(&base).await?;
            if context.json {
                return output::json(&all);
            }
            let rows = all.iter().map(|m| {
                let role = serde_json::to_value(m).ok().and_then(|v| v["role"].as_str().map(str::to_owned)).unwrap_or_default();
                vec![m.email.clone(), m.name.clone(), role]
            });
            output::table(&["MEMBER", "NAME", "ROLE"], rows.collect());
        }
        Members::Add { email, role } => {
            let role = format!("{role:?}").to_lowercase();
            context.client.call_empty(Method::PUT, &base, Some(&json!({ "email": email, "role": role }))).await?;
            println!("{email} is {role} now.");
        }
        Members::Remove { email } => {
            context.client.call_empty(Method::DELETE, &format!("{base}/{}", encode(&email)), None::<&()>).await?;
            println!("{email} is no member any more.");
        }
    }
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum Tenants {
    /// List the organisations you belong to
    #[command(after_help = "Example:\n  wharf tenants")]
    List,
    /// Make an organisation (operators)
    #[command(after_help = "Example:\n  wharf tenants create acme --name 'Acme Ltd'")]
    Create {
        /// Short name, as in addresses
        slug: String,
        /// Full name
        #[arg(long, default_value = "")]
        name: String,
    },
}

pub(super) async fn tenants(global: &Global, command: Tenants) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    match command {
        Tenants::List => {
            let account: Value = context.client.get("/account").await?;
            let all = account["tenants"].as_array().cloned().unwrap_or_default();
            if context.json {
                return output::json(&all);
            }
            let text = |t: &Value, key: &str| t[key].as_str().unwrap_or_default().to_owned();
            let rows = all.iter().map(|t| vec![text(t, "slug"), text(t, "name"), text(t, "role")]);
            output::table(&["ORGANISATION", "NAME", "ROLE"], rows.collect());
        }
        Tenants::Create { slug, name } => {
            context.client.call_empty(Method::POST, "/tenants", Some(&json!({ "slug": slug, "name": name }))).await?;
            println!("{slug} is made; you are its owner.");
        }
    }
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum People {
    /// Make a person who can log in (operators)
    #[command(after_help = "Example:\n  wharf people create bob@example.com --name Bob --password-stdin < password.txt")]
    Create {
        /// E-mail address
        email: String,
        /// Name
        #[arg(long)]
        name: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

pub(super) async fn people(global: &Global, command: People) -> Result<(), Failure> {
    let People::Create { email, name, password_stdin } = command;
    let context = Context::new(global).await?;
    let password = read_password(password_stdin)?;
    let body = json!({ "email": email, "name": name, "password": password });
    context.client.call_empty(Method::POST, "/people", Some(&body)).await?;
    println!("{email} can log in now. Make them a member: wharf members add {email}");
    Ok(())
}
