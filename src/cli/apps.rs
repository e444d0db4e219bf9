//! `wharf apps`: list, create, destroy.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::context::{AppName, Context, Global, encode};
use super::failure::Failure;
use super::output;
use crate::apps::{AppDetail, AppSummary, OperationView};
use crate::kernel::process;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the apps of the organisation
    #[command(after_help = "Example:\n  wharf apps")]
    List,
    /// Make an app, and a git remote for it in this directory
    #[command(after_help = "Examples:\n  wharf apps create shop\n  wharf apps create shop/staging")]
    Create {
        /// NAME, or NAME/ENVIRONMENT for one more environment of an app
        name: String,
        /// Do not add a git remote called `wharf`
        #[arg(long)]
        no_remote: bool,
    },
    /// Remove an app with all it has
    #[command(after_help = "Example:\n  wharf apps destroy shop --confirm shop")]
    Destroy {
        /// NAME or NAME/ENVIRONMENT
        name: String,
        /// The name once more
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
}

pub(super) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    match command {
        Command::List => list(&context).await,
        Command::Create { name, no_remote } => create(&context, &name, no_remote).await,
        Command::Destroy { name, confirm } => destroy(&context, &name, confirm).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let apps: Vec<AppSummary> = context.client.items(&format!("/tenants/{}/projects", encode(&tenant))).await?;
    if context.json {
        return output::json(&apps);
    }
    if apps.is_empty() {
        println!("There is no app yet. Make one: wharf apps create NAME");
        return Ok(());
    }
    let rows = apps.iter().map(|app| {
        let word = serde_json::to_value(app.state).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        vec![
            name_of(&app.project, &app.environment),
            output::state(&word),
            format!("{}/{}", app.healthy, app.wanted),
            app.revision.map(|r| format!("v{r}")).unwrap_or_default(),
            app.url.clone().unwrap_or_default(),
        ]
    });
    output::table(&["APP", "STATE", "HEALTHY", "RELEASE", "URL"], rows.collect());
    Ok(())
}

/// `shop`, or `shop/staging`.
pub(super) fn name_of(project: &str, environment: &str) -> String {
    if environment == "production" { project.to_owned() } else { format!("{project}/{environment}") }
}

async fn create(context: &Context, name: &str, no_remote: bool) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let app = AppName::parse(name);
    let base = format!("/tenants/{}/projects", encode(&tenant));
    let made: AppDetail = if app.environment == "production" {
        context.client.call(Method::POST, &base, &json!({ "name": app.project })).await?
    } else {
        let path = format!("{base}/{}/environments", encode(&app.project));
        context.client.call(Method::POST, &path, &json!({ "name": app.environment })).await?
    };
    let remote = if no_remote { None } else { add_remote(&made.git.http).await };
    if context.json {
        return output::json(&made);
    }
    println!("Made {} in {tenant}.", name_of(&made.project, &made.environment));
    if let Some(domain) = made.domains.first() {
        println!("It will answer at  {}", domain.url);
    }
    println!("Push to            {}", made.git.http);
    println!("or by SSH          {}", made.git.ssh);
    match remote {
        Some(true) => println!("The git remote `wharf` is set here. Deploy with: git push wharf main"),
        Some(false) => println!("There is a git remote `wharf` here already; it was left as it is."),
        None => println!("Deploy with: git push {} main", made.git.http),
    }
    println!("Over HTTP git asks for a password: give it an API token (wharf tokens create git). Over SSH it uses your key (wharf keys add FILE).");
    Ok(())
}

/// Adds the remote `wharf`; false when there is one, none when this is no repository.
async fn add_remote(url: &str) -> Option<bool> {
    let git = |args: &[&str]| process::Command::new("git").args(args.iter().map(ToString::to_string));
    git(&["rev-parse", "--git-dir"]).run().await.ok()?;
    Some(git(&["remote", "add", "--", "wharf", url]).run().await.is_ok())
}

async fn destroy(context: &Context, name: &str, confirm: Option<String>) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let app = AppName::parse(name);
    let confirm = match confirm {
        Some(typed) => typed,
        None => ask(&format!("This removes `{name}` with all it has. Type its name to go on: "), "pass --confirm NAME")?,
    };
    let path = format!(
        "/tenants/{}/projects/{}/environments/{}?confirm={}",
        encode(&tenant),
        encode(&app.project),
        encode(&app.environment),
        encode(&confirm)
    );
    let request = context.client.request(Method::DELETE, &path)?;
    let ended: OperationView = context
        .client
        .send(request)
        .await?
        .json()
        .await
        .map_err(|e| Failure::unreachable(context.client.base(), &e))?;
    if context.json {
        return output::json(&ended);
    }
    println!("{name} is gone.");
    Ok(())
}

/// Asks on the terminal; where there is none, says which option answers instead.
pub(super) fn ask(question: &str, instead: &str) -> Result<String, Failure> {
    use std::io::{IsTerminal, Write as _};
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("nobody is there to answer; {instead}")));
    }
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
