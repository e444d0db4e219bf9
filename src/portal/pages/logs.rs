//! What the instances print, live.

use askama::Template;

use crate::apps::LogLine;
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
        self.lines.last().map_or("", |line| line.at.as_str())
    }
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
