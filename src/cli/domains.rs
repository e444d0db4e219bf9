//! `wharf domains`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::context::{Context, Global, encode};
use super::failure::Failure;
use super::output;
use crate::apps::DomainView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the domains of the app
    #[command(after_help = "Example:\n  wharf domains --app shop")]
    List,
    /// Add a domain; it routes at once
    #[command(after_help = "Example:\n  wharf domains add shop.example.com")]
    Add {
        /// The host name
        host: String,
        /// The service that answers
        #[arg(long, default_value = "web")]
        service: String,
    },
    /// Remove a domain
    #[command(after_help = "Example:\n  wharf domains remove shop.example.com")]
    Remove {
        /// The host name
        host: String,
    },
}

pub(super) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let base = format!("{}/domains", context.app_path().await?);
    match command {
        Command::List => {
            let domains: Vec<DomainView> = context.client.items(&base).await?;
            if context.json {
                return output::json(&domains);
            }
            let rows = domains.iter().map(|d| {
                let note = if d.is_default { "given by the platform" } else { "" };
                let https = super::certs::state(d.certificate.state);
                vec![d.host.clone(), d.service.clone(), d.url.clone(), https, note.to_owned()]
            });
            output::table(&["DOMAIN", "SERVICE", "URL", "CERTIFICATE", ""], rows.collect());
            for domain in domains.iter().filter(|d| d.certificate.state.is_alarm()) {
                println!("{}: {}", domain.host, domain.certificate.detail.as_deref().unwrap_or_default());
            }
        }
        Command::Add { host, service } => {
            let made: DomainView =
                context.client.call(Method::POST, &base, &json!({ "host": host, "service": service })).await?;
            if context.json {
                return output::json(&made);
            }
            println!("{} leads here now. Point its DNS record (A or CNAME) at this machine.", made.host);
            println!("See how it gets its certificate for HTTPS: wharf certs show {}", made.host);
        }
        Command::Remove { host } => {
            context.client.call_empty(Method::DELETE, &format!("{base}/{}", encode(&host)), None::<&()>).await?;
            if !context.json {
                println!("{host} is removed.");
            }
        }
    }
    Ok(())
}
