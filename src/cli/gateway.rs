//! `wharf gateway` and `wharf maintenance`: what happens on an app's hosts before the app is asked.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::context::{Context, Global, encode};
use super::failure::Failure;
use super::gateway_keys as keys;
use super::output;
use crate::apps::{GatewayView, LogLevelView, RouteTraffic};

/// A larger file is no error page.
const LARGEST_FILE: u64 = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what was set, and what applies on each domain
    #[command(
        alias = "list",
        after_help = "Example:\n  wharf gateway show --app shop\n  wharf gateway show --platform"
    )]
    Show {
        #[command(flatten)]
        on: Place,
    },
    /// Set something; it takes effect at once, without a deploy
    #[command(
        after_help = "Example:\n  wharf gateway set rate-limit=100/1m allow=203.0.113.0/24\n  wharf gateway set redirect=https://www.example.com --host example.com\n  wharf gateway set response-header.x-frame-options=DENY error-page.503=@sorry.html\n  wharf gateway set trusted-proxies=10.0.0.0/8 access-log=errors --platform\n\nSettings of an app: maintenance, allow, deny, realm, rate-limit, redirect, robots, compression, max-body,\nrequest-timeout, sticky, balance, protocol, request-header.NAME, response-header.NAME, error-page.STATUS.\nOf the platform: the same as defaults of all apps, and trusted-proxies, proxy-protocol-from, max-connections,\nmax-connections-per-address, keep-alive, shed-cpu-percent, access-log."
    )]
    Set {
        /// KEY=VALUE; @FILE as a value reads a file
        #[arg(required = true, value_name = "KEY=VALUE")]
        pairs: Vec<String>,
        #[command(flatten)]
        on: Place,
    },
    /// Take a setting away
    #[command(after_help = "Example:\n  wharf gateway unset rate-limit response-header.x-frame-options")]
    Unset {
        /// As in `set`; `users` for all who are let in by password
        #[arg(required = true, value_name = "KEY")]
        words: Vec<String>,
        #[command(flatten)]
        on: Place,
    },
    /// Let somebody in by name and password; then nobody is without
    #[command(after_help = "Example:\n  wharf gateway user-add ann --app shop/staging")]
    UserAdd {
        name: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        on: Place,
    },
    /// Let somebody in no more; the last one gone opens the site again
    #[command(after_help = "Example:\n  wharf gateway user-remove ann")]
    UserRemove {
        name: String,
        #[command(flatten)]
        on: Place,
    },
    /// What came in on the app's routes, how it ended and how long it took
    #[command(after_help = "Example:\n  wharf gateway routes --app shop\n  wharf gateway routes --platform")]
    Routes {
        #[command(flatten)]
        scope: Scope,
    },
    /// Print the route table in use (operators)
    #[command(after_help = "Example:\n  wharf gateway table > table.json")]
    Table,
    /// What a route table would change; without a file, what the newest one would (operators)
    #[command(after_help = "Example:\n  wharf gateway diff table.json")]
    Diff { file: Option<std::path::PathBuf> },
    /// Which route would take a request (operators)
    #[command(after_help = "Example:\n  wharf gateway match shop.example.com/cart --method POST")]
    Match {
        /// Host and path
        place: String,
        #[arg(long, default_value = "GET")]
        method: String,
    },
    /// Take an instance out of traffic, or put it back (operators)
    #[command(after_help = "Example:\n  wharf gateway drain 4f1d… --undo")]
    Drain {
        /// Its id, as the table names it
        upstream: String,
        /// Only in this route
        #[arg(long)]
        route: Option<String>,
        /// Back into traffic
        #[arg(long)]
        undo: bool,
    },
    /// Forget idle connections, passwords that passed, limits used up, ejections (operators)
    #[command(after_help = "Example:\n  wharf gateway purge limits")]
    Purge {
        #[arg(default_value = "all", value_parser = ["all", "connections", "passwords", "limits", "ejections"])]
        what: String,
    },
    /// Show or change what the ingress writes to its log (operators)
    #[command(after_help = "Example:\n  wharf gateway log-level info,wharf::ingress=debug")]
    LogLevel { filter: Option<String> },
}

/// Whose settings are meant.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Only this domain of the app
    #[arg(long, value_name = "DOMAIN", conflicts_with = "platform")]
    host: Option<String>,
    #[command(flatten)]
    scope: Scope,
}

/// The app's or the platform's.
#[derive(Debug, Args)]
pub(super) struct Scope {
    /// The whole platform's (operators)
    #[arg(long)]
    platform: bool,
}

