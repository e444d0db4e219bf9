//! `healthcheck`.

use super::Draft;
use super::service::argv;
use crate::stack::compose::fields::Fields;
use crate::stack::compose::keys;
use crate::stack::compose::node::{Node, Value};
use crate::stack::model::Protocol;

/// Longest time between two checks, and for one of them.
pub(super) const LONGEST_CHECK: u32 = 3_600;
/// Longest time to the first success.
pub(super) const LONGEST_START: u32 = 7_200;

pub(super) fn read(f: &Fields<'_>, draft: &mut Draft) {
    let Some(h) = f.open_at("healthcheck", &keys::HEALTHCHECK) else { return };
    let service = &mut draft.service;
    let check = &mut service.health;
    if h.bool("disable") == Some(true) {
        check.protocol = Protocol::Process;
        draft.said.health = true;
        return;
    }
    if let Some(test) = h.get("test") {
        match command(test, &h, &mut service.references) {
            Test::None => {
                check.protocol = Protocol::Process;
                draft.said.health = true;
                return;
            }
            Test::Command(argv) => check.command = Some(argv),
            Test::Malformed => {}
        }
    }
    if let Some(ms) = h.millis("interval", LONGEST_CHECK).filter(|ms| *ms > 0) {
        check.interval_ms = ms;
    }
    if let Some(ms) = h.millis("timeout", LONGEST_CHECK).filter(|ms| *ms > 0) {
        check.timeout_ms = ms;
    }
    if let Some(n) = h.int("retries", 0, 1_000).filter(|n| *n > 0) {
        check.failures = n;
    }
    check.start_interval_ms = h.millis("start_interval", LONGEST_CHECK).filter(|ms| *ms > 0);
    // Compose counts failures only after the start period: then so many more checks may fail.
    if let Some(period) = h.millis("start_period", LONGEST_START) {
        let tries = check.failures.saturating_mul(check.interval_ms.saturating_add(check.timeout_ms));
        check.start_deadline_ms = period.saturating_add(tries).clamp(10_000, LONGEST_START * 1000);
    } else if h.get("interval").is_some() || h.get("retries").is_some() {
        let tries = check.failures.saturating_mul(check.interval_ms.saturating_add(check.timeout_ms));
        check.start_deadline_ms = tries.clamp(check.start_deadline_ms, LONGEST_START * 1000);
    }
}

enum Test {
    None,
    Command(Vec<String>),
    Malformed,
}

/// `[CMD, …]`, `[CMD-SHELL, line]`, `[NONE]`, or a line for the container's shell.
fn command(
    node: &Node,
    f: &Fields<'_>,
    references: &mut std::collections::BTreeSet<crate::kernel::name::VariableName>,
) -> Test {
    let shell = |line: String| Test::Command(vec!["/bin/sh".to_owned(), "-c".to_owned(), line]);
    if let Value::Scalar(s) = &node.value {
        return match s {
            s if s.unknown => Test::Malformed,
            s if s.text == "NONE" => Test::None,
            s => shell(super::stored(s, references)),
        };
    }
    let Some(words) = argv(node, f, references) else { return Test::Malformed };
    match words.split_first() {
        Some((first, _)) if first == "NONE" => Test::None,
        Some((first, rest)) if first == "CMD" && !rest.is_empty() => Test::Command(rest.to_vec()),
        Some((first, [line])) if first == "CMD-SHELL" => shell(line.clone()),
        _ => {
            f.bad(
                node.at,
                "a test begins with `CMD`, `CMD-SHELL` or `NONE`",
                "write `[CMD, program, argument]`, or `[CMD-SHELL, \"one line\"]`",
            );
            Test::Malformed
        }
    }
}
