//! `wharf certs`: certificates for HTTPS.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::json;

use super::context::{Context, Global, encode};
use super::failure::Failure;
use super::output;
use crate::apps::{CertificateUpload, CertificateUploaded, CertificateView};
use crate::certificates::model::{Source, State};

/// A larger file is no certificate and no key.
const LARGEST_FILE: u64 = 256 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the certificates of the app's domains, or of the whole installation
    #[command(after_help = "Example:\n  wharf certs --app shop\n  wharf certs list --platform")]
    List {
        #[command(flatten)]
        scope: Scope,
    },
    /// Show the certificate of a domain
    #[command(after_help = "Example:\n  wharf certs show shop.example.com --chain")]
    Show {
        /// The host name
        domain: String,
        /// Print the chain in PEM, and nothing else
        #[arg(long)]
        chain: bool,
    },
    /// Upload a certificate for a domain
    #[command(
        after_help = "Example:\n  wharf certs add shop.example.com --cert fullchain.pem --key privkey.pem\n\nThe file of the certificate holds the host's own first, then those that signed it. The key has no passphrase."
    )]
    Add {
        /// The host name
        domain: String,
        /// The certificate with its chain, in PEM
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// The private key, in PEM
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        scope: Scope,
    },
    /// Remove an uploaded certificate; where it can, Wharf gets one itself
    #[command(after_help = "Example:\n  wharf certs remove shop.example.com")]
    Remove {
        /// The host name
        domain: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// Get a new certificate now; the old one serves until it is there
    #[command(after_help = "Example:\n  wharf certs renew shop.example.com")]
    Renew {
        /// The host name
        domain: String,
        #[command(flatten)]
        scope: Scope,
    },
    /// Set whether HTTP is sent on to HTTPS, and for how long browsers shall remember it
    #[command(after_help = "Example:\n  wharf certs https shop.example.com --redirect on --hsts 31536000")]
    Https {
        /// The host name
        domain: String,
        /// auto: when everybody trusts the certificate
        #[arg(long, value_enum, default_value = "auto")]
        redirect: RedirectWord,
        /// Seconds for the header Strict-Transport-Security; 0: never. Left out: the platform's default
        #[arg(long, value_name = "SECONDS")]
        hsts: Option<u32>,
    },
    /// Print the certificate of the local authority, which signs for localhost
    #[command(after_help = "Example:\n  wharf certs ca > wharf-ca.pem")]
    Ca,
}

/// Whose certificates are meant.
#[derive(Debug, Args)]
pub(super) struct Scope {
    /// The platform's own: the portal, or *.DOMAIN for all apps below it (operators)
    #[arg(long)]
    platform: bool,
}

/// Whether HTTP is sent on to HTTPS.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RedirectWord {
    Auto,
    On,
    Off,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    match command {
        Command::List { scope } => list(&context, &scope).await,
        Command::Show { domain, chain } => show(&context, &domain, chain).await,
        Command::Add { domain, cert, key, scope } => add(&context, &domain, &cert, &key, &scope).await,
        Command::Remove { domain, scope } => remove(&context, &domain, &scope).await,
        Command::Renew { domain, scope } => renew(&context, &domain, &scope).await,
        Command::Https { domain, redirect, hsts } => https(&context, &domain, redirect, hsts).await,
        Command::Ca => ca(&context).await,
    }
}

impl Scope {
    async fn base(&self, context: &Context) -> Result<String, Failure> {
        if self.platform {
            return Ok("/certificates".to_owned());
        }
        Ok(format!("{}/certificates", context.app_path().await?))
    }

    async fn path(&self, context: &Context, domain: &str) -> Result<String, Failure> {
        Ok(format!("{}/{}", self.base(context).await?, encode(domain)))
    }
}

const APP: Scope = Scope { platform: false };

async fn list(context: &Context, scope: &Scope) -> Result<(), Failure> {
    let all: Vec<CertificateView> = context.client.items(&scope.base(context).await?).await?;
    if context.json {
        return output::json(&all);
    }
    let rows = all.iter().map(|c| {
        let until = c.not_after.as_deref().map(day).unwrap_or_default();
        let detail = c.detail.clone().unwrap_or_default();
        vec![c.host.clone(), state(c.state), source(c), until, detail]
    });
    output::table(&["DOMAIN", "STATE", "FROM", "UNTIL", "DETAIL"], rows.collect());
    Ok(())
}