/// Answer every request with a page that says so, without touching the app
#[derive(Debug, Subcommand)]
pub(super) enum Maintenance {
    /// Answer every visitor with 503 and a page that says so
    #[command(after_help = "Example:\n  wharf maintenance on --message \"Back at noon\" --retry-after 1h")]
    On {
        /// Shown to visitors
        #[arg(long, default_value = "")]
        message: String,
        /// When visitors shall try again: 30s, 5m, 1h
        #[arg(long, value_name = "TIME")]
        retry_after: Option<String>,
        #[command(flatten)]
        on: Place,
    },
    /// Let visitors in again
    #[command(after_help = "Example:\n  wharf maintenance off")]
    Off {
        #[command(flatten)]
        on: Place,
    },
    /// Is it on?
    #[command(alias = "list", after_help = "Example:\n  wharf maintenance status")]
    Status {
        #[command(flatten)]
        on: Place,
    },
}

impl Place {
    fn is_platform(&self) -> bool {
        self.scope.platform
    }

    async fn path(&self, context: &Context) -> Result<String, Failure> {
        let base = self.scope.path(context).await?;
        Ok(self.host.as_ref().map_or(base.clone(), |host| format!("{base}?host={}", encode(host))))
    }

    /// A change of an app's settings, where they stand.
    fn place(&self, change: Value) -> Value {
        if self.is_platform() { json!({ "defaults": change }) } else { change }
    }

    /// What was set there.
    async fn settings(&self, context: &Context) -> Result<Value, Failure> {
        let all: Value = context.client.get(&self.scope.path(context).await?).await?;
        let part = match &self.host {
            _ if self.is_platform() => return Ok(all),
            Some(host) => all.get("hosts").and_then(|hosts| hosts.get(host)),
            None => all.get("app"),
        };
        Ok(part.cloned().unwrap_or_else(|| json!({})))
    }
}

impl Scope {
    async fn path(&self, context: &Context) -> Result<String, Failure> {
        if self.platform { Ok("/gateway".to_owned()) } else { Ok(format!("{}/gateway", context.app_path().await?)) }
    }
}

pub(super) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    match command {
        Command::Show { on } => show(&context, &on).await,
        Command::Set { pairs, on } => {
            let change = keys::set(&pairs, on.is_platform(), read).map_err(Failure::usage)?;
            change_to(&context, &on, change).await
        }
        Command::Unset { words, on } => {
            let change = keys::unset(&words, on.is_platform()).map_err(Failure::usage)?;
            change_to(&context, &on, change).await
        }
        Command::UserAdd { name, password_stdin, on } => {
            let password = super::account::read_password(password_stdin)?;
            let change = on.place(json!({ "basic_auth": { "users": { name: { "password": password } } } }));
            change_to(&context, &on, change).await
        }
        Command::UserRemove { name, on } => {
            let change = on.place(json!({ "basic_auth": { "users": { name: null } } }));
            change_to(&context, &on, change).await
        }
        Command::Routes { scope } => routes(&context, &scope).await,
        Command::Table => output::json(&context.client.get::<Value>("/gateway/table").await?),
        Command::Diff { file } => diff(&context, file.as_deref()).await,
        Command::Match { place, method } => {
            let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
            let path = if path.is_empty() { "/" } else { path };
            let query = format!("host={}&path={}&method={}", encode(host), encode(path), encode(&method));
            output::json(&context.client.get::<Value>(&format!("/gateway/match?{query}")).await?)
        }
        Command::Drain { upstream, route, undo } => {
            let order = json!({ "upstream": upstream, "route": route, "undo": undo });
            let said = if undo { "takes requests again" } else { "takes no new requests" };
            order_it(&context, "drain", &order, &format!("{upstream} {said}.")).await
        }
        Command::Purge { what } => {
            order_it(&context, "purge", &json!({ "what": what }), &format!("Forgotten: {what}.")).await
        }
        Command::LogLevel { filter } => log_level(&context, filter).await,
    }
}

