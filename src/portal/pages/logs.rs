//! What the instances print, live.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::HeaderMap;

use crate::api::access::{App, In, Me, State};
use crate::kernel::clock::Timestamp;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::live::{self, Asked, Update};
use crate::portal::visit::Visit;

use crate::apps::{AppPath, Caller, LogFilter, LogLine};
use crate::portal::app_view::{AppView, Tab};
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

#[derive(Template)]
#[template(path = "pages/logs.html")]
pub(crate) struct LogsPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    /// The names of the app's services.
    pub services: Vec<String>,
    /// Only this one; empty for all.
    pub service: String,
    /// The last lines; the browser asks for what comes after.
    pub lines: Vec<LogLine>,
}

impl LogsPage {
    fn last_at(&self) -> &str {
        // Lines of several instances need not come in order.
        self.lines.iter().map(|line| line.at.as_str()).max().unwrap_or_default()
    }
}

/// Lines of each instance that the page begins with.
const TAIL: u32 = 200;

/// What is asked for: all services, or one.
fn filter(asked: &Asked) -> LogFilter {
    let service = Some(asked.service.clone()).filter(|service| !service.is_empty());
    LogFilter { service, tail: Some(TAIL), ..LogFilter::default() }
}

/// The last lines of each instance, in the order they were printed.
async fn last_lines(
    portal: &PortalState,
    caller: &Caller,
    app: &AppPath,
    asked: &Asked,
) -> Result<Vec<LogLine>, Failure> {
    let found = live::present(portal.apps.logs(caller, app, filter(asked)).await?).await;
    let mut lines: Vec<LogLine> = found.into_iter().flatten().collect();
    lines.sort_by(|a, b| a.at.cmp(&b.at));
    Ok(lines)
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Answer {
    let view = portal.app(&visit, &caller, &app).await?;
    let nothing_yet = view.services.is_empty();
    let page = LogsPage {
        services: view.services.iter().map(|service| service.name.clone()).collect(),
        lines: if nothing_yet { Vec::new() } else { last_lines(&portal, &caller, &app, &asked).await? },
        app: view,
        shell: portal.inside(&visit, &who, &caller).await?,
        tab: Tab::Logs,
        service: asked.service,
    };
    answer::html(&page)
}

/// New lines as they are printed; after a lost connection, those in between first.
pub(crate) async fn events(
    State(portal): State<PortalState>,
    In(caller): In,
    App(app): App,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let follow = asked.poll.is_empty();
    let after = asked.last(&headers).to_owned();
    let mut filter = LogFilter { follow, ..filter(&asked) };
    if let Ok(last) = after.parse::<jiff::Timestamp>() {
        let seconds = portal.clock.now().since_ms(Timestamp(last.as_millisecond())) / 1000 + 1;
        filter = LogFilter { since_seconds: Some(u32::try_from(seconds).unwrap_or(0).max(1)), tail: None, ..filter };
    }
    let lines = portal.apps.logs(&caller, &app, filter).await?;
    let updates = lines.filter_map(move |line| {
        let update = match line {
            Ok(line) => (line.at > after).then(|| Update::Line(line.into())),
            Err(error) => {
                tracing::error!(error = crate::kernel::error::chain(&error), "the log of an app broke off");
                None
            }
        };
        std::future::ready(update)
    });
    Ok(if follow { live::events(updates) } else { live::polled(updates).await })
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, before, shell};
    let line = |(n, (instance, stream, line)): (usize, (&str, &str, &str))| LogLine {
        at: before(40 - i64::try_from(n).expect("few")),
        instance: instance.into(),
        revision: 42,
        stream: stream.into(),
        line: line.into(),
    };
    let lines = [
        ("web.1", "stdout", "10.213.0.1 - GET / 200 12ms"),
        ("web.2", "stdout", "10.213.0.1 - GET /cart 200 31ms"),
        ("worker.1", "stderr", "Traceback (most recent call last):"),
        ("worker.1", "stderr", "  File \"/app/worker.py\", line 14, in <module>"),
        ("worker.1", "stderr", "KeyError: 'QUEUE_URL'"),
        (
            "web.1",
            "stdout",
            "10.213.0.1 - GET /static/packing-slip-with-a-very-long-name-that-does-not-fit-a-phone.css 304 1ms",
        ),
        ("web.1", "stdout", "10.213.0.1 - POST /orders 303 44ms"),
    ];
    let page = |service: &str, lines| LogsPage {
        shell: shell(language, "/t/acme/shop/production/logs"),
        app: app(AppState::Running),
        tab: Tab::Logs,
        services: vec!["web".into(), "worker".into()],
        service: service.into(),
        lines,
    };
    vec![
        Sample::page("logs", &page("", lines.into_iter().enumerate().map(line).collect())),
        Sample::page("logs-empty", &page("web", vec![])),
    ]
}
