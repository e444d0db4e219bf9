//! Environment variables: several at once, values hidden until asked for, pasted `.env` text.

use askama::Template;
use std::collections::BTreeMap;

use axum::extract::Form;

use crate::api::access::{App, CSRF_FIELD, In, Me, State};
use crate::apps::{AppPath, Caller, ConfigChange};
use crate::kernel::name::VariableName;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::app_path;
use crate::portal::dotenv;
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;

use crate::portal::app_view::{AppView, Tab};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

/// A variable that exists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    pub name: String,
    /// Its value when values are shown, or what was typed over it.
    pub value: String,
    /// Marked for removal.
    pub remove: bool,
}

#[derive(Template)]
#[template(path = "pages/config.html")]
pub(crate) struct ConfigPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub variables: Vec<Variable>,
    /// Whether values are shown.
    pub shown: bool,
    /// New ones as typed.
    pub rows: Vec<(String, String)>,
    pub dotenv: String,
    /// Only store it; the next deploy takes it.
    pub later: bool,
    pub errors: Errors,
}

/// Empty rows for new variables.
const ROWS: usize = 2;

impl ConfigPage {
    /// Whether a name as typed cannot be one; an empty row is none at all.
    fn is_bad(&self, name: &str) -> bool {
        self.errors.at("name").is_some() && !name.is_empty() && name.parse::<VariableName>().is_err()
    }
}

/// The variables as they are, with values or without.
async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    shown: bool,
) -> Result<ConfigPage, Failure> {
    let variable = |(name, value)| Variable { name, value, remove: false };
    let variables = if shown {
        portal.apps.config(caller, app).await?.values.into_iter().map(variable).collect()
    } else {
        let names = portal.apps.config_names(caller, app).await?;
        names.into_iter().map(|name| variable((name, String::new()))).collect()
    };
    Ok(ConfigPage {
        app: portal.app(visit, caller, app).await?,
        shell: portal.inside(visit, who, caller).await?,
        tab: Tab::Config,
        variables,
        shown,
        rows: vec![(String::new(), String::new()); ROWS],
        dotenv: String::new(),
        later: false,
        errors: Errors::default(),
    })
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
) -> Answer {
    answer::html(&page(&portal, &visit, (&who, &caller, &app), false).await?)
}

pub(crate) async fn show_values(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
) -> Answer {
    answer::html(&page(&portal, &visit, (&who, &caller, &app), true).await?)
}

/// The form as it was sent.
#[derive(Debug, Default)]
struct Typed {
    shown: bool,
    /// Values typed over existing ones; with hidden values an empty one means: leave it.
    set: BTreeMap<String, String>,
    unset: Vec<String>,
    rows: Vec<(String, String)>,
    dotenv: String,
    later: bool,
}

impl Typed {
    fn new(fields: Vec<(String, String)>) -> Self {
        let mut typed = Self::default();
        for (field, value) in fields {
            // Browsers send line ends as CRLF.
            let value = value.replace("\r\n", "\n");
            match field.as_str() {
                "shown" => typed.shown = !value.is_empty(),
                "unset" => typed.unset.push(value),
                "name" => typed.rows.push((value.trim().to_owned(), String::new())),
                "value" => {
                    if let Some(row) = typed.rows.last_mut() {
                        row.1 = value;
                    }
                }
                "dotenv" => typed.dotenv = value,
                "later" => typed.later = true,
                CSRF_FIELD => {}
                other => {
                    if let Some(name) = other.strip_prefix("set.") {
                        typed.set.insert(name.to_owned(), value);
                    }
                }
            }
        }
        typed
    }

    /// What is to be changed against the present values (which are not looked at while they are hidden).
    fn change(&self, present: &BTreeMap<String, String>) -> Result<ConfigChange, Errors> {
        let mut errors = Errors::default();
        let mut change = ConfigChange { unset: self.unset.clone(), no_restart: self.later, ..ConfigChange::default() };
        for (name, value) in &self.set {
            let touched = if self.shown { present.get(name) != Some(value) } else { !value.is_empty() };
            if touched && !self.unset.contains(name) {
                change.set.insert(name.clone(), value.clone());
            }
        }
        match dotenv::parse(&self.dotenv) {
            Ok(pairs) => change.set.extend(pairs.into_iter().map(|(name, value)| (name.into(), value))),
            Err(error) => errors.add("dotenv", error.to_string()),
        }
        for (name, value) in self.rows.iter().filter(|(name, value)| !name.is_empty() || !value.is_empty()) {
            match name.parse::<VariableName>() {
                Ok(name) => {
                    change.set.insert(name.into(), value.clone());
                }
                Err(error) => errors.add("name", error.to_string()),
            }
        }
        if errors.any() { Err(errors) } else { Ok(change) }
    }