async fn show(context: &Context, domain: &str, only_chain: bool) -> Result<(), Failure> {
    let one: CertificateView = context.client.get(&APP.path(context, domain).await?).await?;
    if context.json {
        return output::json(&one);
    }
    if only_chain {
        let chain = one.chain.ok_or_else(|| Failure::failed(format!("{domain} has no certificate")))?;
        print!("{chain}");
        return Ok(());
    }
    println!("{}  {}", console::style(&one.host).bold(), state(one.state));
    let lines = [
        ("detail", one.detail.clone()),
        ("from", Some(source(&one)).filter(|text| !text.is_empty())),
        ("names", Some(one.names.join(", ")).filter(|text| !text.is_empty())),
        (
            "holds",
            one.not_before.as_deref().zip(one.not_after.as_deref()).map(|(a, b)| format!("{} to {}", day(a), day(b))),
        ),
        ("renewal", one.renew_at.as_deref().map(|at| format!("by itself from {} on", day(at)))),
        ("SHA-256", one.fingerprint.clone()),
        ("uploaded", one.added_by.clone().filter(|_| one.source == Some(Source::Uploaded))),
        ("HTTP", Some(if one.redirects { "is sent on to HTTPS" } else { "is served as well" }.to_owned())),
    ];
    for (name, text) in lines {
        if let Some(text) = text {
            println!("  {name:<9} {text}");
        }
    }
    Ok(())
}

async fn add(context: &Context, domain: &str, cert: &Path, key: &Path, scope: &Scope) -> Result<(), Failure> {
    let upload = CertificateUpload { certificate: read(cert)?, key: read(key)? };
    let path = scope.path(context, domain).await?;
    let done: CertificateUploaded = context.client.call(Method::PUT, &path, &upload).await?;
    if context.json {
        return output::json(&done);
    }
    let until = done.certificate.not_after.as_deref().map(day).unwrap_or_default();
    println!("{domain} is served with it from now on. It holds until {until}; upload the next one before that.");
    if let Some(note) = done.note {
        println!("Note: {note}.");
    }
    Ok(())
}

async fn remove(context: &Context, domain: &str, scope: &Scope) -> Result<(), Failure> {
    let path = scope.path(context, domain).await?;
    context.client.call_empty(Method::DELETE, &path, None::<&()>).await?;
    if !context.json {
        println!("The uploaded certificate of {domain} is removed.");
    }
    Ok(())
}

async fn renew(context: &Context, domain: &str, scope: &Scope) -> Result<(), Failure> {
    let path = format!("{}/renew", scope.path(context, domain).await?);
    let view: CertificateView = context.client.call(Method::POST, &path, &json!({})).await?;
    if context.json {
        return output::json(&view);
    }
    println!("A new certificate for {domain} is being got. See how it goes: wharf certs show {domain}");
    Ok(())
}

async fn https(context: &Context, domain: &str, redirect: RedirectWord, hsts: Option<u32>) -> Result<(), Failure> {
    let word = match redirect {
        RedirectWord::Auto => "auto",
        RedirectWord::On => "on",
        RedirectWord::Off => "off",
    };
    let path = format!("{}/https", APP.path(context, domain).await?);
    let change = json!({ "redirect": word, "hsts_seconds": hsts });
    let view: CertificateView = context.client.call(Method::PUT, &path, &change).await?;
    if context.json {
        return output::json(&view);
    }
    println!("{domain}: redirect to HTTPS {word}.");
    Ok(())
}

async fn ca(context: &Context) -> Result<(), Failure> {
    let answer = context.client.send(context.client.request(Method::GET, "/local-ca.pem")?).await?;
    let pem = answer.text().await.map_err(|e| Failure::unreachable(context.client.base(), &e))?;
    if context.json {
        return output::json(&json!({ "certificate": pem }));
    }
    print!("{pem}");
    // To the side, so that the certificate alone can be written to a file.
    eprintln!("To trust it on this machine (Debian, Ubuntu), as root:");
    eprintln!("  wharf certs ca > /usr/local/share/ca-certificates/wharf-local.crt && update-ca-certificates");
    eprintln!("For one call: curl --cacert FILE https://…; in browsers: settings, certificates, authorities, import.");
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    let wrong = |what: String| Failure::usage(format!("cannot read {}: {what}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
    if size > LARGEST_FILE {
        return Err(wrong("it is too large for a certificate or key".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    String::from_utf8(bytes).map_err(|_| {
        wrong(
            "it is not in PEM; turn DER into it with: openssl x509 -inform der -in FILE (or pkey for a key)".to_owned(),
        )
    })
}

/// The state in the colour people expect.
pub(super) fn state(state: State) -> String {
    let (word, colour) = match state {
        State::Valid => ("valid", console::Style::new().green()),
        State::Pending => ("pending", console::Style::new().yellow()),
        State::Expiring => ("expiring", console::Style::new().yellow()),
        State::Expired => ("expired", console::Style::new().red()),
        State::Failed => ("failed", console::Style::new().red()),
        State::Missing => ("none", console::Style::new().dim()),
    };
    colour.apply_to(word).to_string()
}

fn source(view: &CertificateView) -> String {
    let issuer = view.issuer.as_deref().unwrap_or_default();
    match view.source {
        Some(Source::Acme) => issuer.to_owned(),
        Some(Source::Uploaded) => format!("upload ({issuer})"),
        Some(Source::Local) => "local authority".to_owned(),
        None => String::new(),
    }
}

/// The day of an RFC 3339 time.
fn day(rfc3339: &str) -> String {
    rfc3339.split('T').next().unwrap_or(rfc3339).to_owned()
}
