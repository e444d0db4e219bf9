//! Sample data for pages: what tests render, with the clock fixed.

use askama::Template;

use super::app_view::AppView;
use super::i18n::Language;
use super::shell::{Flash, Person, Shell, TenantLink, Theme};
use crate::apps::*;
use crate::certificates::model::{Source, State};
use crate::kernel::clock::Timestamp;
use crate::tenancy::roles::Role;

/// A page that was rendered: its name, the whole page, and its fragments for htmx.
pub(crate) struct Sample {
    pub name: &'static str,
    pub html: String,
    pub fragments: Vec<String>,
}

impl Sample {
    /// A page without fragments.
    pub(crate) fn page(name: &'static str, page: &impl Template) -> Self {
        Self { name, html: page.render().expect("the page renders"), fragments: Vec::new() }
    }

    /// The same with one more fragment.
    pub(crate) fn with(mut self, fragment: &impl Template) -> Self {
        self.fragments.push(fragment.render().expect("the fragment renders"));
        self
    }
}

/// 23 November 2026, noon.
pub(crate) const NOW: Timestamp = Timestamp(1_795_435_200_000);

/// A moment so many seconds before [`NOW`].
pub(crate) fn before(seconds: i64) -> String {
    NOW.plus_secs(-seconds).rfc3339()
}

/// An owner of `acme`, who runs the platform, looks.
pub(crate) fn shell(language: Language, path: &str) -> Shell {
    let acme = TenantLink { slug: "acme".into(), name: "Acme Trading".into(), role: Role::Owner };
    let lab = TenantLink { slug: "lab".into(), name: "Research lab".into(), role: Role::Viewer };
    Shell {
        language,
        theme: Theme::Auto,
        now: NOW,
        path: path.to_owned(),
        csrf: "c5f0".repeat(8),
        person: Some(Person { name: "Ada Byron".into(), email: "ada@acme.example".into(), operator: true }),
        tenants: vec![acme.clone(), lab],
        tenant: Some(acme),
        flash: None,
    }
}

/// Somebody who may only look.
pub(crate) fn viewer(language: Language, path: &str) -> Shell {
    let mut shell = shell(language, path);
    shell.tenant = Some(TenantLink { slug: "acme".into(), name: "Acme Trading".into(), role: Role::Viewer });
    shell.person = Some(Person { name: "Grace Viewer".into(), email: "grace@acme.example".into(), operator: false });
    shell
}

/// Nobody is logged in.
pub(crate) fn stranger(language: Language, path: &str) -> Shell {
    Shell { person: None, tenants: Vec::new(), tenant: None, csrf: String::new(), ..shell(language, path) }
}

/// With a word about what was just done.
pub(crate) fn with_flash(mut shell: Shell, key: &str) -> Shell {
    shell.flash = Some(Flash { tone: "ok", text: shell.t(key).to_owned() });
    shell
}

/// An operation.
pub(crate) fn operation(kind: &str, state: &str, phase: &str, seconds_ago: i64) -> OperationView {
    let over = matches!(state, "succeeded" | "failed" | "cancelled");
    OperationView {
        id: "op_01937c1e000070008000000000000001".into(),
        kind: kind.into(),
        state: state.into(),
        phase: phase.into(),
        actor: "ada@acme.example".into(),
        cause: "push".into(),
        revision: Some(42),
        summary: match state {
            "failed" => Some(
                "v42 did not become healthy: web.1 listens on 127.0.0.1:8000, which nothing outside its container reaches; bind to 0.0.0.0 and the port in $PORT".into(),
            ),
            "succeeded" => Some("v42 takes all traffic".into()),
            _ => None,
        },
        created_at: before(seconds_ago),
        finished_at: over.then(|| before(seconds_ago - 7)),
        deadline_at: before(seconds_ago - 600),
    }
}

/// A few operations of the past.
pub(crate) fn operations() -> Vec<OperationView> {
    let mut list = vec![
        operation("deploy", "succeeded", "done", 240),
        operation("config", "succeeded", "done", 5_000),
        operation("deploy", "failed", "rollout", 9_200),
        operation("rollback", "succeeded", "done", 88_000),
        operation("scale", "cancelled", "rollout", 200_000),
    ];
    for (n, one) in list.iter_mut().enumerate() {
        one.id = format!("op_01937c1e00007000800000000000000{n}");
        one.revision = Some(42 - i64::try_from(n).expect("few"));
        one.cause = ["push", "config", "push", "rollback", "scale"][n].into();
    }
    list
}

fn instance(name: &str, revision: i64, state: &str, detail: Option<&str>) -> InstanceView {
    InstanceView {
        name: name.into(),
        revision,
        state: state.into(),
        detail: detail.map(str::to_owned),
        started_at: (state == "run").then(|| before(7_300)),
        restarts: u32::from(detail.is_some()) * 2,
    }
}

fn rollout() -> RolloutView {
    let web = RolloutServiceView {
        name: "web".into(),
        strategy: "canary".into(),
        step: Some(1),
        steps: 3,
        percent: Some(10),
    };
    RolloutView {
        revision: 42,
        actor: "ada@acme.example".into(),
        cause: "deploy".into(),
        since: before(90),
        deadline_at: Some(before(-500)),
        paused_by: None,
        withdrawn: None,
        services: vec![web],
        waiting_for: vec!["web: step 1 of 3, v42 has 10 % of the requests; the next one comes in 20 s".into()],
    }
}