    /// The page again with everything that was typed.
    fn onto(self, page: &mut ConfigPage, errors: Errors) {
        for one in &mut page.variables {
            one.remove = self.unset.contains(&one.name);
            if let Some(value) = self.set.get(&one.name) {
                one.value.clone_from(value);
            }
        }
        page.rows = self.rows;
        page.rows.resize(page.rows.len().max(ROWS), (String::new(), String::new()));
        page.dotenv = self.dotenv;
        page.later = self.later;
        page.errors = errors;
    }
}

pub(crate) async fn change(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Answer {
    let typed = Typed::new(fields);
    let base = app_path(&caller, &app);
    let present = if typed.shown { portal.apps.config(&caller, &app).await?.values } else { BTreeMap::new() };
    let errors = match typed.change(&present) {
        Err(errors) => errors,
        Ok(change) if change.set.is_empty() && change.unset.is_empty() => {
            return answer::go_and_say(&format!("{base}/config"), &visit, "flash.unchanged");
        }
        Ok(change) => match portal.apps.change_config(&caller, &app, change).await {
            Ok(outcome) => {
                return match outcome.operation {
                    Some(operation) => answer::go(&format!("{base}/deploys/{}", operation.id)),
                    None => answer::go_and_say(&format!("{base}/config"), &visit, "flash.saved"),
                };
            }
            Err(error) => Errors::from_refusal(error, &[])?,
        },
    };
    let mut page = page(&portal, &visit, (&who, &caller, &app), typed.shown).await?;
    typed.onto(&mut page, errors);
    answer::refused(&page)
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, shell, viewer};
    let variables = |shown: bool| -> Vec<Variable> {
        let all = [
            ("DATABASE_URL", "postgres://shop:s3cret@db.internal/shop"),
            ("LOG_LEVEL", "info"),
            ("SIGNING_KEY", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----"),
        ];
        all.map(|(name, value)| Variable {
            name: name.into(),
            value: if shown { value.into() } else { String::new() },
            remove: false,
        })
        .into()
    };
    let page = |shell, variables, shown| ConfigPage {
        shell,
        app: app(AppState::Running),
        tab: Tab::Config,
        variables,
        shown,
        rows: vec![(String::new(), String::new()); 2],
        dotenv: String::new(),
        later: false,
        errors: Errors::default(),
    };
    let path = "/t/acme/shop/production/config";
    let mut wrong = page(shell(language, path), variables(false), false);
    wrong.variables[1].remove = true;
    wrong.rows = vec![("1BAD".into(), "x".into())];
    wrong.dotenv = "A=1\nnonsense".into();
    wrong.errors = Errors::field(
        "name",
        "the variable name `1BAD` is not valid: use letters, digits and underscores, not starting with a digit",
    );
    wrong.errors.add("dotenv", "line 2: write NAME=value (a line that starts with # is a comment)");
    vec![
        Sample::page("config", &page(shell(language, path), variables(false), false)),
        Sample::page("config-shown", &page(shell(language, path), variables(true), true)),
        Sample::page("config-errors", &wrong),
        Sample::page("config-empty", &page(shell(language, path), vec![], false)),
        Sample::page("config-viewer", &page(viewer(language, path), variables(false), false)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(fields: &[(&str, &str)]) -> Typed {
        Typed::new(fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn present() -> BTreeMap<String, String> {
        [("KEEP".to_owned(), "1".to_owned()), ("GONE".to_owned(), "2".to_owned())].into()
    }

    #[test]
    fn hidden_values_stay_unless_something_is_typed() {
        let change =
            typed(&[("set.KEEP", ""), ("set.GONE", "new"), ("name", "A"), ("value", "x"), ("name", ""), ("value", "")]);
        let change = change.change(&BTreeMap::new()).expect("it is fine");
        let wanted = [("GONE".to_owned(), "new".to_owned()), ("A".to_owned(), "x".to_owned())];
        assert_eq!(change.set, wanted.into());
        assert!(change.unset.is_empty() && !change.no_restart);
    }

    #[test]
    fn shown_values_change_only_where_they_differ() {
        let change = typed(&[("shown", "1"), ("set.KEEP", "1"), ("set.GONE", ""), ("later", "1")]).change(&present());
        let change = change.expect("it is fine");
        assert_eq!(change.set, [("GONE".to_owned(), String::new())].into());
        assert!(change.no_restart);
    }

    #[test]
    fn removal_wins_over_a_typed_value() {
        let change = typed(&[("set.GONE", "x"), ("unset", "GONE")]).change(&BTreeMap::new()).expect("it is fine");
        assert!(change.set.is_empty());
        assert_eq!(change.unset, ["GONE"]);
    }

    #[test]
    fn errors_stand_at_their_fields_and_nothing_is_lost() {
        let typed = typed(&[("name", "1BAD"), ("value", "two\r\nlines"), ("dotenv", "nonsense")]);
        let errors = typed.change(&BTreeMap::new()).expect_err("it is refused");
        assert!(errors.at("name").is_some() && errors.at("dotenv").is_some());
        assert_eq!(typed.rows, [("1BAD".to_owned(), "two\nlines".to_owned())]);
    }
}
