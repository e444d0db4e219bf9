//! One operation with its steps and its log, live while it runs.

use askama::Template;

use crate::apps::{OperationLine, OperationView};
use crate::portal::app_view::{AppView, Tab};
use crate::portal::i18n::Language;
use crate::portal::progress::{self, Step};
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

#[derive(Template)]
#[template(path = "pages/operation.html", blocks = ["status"])]
pub(crate) struct OperationPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub op: OperationView,
    /// What it said so far; the browser asks for what comes after.
    pub lines: Vec<OperationLine>,
}

impl OperationPage {
    fn steps(&self) -> Vec<Step> {
        progress::steps(&self.op)
    }

    fn is_over(&self) -> bool {
        progress::is_over(&self.op)
    }

    fn last_seq(&self) -> i64 {
        self.lines.last().map_or(0, |line| line.seq)
    }

    fn tone(&self) -> &'static str {
        match self.op.state.as_str() {
            "succeeded" => "ok",
            "failed" => "bad",
            _ => "info",
        }
    }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, deploy_log, operation, shell};
    let page = |op: OperationView, lines| OperationPage {
        shell: shell(language, "/t/acme/shop/production/deploys/x"),
        app: app(if op.state == "running" { AppState::Deploying } else { AppState::Running }),
        tab: Tab::Deploys,
        op,
        lines,
    };
    let mut early = deploy_log(false);
    early.truncate(6);
    let running = page(operation("deploy", "running", "build", 14), early);
    vec![
        Sample::page("operation", &page(operation("deploy", "succeeded", "done", 240), deploy_log(false))),
        Sample::page("operation-running", &running).with(&running.as_status()),
        Sample::page("operation-failed", &page(operation("deploy", "failed", "rollout", 70), deploy_log(true))),
        Sample::page("operation-queued", &page(operation("restart", "queued", "queued", 2), vec![])),
    ]
}
