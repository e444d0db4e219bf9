//! Inputs and workflows of the stack.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cx, service};
use crate::kernel::name::VariableName;
use crate::stack::compose::fields::{Fields, nearest, scalar};
use crate::stack::compose::finding::{Finding, Place};
use crate::stack::compose::keys;
use crate::stack::model::{
    Generator, GeneratorKind, Input, ResourceName, Retry, StepCondition, StepTrigger, Workflow, WorkflowInput,
    WorkflowStep,
};

/// Characters of a value that is made up, unless said otherwise.
const GENERATED: u16 = 32;
/// Seconds a step may take unless it says otherwise.
const STEP_SECONDS: u32 = 3_600;
const LONGEST: u32 = 7 * 86_400;
/// Names of steps, parameters and artefacts.
const MOST_ITEMS: usize = 256;

fn variable(text: &str, at: Place, f: &Fields<'_>) -> Option<VariableName> {
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            f.sink.add(Finding::error("bad-name", at, format!("{error}")));
            None
        }
    }
}

pub(super) fn inputs(x: &Fields<'_>) -> BTreeMap<VariableName, Input> {
    let mut all = BTreeMap::new();
    for entry in x.entries("inputs") {
        let Some(name) = variable(&entry.key, entry.key_at, x) else { continue };
        let mut input = Input::default();
        if let Some(f) = Fields::open(&entry.node, &keys::X_INPUT, x.sink) {
            input = Input {
                label: f.text("label"),
                description: f.text("description"),
                default: f.text("default"),
                required: f.bool("required").unwrap_or(false),
                secret: f.bool("secret").unwrap_or(false),
                generate: generator(&f),
                choices: f.texts("choices").into_iter().map(|(c, _)| c).collect(),
            };
            if let Some(default) =
                input.default.as_ref().filter(|d| !input.choices.is_empty() && !input.choices.contains(d))
            {
                let at = f.get("default").map_or(f.at, |n| n.at);
                f.bad(
                    at,
                    &format!("`{default}` is not one of the choices"),
                    "add it to `choices`, or take another default",
                );
            }
        }
        all.insert(name, input);
    }
    all
}

fn generator(f: &Fields<'_>) -> Option<Generator> {
    let kinds = [GeneratorKind::Password, GeneratorKind::Hex, GeneratorKind::Base64];
    let node = f.get("generate")?;
    if node.scalar().is_some() {
        return Some(Generator { kind: kinds[f.choice("generate", keys::GENERATORS)?], length: GENERATED });
    }
    let g = f.open_at("generate", &keys::X_GENERATE)?;
    let length = g.int("length", 1, 256).and_then(|n| u16::try_from(n).ok()).unwrap_or(GENERATED);
    Some(Generator { kind: kinds[g.choice("kind", keys::GENERATORS).unwrap_or(0)], length })
}

pub(super) fn workflows(x: &Fields<'_>, cx: &Cx<'_>) -> BTreeMap<ResourceName, Workflow> {
    let mut all = BTreeMap::new();
    for entry in x.entries("workflows") {
        let (Some(name), Some(f)) =
            (cx.name(&entry.key, entry.key_at), Fields::open(&entry.node, &keys::X_WORKFLOW, x.sink))
        else {
            continue;
        };
        all.insert(name, workflow(&f, entry.key_at, cx));
    }
    all
}

fn workflow(f: &Fields<'_>, key_at: Place, cx: &Cx<'_>) -> Workflow {
    let mut w = Workflow {
        description: f.text("description"),
        deadline_seconds: f.seconds("deadline", LONGEST),
        history: f.int("history", 0, 1_000),
        ..Workflow::default()
    };
    match f.get("schedule") {
        Some(node) if node.as_map().is_some() => {
            if let Some(s) = f.open_at("schedule", &keys::X_SCHEDULE) {
                (w.schedule, w.misfire, w.overlap) = super::run::start(&s);
            }
        }
        Some(_) => {
            w.schedule = f
                .read("schedule", |t| crate::stack::cron::Cron::parse(t).map(|c| c.to_string()))
                .map(|cron| crate::stack::model::Schedule { cron, zone: "UTC".to_owned() });
        }
        None => {}
    }
    for entry in f.entries("parameters") {
        let Some(name) = variable(&entry.key, entry.key_at, f) else { continue };
        let p = Fields::open(&entry.node, &keys::X_PARAMETER, f.sink);
        let text = |key: &str| p.as_ref().and_then(|p| p.text(key));
        w.parameters.insert(name, WorkflowInput { default: text("default"), description: text("description") });
    }
    let entries = f.entries("steps");
    if entries.is_empty() || entries.len() > MOST_ITEMS {
        let finding = Finding::error("missing-key", key_at, format!("a workflow has 1 to {MOST_ITEMS} steps"));
        cx.sink.add(finding.help("write `steps: {first: {service: …}}`"));
    }
    let mut places = BTreeMap::new();
    for entry in entries {
        let Some(s) = Fields::open(&entry.node, &keys::X_WORKFLOW_STEP, f.sink) else { continue };
        places.insert(entry.key.clone(), entry.key_at);
        if let Some(step) = step(&s, cx, &w) {
            w.steps.insert(entry.key.clone(), step);
        }
    }
    needs(entries.iter().filter_map(|e| Fields::open(&e.node, &keys::X_WORKFLOW_STEP, f.sink)), &places);
    if let Some(circle) = circle(&w) {
        let at = places.get(&circle[0]).copied().unwrap_or(key_at);
        let message = format!("steps wait for each other: {} → {}", circle.join(" → "), circle[0]);
        cx.sink.add(Finding::error("cycle", at, message).help("take one of these `needs` away"));
    }
    w
}