pub(super) async fn maintenance(global: &Global, command: Maintenance) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let (on, change, said) = match command {
        Maintenance::On { message, retry_after, on } => {
            let seconds = retry_after.as_deref().map(keys::seconds).transpose().map_err(Failure::usage)?;
            let change = json!({ "maintenance": { "message": message, "retry_after_seconds": seconds } });
            (on, change, "Maintenance is on: visitors see a page that says so. End it: wharf maintenance off")
        }
        Maintenance::Off { on } => (on, json!({ "maintenance": null }), "Maintenance is off."),
        Maintenance::Status { on } => {
            let settings = on.settings(&context).await?;
            let settings = if on.is_platform() { settings["defaults"].clone() } else { settings };
            let is_on = settings.get("maintenance").is_some();
            if context.json {
                return output::json(&json!({ "maintenance": settings.get("maintenance") }));
            }
            println!("Maintenance is {}.", if is_on { "on" } else { "off" });
            return Ok(());
        }
    };
    let change = on.place(change);
    let after: Value = context.client.call(Method::PATCH, &on.path(&context).await?, &change).await?;
    if context.json {
        return output::json(&after);
    }
    println!("{said}");
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    let wrong = |what: String| format!("cannot read {path}: {what}");
    let size = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
    if size > LARGEST_FILE {
        return Err(wrong(format!("it has {size} bytes; at most {LARGEST_FILE} are taken")));
    }
    std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))
}

async fn change_to(context: &Context, on: &Place, change: Value) -> Result<(), Failure> {
    let after: Value = context.client.call(Method::PATCH, &on.path(context).await?, &change).await?;
    if context.json {
        return output::json(&after);
    }
    let now = on.settings(context).await?;
    print(&now);
    Ok(())
}

async fn show(context: &Context, on: &Place) -> Result<(), Failure> {
    if on.is_platform() || on.host.is_some() {
        let settings = on.settings(context).await?;
        if context.json {
            return output::json(&settings);
        }
        print(&settings);
        return Ok(());
    }
    let view: GatewayView = context.client.get(&on.path(context).await?).await?;
    if context.json {
        return output::json(&view);
    }
    print(&value_of(&view.app));
    for (host, settings) in &view.hosts {
        println!("\n{}", console::style(host).bold());
        print(&value_of(settings));
    }
    Ok(())
}

fn value_of(settings: &crate::gateway::model::Settings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn print(settings: &Value) {
    let defaults = settings.get("defaults").map(keys::lines).unwrap_or_default();
    let own = keys::lines(settings);
    if own.is_empty() && defaults.is_empty() {
        println!("Nothing is set: everything is as the platform does by itself.");
    }
    own.iter().for_each(|line| println!("{line}"));
    if !defaults.is_empty() {
        println!("\n{}", console::style("for apps that say nothing else").bold());
        defaults.iter().for_each(|line| println!("{line}"));
    }
}

async fn routes(context: &Context, scope: &Scope) -> Result<(), Failure> {
    let all: Vec<RouteTraffic> = context.client.items(&format!("{}/routes", scope.path(context).await?)).await?;
    if context.json {
        return output::json(&all);
    }
    let ms = |us: u64| format!("{:.1} ms", us as f64 / 1_000.0);
    let rows = all.iter().map(|one| {
        let refused = one.limited + one.denied + one.shed;
        let counts = [one.requests, one.ok, one.redirects, one.client_errors, one.server_errors, refused];
        let counts = counts.map(|n| n.to_string());
        [vec![one.at.clone(), one.service.clone()], counts.to_vec(), vec![ms(one.p50_us), ms(one.p99_us)]].concat()
    });
    let head = ["AT", "SERVICE", "REQUESTS", "2XX", "3XX", "4XX", "5XX", "REFUSED", "P50", "P99"];
    output::table(&head, rows.collect());
    Ok(())
}

async fn diff(context: &Context, file: Option<&std::path::Path>) -> Result<(), Failure> {
    let request = context.client.request(Method::POST, "/gateway/diff")?;
    let request = match file {
        None => request,
        Some(path) => {
            let wrong = |what: String| Failure::usage(format!("cannot read {}: {what}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
            request.json(&serde_json::from_str::<Value>(&text).map_err(|e| wrong(e.to_string()))?)
        }
    };
    let answer = context.client.send(request).await?;
    let diff: Value = answer.json().await.map_err(|e| Failure::unreachable(context.client.base(), &e))?;
    output::json(&diff)
}

async fn order_it(context: &Context, verb: &str, order: &Value, said: &str) -> Result<(), Failure> {
    context.client.call_empty(Method::POST, &format!("/gateway/{verb}"), Some(order)).await?;
    if !context.json {
        println!("{said}");
    }
    Ok(())
}

async fn log_level(context: &Context, filter: Option<String>) -> Result<(), Failure> {
    let level: LogLevelView = match filter {
        None => context.client.get("/gateway/log-level").await?,
        Some(filter) => context.client.call(Method::PUT, "/gateway/log-level", &json!({ "filter": filter })).await?,
    };
    if context.json {
        return output::json(&level);
    }
    println!("{}", level.filter);
    Ok(())
}