/// An app of that state.
pub(crate) fn app(state: AppState) -> AppView {
    let empty = state == AppState::Empty;
    let deploying = state == AppState::Deploying;
    let web = ServiceView {
        name: "web".into(),
        kind: "web".into(),
        wanted: 2,
        healthy: if deploying { 1 } else { 2 },
        state: "run".into(),
        cause: "deploy".into(),
        actor: "ada@acme.example".into(),
        since: Some(before(7_300)),
        deadline_at: None,
        waiting_for: if deploying {
            vec!["web.3 to pass its health check GET /healthz (503 for 12 s; it has 48 s left)".into()]
        } else {
            vec![]
        },
        instances: if deploying {
            vec![
                instance("web.1", 41, "run", None),
                instance(
                    "web.2",
                    41,
                    "draining",
                    Some("leaves as soon as its 3 open requests end, at the latest in 22 s"),
                ),
                instance("web.3", 42, "ready", None),
            ]
        } else {
            vec![instance("web.1", 42, "run", None), instance("web.2", 42, "run", None)]
        },
    };
    let worker = ServiceView {
        name: "worker".into(),
        kind: "worker".into(),
        wanted: 1,
        healthy: 0,
        state: "run".into(),
        cause: "deploy".into(),
        actor: "ada@acme.example".into(),
        since: Some(before(7_300)),
        deadline_at: None,
        waiting_for: vec!["the next start in 14 s: it exited with status 1 twice within a minute".into()],
        instances: vec![instance(
            "worker.1",
            42,
            "failed",
            Some("exited with status 1 after 2 s: KeyError: 'QUEUE_URL'"),
        )],
    };
    let domain = |host: &str, is_default| DomainView {
        host: host.into(),
        service: "web".into(),
        url: format!("https://{host}"),
        is_default,
        certificate: certificate(host, is_default),
    };
    let host = "shop.wharf.example.net";
    let detail = AppDetail {
        rollout: deploying.then(rollout),
        alarms: if state == AppState::Degraded {
            vec!["db.1 was restarted 3 times in a row and exited with code 1 again; wharf retry db".into()]
        } else {
            vec![]
        },
        tenant: "acme".into(),
        project: "shop".into(),
        environment: "production".into(),
        state,
        urls: if empty { vec![] } else { vec!["https://shop.example.com/".into(), format!("https://{host}/")] },
        domains: vec![domain(host, true), domain("shop.example.com", false)],
        ports: vec![PortView {
            service: "queue".into(),
            transport: "tcp".into(),
            port: 5672,
            address: "wharf.example.net:20000".into(),
        }],
        git: GitRemotes {
            http: "https://wharf.example.net/acme/shop.git".into(),
            ssh: "ssh://git@wharf.example.net:2222/acme/shop.git".into(),
        },
        deploy_branch: Some("main".into()),
        revision: if empty { None } else { Some(if deploying { 41 } else { 42 }) },
        target_revision: if empty { None } else { Some(42) },
        config_version: 7,
        services: if empty { vec![] } else { vec![web, worker] },
        operation: deploying.then(|| operation("deploy", "running", "rollout", 14)),
        created_at: before(4_000_000),
    };
    AppView::new(detail, "https://wharf.example.net".into())
}

/// The log of a deploy.
pub(crate) fn deploy_log(failed: bool) -> Vec<OperationLine> {
    let mut lines = vec![
        ("step", "Reading the sources (commit 3f9c2ab1)"),
        ("output", "Python 3.12 from .python-version, packages with uv from uv.lock"),
        ("step", "Building the image"),
        ("output", "#1 load base image python:3.12-slim"),
        ("output", "#4 RUN uv sync --locked --no-dev  cached"),
        ("output", "#5 COPY . /app"),
        ("output", "#6 export 84.2 MB"),
        ("step", "Running the release command: flask db upgrade"),
        ("output", "INFO  [alembic.runtime.migration] Running upgrade 9a1 -> c02, add orders.note"),
        ("notice", "the release command took 1.2 s"),
        ("step", "Starting 2 instances of web"),
    ];
    if failed {
        lines.push(("error", "web.1 listens on 127.0.0.1:8000, which nothing outside its container reaches"));
        lines.push(("error", "bind to 0.0.0.0 and the port in $PORT, then push again; v41 goes on serving"));
    } else {
        lines.push(("output", "web.1 is healthy after 0.8 s"));
        lines.push(("output", "web.2 is healthy after 0.9 s"));
        lines.push(("notice", "v42 takes all traffic: https://shop.example.com"));
    }
    let line = |(n, (kind, text)): (usize, (&str, &str))| {
        let seq = i64::try_from(n).expect("few") + 1;
        OperationLine { seq, at: before(60 - seq), kind: kind.into(), line: text.into() }
    };
    lines.into_iter().enumerate().map(line).collect()
}

/// One that was got by itself, and one that could not be renewed.
fn certificate(host: &str, is_well: bool) -> CertificateView {
    let detail = "the authority's check failed: http-01 for shop.example.com: no address answers; it is tried again at 2026-11-24T10:00:00.000Z";
    CertificateView {
        host: host.to_owned(),
        state: if is_well { State::Valid } else { State::Expiring },
        detail: (!is_well).then(|| detail.to_owned()),
        source: Some(Source::Acme),
        issuer: Some("Let's Encrypt R11".to_owned()),
        names: vec![host.to_owned()],
        not_before: Some("2026-10-01T00:00:00.000Z".to_owned()),
        not_after: Some("2026-12-30T00:00:00.000Z".to_owned()),
        renew_at: Some("2026-11-30T00:00:00.000Z".to_owned()),
        redirects: true,
        ..CertificateView::default()
    }
}