fn step(f: &Fields<'_>, cx: &Cx<'_>, workflow: &Workflow) -> Option<WorkflowStep> {
    let Some((name, at)) = f.word("service") else {
        f.missing("service", "web");
        return None;
    };
    let mut references = BTreeSet::new();
    let mut environment = BTreeMap::new();
    for entry in f.entries("environment") {
        if let Some((value, _)) = scalar(&entry.node, f.sink) {
            environment.insert(entry.key.clone(), super::stored(value, &mut references));
        }
    }
    let command = service::command(f, "command", &mut references);
    if !references.is_empty() {
        let names: Vec<&str> = references.iter().map(VariableName::as_str).collect();
        let message = format!("a step cannot hold the value of {}", names.join(", "));
        f.bad(f.at, &message, "steps have the environment of their service: put it there");
    }
    let (trigger, condition) = f.read("when", |t| when(t, workflow)).unwrap_or_default();
    Some(WorkflowStep {
        service: cx.service(&name, at)?,
        command,
        needs: f.texts("needs").into_iter().map(|(n, _)| n).collect(),
        for_each: f.texts("for_each").into_iter().map(|(n, _)| n).take(MOST_ITEMS).collect(),
        trigger,
        condition,
        environment,
        retry: Retry {
            attempts: f.int("retries", 0, 100).unwrap_or(0),
            delay_seconds: f.seconds("retry_delay", 86_400).unwrap_or(0),
        },
        deadline_seconds: f.seconds("deadline", LONGEST).unwrap_or(STEP_SECONDS).max(1),
        artifacts: artifacts(f),
        allow_failure: f.bool("allow_failure").unwrap_or(false),
    })
}

fn artifacts(f: &Fields<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for (text, at) in f.texts("artifacts") {
        match super::super::files::join("", &text).filter(|p| !p.is_empty()) {
            Some(path) => all.push(path),
            None => f.bad(at, &format!("`{text}` leads out of the shared folder"), "write a relative path"),
        }
    }
    all
}

/// `on_failure`, `NAME == text`, or both with `and` between them.
fn when(text: &str, workflow: &Workflow) -> Result<(StepTrigger, Option<StepCondition>), String> {
    const WORDS: [(&str, StepTrigger); 3] = [
        ("on_success", StepTrigger::OnSuccess),
        ("on_failure", StepTrigger::OnFailure),
        ("always", StepTrigger::Always),
    ];
    let (head, tail) = text.split_once(" and ").map_or((text, None), |(head, tail)| (head, Some(tail)));
    match (WORDS.iter().find(|(word, _)| *word == head.trim()), tail) {
        (Some((_, trigger)), None) => Ok((*trigger, None)),
        (Some((_, trigger)), Some(tail)) => Ok((*trigger, Some(condition(tail, workflow)?))),
        (None, _) => Ok((StepTrigger::OnSuccess, Some(condition(text, workflow)?))),
    }
}

fn condition(text: &str, workflow: &Workflow) -> Result<StepCondition, String> {
    let (name, value, differs) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((n, v)), None) => (n, v, false),
        (None, Some((n, v))) => (n, v, true),
        _ => {
            return Err(format!(
                "`{text}` is not a condition; write `on_failure`, `always`, `NAME == text` or `NAME != text`"
            ));
        }
    };
    let parameter: VariableName = name.trim().parse().map_err(|e| format!("{e}"))?;
    if !workflow.parameters.contains_key(&parameter) {
        return Err(format!("the workflow has no parameter `{}`", parameter.as_str()));
    }
    Ok(StepCondition { parameter, value: value.trim().trim_matches(['\'', '"']).to_owned(), differs })
}

/// Reports steps that are needed and not there.
fn needs<'a>(steps: impl Iterator<Item = Fields<'a>>, known: &BTreeMap<String, Place>) {
    for f in steps {
        for (name, at) in f.texts("needs").into_iter().filter(|(n, _)| !known.contains_key(n)) {
            let finding = Finding::error("unknown-name", at, format!("there is no step `{name}`"));
            f.sink.add(match nearest(&name, known.keys().map(String::as_str)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("name a step of the same workflow"),
            });
        }
    }
}

/// Steps that wait for each other, if there are any.
fn circle(workflow: &Workflow) -> Option<Vec<String>> {
    for start in workflow.steps.keys() {
        let mut path = vec![start.clone()];
        let mut seen = BTreeSet::new();
        if walk(workflow, start, &mut path, &mut seen) {
            return Some(path);
        }
    }
    None
}

fn walk(workflow: &Workflow, start: &str, path: &mut Vec<String>, seen: &mut BTreeSet<String>) -> bool {
    let Some(step) = path.last().and_then(|last| workflow.steps.get(last)) else { return false };
    for need in &step.needs {
        if need == start {
            return true;
        }
        if seen.insert(need.clone()) {
            path.push(need.clone());
            if walk(workflow, start, path, seen) {
                return true;
            }
            path.pop();
        }
    }
    false
}
