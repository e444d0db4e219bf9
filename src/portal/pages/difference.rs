//! What differs between two releases: by service, with what came of it.

use askama::Template;
use axum::extract::Query;
use serde::Deserialize;

use crate::api::access::{App, In, Me, State};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::Params;
use crate::portal::visit::Visit;

use crate::apps::{ChangeView, RevisionView};
use crate::portal::app_view::{AppView, Tab};
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

/// What can come of a change, the least first: of several, the last one happens.
const EFFECTS: [&str; 6] = ["none", "reroute", "rescale", "restart", "start", "stop"];

/// All changes of one service, or of the stack as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub name: String,
    pub effect: &'static str,
    pub changes: Vec<String>,
}

impl Subject {
    fn is_stack(&self) -> bool {
        self.name == "stack"
    }
}

#[derive(Template)]
#[template(path = "pages/difference.html")]
pub(crate) struct DifferencePage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub from: i64,
    pub to: i64,
    pub subjects: Vec<Subject>,
    /// The releases it can be compared with.
    pub others: Vec<RevisionView>,
}

/// What to compare with; the release before, unless something is said.
#[derive(Debug, Deserialize)]
pub(crate) struct Against {
    from: Option<i64>,
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    (In(caller), App(app)): (In, App),
    params: Params,
    visit: Visit,
    Query(against): Query<Against>,
) -> Answer {
    let to: i64 = params.get("revision")?;
    let mut others = portal.apps.revisions(&caller, &app).await?;
    others.retain(|r| r.number != to);
    let before = others.iter().map(|r| r.number).filter(|n| *n < to).max();
    let from = against.from.or(before).ok_or_else(Failure::not_found)?;
    let difference = portal.apps.diff(&caller, &app, from, to).await?;
    answer::html(&DifferencePage {
        subjects: by_subject(difference.changes),
        app: portal.app(&visit, &caller, &app).await?,
        shell: portal.inside(&visit, &who, &caller).await?,
        tab: Tab::Releases,
        from,
        to,
        others,
    })
}

/// Changes below what they are about, in their order.
fn by_subject(changes: Vec<ChangeView>) -> Vec<Subject> {
    let rank = |word: &str| EFFECTS.iter().position(|e| *e == word).unwrap_or(0);
    let mut subjects: Vec<Subject> = Vec::new();
    for change in changes {
        let effect = rank(&change.effect);
        match subjects.iter_mut().find(|s| s.name == change.subject) {
            Some(known) => {
                known.effect = EFFECTS[rank(known.effect).max(effect)];
                known.changes.push(change.text);
            }
            None => {
                let changes = vec![change.text];
                subjects.push(Subject { name: change.subject, effect: EFFECTS[effect], changes });
            }
        }
    }
    subjects
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, before, shell};
    let change = |subject: &str, text: &str, effect: &str| ChangeView {
        subject: subject.into(),
        text: text.into(),
        aspect: "policy".into(),
        effect: effect.into(),
    };
    let release = |number: i64| RevisionView {
        number,
        hash: "sha256:9b1f0c77a2".into(),
        source_commit: None,
        author: "ada@acme.example".into(),
        message: "wharf apply".into(),
        config_version: 3,
        created_at: before((43 - number) * 40_000),
        serving: number == 42,
        failed_reason: None,
        changes: vec![],
    };
    let page = |changes| DifferencePage {
        shell: shell(language, "/t/acme/shop/production/releases/42/diff"),
        app: app(AppState::Running),
        tab: Tab::Releases,
        from: 41,
        to: 42,
        subjects: by_subject(changes),
        others: vec![release(41), release(40), release(39)],
    };
    let changes = vec![
        change("catalog", "image 3f9c2ab1e07d → 91bd0a77f3c2", "restart"),
        change("catalog", "environment VERSION changes", "restart"),
        change("front", "route (all domains)/orders to port 8000 is added", "reroute"),
        change("front", "traffic limits change", "reroute"),
        change("reports", "is added", "start"),
        change("worker", "replicas 2 → 4", "rescale"),
        change("mailer", "is removed", "stop"),
        change("stack", "volume reports is added", "none"),
        change("stack", "configuration SIGNING_KEY changes", "none"),
    ];
    vec![Sample::page("difference", &page(changes)), Sample::page("difference-none", &page(vec![]))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_effects_the_strongest_is_told() {
        let change = |subject: &str, effect: &str| ChangeView {
            subject: subject.into(),
            text: effect.into(),
            aspect: String::new(),
            effect: effect.into(),
        };
        let changes = vec![change("web", "reroute"), change("db", "none"), change("web", "restart")];
        let seen: Vec<String> = by_subject(changes)
            .into_iter()
            .map(|s| format!("{} {} {}", s.name, s.effect, s.changes.join("+")))
            .collect();
        assert_eq!(seen, ["web restart reroute+restart", "db none none"]);
    }
}
