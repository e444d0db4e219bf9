//! Keeping a release up: what is missing is started in the order of its dependencies, what ended is started again with
//! back-off, what fails its checks leaves the routes and is replaced. A pet that ends too often is left to a person.

use std::cmp::Reverse;

use super::division::{Division, Line, Part, is_routed};
use super::order::{fenced, has_completed, unmet};
use super::scene::{Condition, Draft, Drain, Scene, Seat};
use super::words;
use crate::engine::InstanceKey;
use crate::kernel::clock::Timestamp;
use crate::scheduler::model::{Action, StopCause, network_name};
use crate::scheduler::policy::planted;
use crate::scheduler::report::ServiceReport;
use crate::stack::lifecycle::State;
use crate::stack::model::{Care, RestartCondition};
use crate::stack::quota::Amounts;
use crate::stack::{Service, ServiceKind};

/// How many more instances of a release may begin to start.
pub(super) struct Turns(pub u32);

impl Turns {
    pub(super) fn of(scene: &Scene<'_>, division: &Division<'_>, part: Part) -> Self {
        let mut left = scene.policy.parallel_starts;
        for line in division.lines.iter().filter(|l| l.part == part) {
            let set = scene.set(line.release, line.name);
            for slot in line.slots() {
                let starting = matches!(scene.condition(set, slot, line.service), Condition::Starting { .. });
                let busy = || scene.is_busy(&scene.key(line.release, line.name, slot));
                if starting || (!scene.world.busy.is_empty() && busy()) {
                    left = left.saturating_sub(1);
                }
            }
        }
        Self(left)
    }

    fn take(&mut self) -> bool {
        let free = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        free
    }
}

/// Keeps the serving release up.
pub(super) fn upkeep<'a>(scene: &Scene<'a>, division: &Division<'a>, draft: &mut Draft<'a>) {
    let mut turns = Turns::of(scene, division, Part::Serving);
    bring_up(scene, division, Part::Serving, &mut turns, draft);
}

/// Brings up what shall be there of a release, as far as it is not.
pub(super) fn bring_up<'a>(
    scene: &Scene<'a>,
    division: &Division<'a>,
    part: Part,
    turns: &mut Turns,
    draft: &mut Draft<'a>,
) {
    let first = draft.services.len();
    // When not all can start at once, what matters more goes first.
    let mut lines: Vec<&Line<'a>> = division.lines.iter().filter(|l| l.part == part).collect();
    lines.sort_by_key(|line| Reverse(line.service.criticality));
    for line in lines {
        let set = scene.set(line.release, line.name);
        let (mut healthy, mut fresh, mut wanted) = (0, 0, 0);
        let alarms = draft.alarms.len();
        let mut details = Vec::new();
        for slot in line.slots() {
            wanted += 1;
            let condition = scene.condition(set, slot, line.service);
            fresh += u32::from(matches!(condition, Condition::Missing));
            if is_fine(line, condition) {
                healthy += 1;
                continue;
            }
            let key = scene.key(line.release, line.name, slot);
            let detail = attend(scene, division, line, &key, condition, turns, draft);
            if details.len() <= words::NAMED {
                details.push(detail);
            }
        }
        if healthy < wanted {
            draft.waits.push(words::service_wait(line.name, healthy, wanted, &details));
            // Only the additional slots are missing: that is scaling, not repair.
            draft.resizing = part == Part::Serving && fresh > 0 && fresh + healthy == wanted;
        }
        draft.services.push(ServiceReport {
            name: line.name.to_string(),
            kind: line.service.kind,
            version: line.version(),
            serving: part == Part::Serving,
            state: state(scene, line, (wanted, healthy, fresh), draft.alarms.len() > alarms),
            life: None,
            wanted,
            healthy,
        });
    }
    draft.services[first..].sort_by(|a, b| a.name.cmp(&b.name));
}

/// Where a service stands by what its instances do.
fn state(scene: &Scene<'_>, line: &Line<'_>, (wanted, healthy, fresh): (u32, u32, u32), alarmed: bool) -> State {
    let target = scene.desired.and_then(|d| d.target.as_ref());
    let serving = scene.desired.and_then(|d| d.serving.as_ref());
    let changing = target.filter(|t| {
        serving.is_some_and(|r| r.version_of(line.name) != t.release.version_of(line.name))
            && t.release.stack.services.contains_key(line.name)
    });
    match changing {
        _ if alarmed => State::Failed,
        Some(t) if t.progress.at_once || t.progress.withdrawn.is_some() => State::Rollback,
        Some(_) => State::Update,
        None if healthy == wanted => State::Run,
        None if line.part == Part::Serving && fresh > 0 && fresh + healthy == wanted && healthy > 0 => State::Scale,
        None if fresh == wanted => State::Provision,
        None => State::Ready,
    }
}

/// Says who takes requests: the healthy instances of all lines that do.
pub(super) fn route<'a>(scene: &Scene<'a>, division: &Division<'a>, draft: &mut Draft<'a>) {
    for line in division.lines.iter().filter(|l| l.join && is_routed(l.service)) {
        let set = scene.set(line.release, line.name);
        for seat in set.iter().filter(|s| line.keeps(s.key.slot)) {
            match scene.condition(set, seat.key.slot, line.service) {
                Condition::Healthy { seat } => draft.join(seat),
                Condition::Starting { seat } if planted!(scene.policy, RouteUnproven) => draft.join(seat),
                _ => {}
            }
        }
    }
}

/// Whether nothing has to be done for it.
fn is_fine(line: &Line<'_>, condition: Condition<'_>) -> bool {
    match condition {
        Condition::Healthy { .. } => true,
        Condition::Exited { code, .. } => match (line.service.kind, line.service.restart.condition) {
            (ServiceKind::Job, _) => has_completed(condition),
            (_, RestartCondition::OnFailure) => code == 0,
            _ => false,
        },
        _ => false,
    }
}

/// Does what one wanted instance needs; says what it waits for.
fn attend<'a>(
    scene: &Scene<'a>,
    division: &Division<'a>,
    line: &Line<'a>,
    key: &InstanceKey,
    condition: Condition<'a>,
    turns: &mut Turns,
    draft: &mut Draft<'a>,
) -> String {
    let service = line.service;
    match condition {
        Condition::Missing | Condition::Created => start(scene, division, line, key, turns, draft),
        Condition::Starting { seat } | Condition::Healthy { seat } => words::starting(scene, seat, service),
        Condition::Leaving { seat } => format!("{} is being stopped", words::name(&seat.key)),
        Condition::Exited { seat, at, .. } => restart(scene, line, key, seat, at, draft),
        Condition::Ill { seat, since } => {
            let enough = scene.now.since_ms(since) >= scene.policy.ill_ms;
            if enough && matches!(scene.drain(seat), Drain::Done) {
                scene.act(draft, stop_ill(key, &seat.id, service));
            }
            words::ill(scene, seat, since)
        }
        Condition::Late { seat } => {
            if matches!(scene.drain(seat), Drain::Done) {
                scene.act(draft, stop_ill(key, &seat.id, service));
            }
            words::late(seat, service)
        }
    }
}

/// Starts an instance again that ended, when it is time and it shall be.
fn restart<'a>(
    scene: &Scene<'a>,
    line: &Line<'a>,
    key: &InstanceKey,
    seat: Seat<'a>,
    ended_at: Timestamp,
    draft: &mut Draft<'a>,
) -> String {
    if line.service.restart.condition == RestartCondition::Never && line.part == Part::Serving {
        return words::not_again(scene, seat);
    }
    if let Some(most) = most_restarts(scene, line.service).filter(|most| seat.crashes() > *most)
        && line.part == Part::Serving
        && !planted!(scene.policy, NeverGiveUpPet)
    {
        let text = words::given_up(scene, seat, most);
        draft.alarms.push(text.clone());
        return text;
    }
    if let Some(text) = fenced(scene, key, line.service) {
        return text;
    }
    let retry_at = ended_at.plus_ms(backoff_ms(scene, line.service, seat.crashes()));
    let troubled = retry_after_trouble(scene, key);
    let due = scene.now >= retry_at && troubled.is_none_or(|at| scene.now >= at);
    if due && !planted!(scene.policy, ForgetCrashed) {
        scene.act(draft, Action::Restart { key: key.clone(), id: seat.id.clone() });
    }
    words::ended(scene, seat, retry_at)
}

/// How often in a row it is started again before a person is called; `None` for as often as it takes.
fn most_restarts(scene: &Scene<'_>, service: &Service) -> Option<u32> {
    let pet = (service.care == Care::Pet).then_some(scene.policy.pet_restarts);
    service.restart.max_attempts.or(pet)
}

/// How long after its end it is started again.
fn backoff_ms(scene: &Scene<'_>, service: &Service, crashes: u32) -> i64 {
    let own = service.restart.delay_seconds.map_or(0, |s| i64::from(s) * 1_000);
    scene.policy.backoff_ms(crashes).max(if crashes > 0 { own } else { 0 })
}

fn stop_ill(key: &InstanceKey, id: &str, service: &Service) -> Action {
    let grace_seconds = service.stop_grace_seconds;
    Action::Stop { key: key.clone(), id: id.to_owned(), grace_seconds, cause: StopCause::Ill }
}

/// When an instance that could not be started may be tried again.
fn retry_after_trouble(scene: &Scene<'_>, key: &InstanceKey) -> Option<Timestamp> {
    let trouble = scene.world.trouble.get(key)?;
    Some(trouble.last_at.plus_ms(scene.policy.backoff_ms(trouble.attempts)))
}

fn start(
    scene: &Scene<'_>,
    division: &Division<'_>,
    line: &Line<'_>,
    key: &InstanceKey,
    turns: &mut Turns,
    draft: &mut Draft<'_>,
) -> String {
    let Some(desired) = scene.desired else { return String::new() };
    let who = words::name(key);
    if scene.is_busy(key) {
        return format!("{who} is being started");
    }
    if let Some(retry_at) = retry_after_trouble(scene, key)
        && scene.now < retry_at
    {
        return words::troubled(scene, key, retry_at);
    }
    if !scene.networks.contains(&network_name(scene.environment)) {
        return format!("{who} waits for the private network");
    }
    if let Some(text) = unmet(scene, division, line) {
        return format!("{who} {text}");
    }
    if let Some(text) = fenced(scene, key, line.service) {
        return text;
    }
    if let Some(text) = scene.room.refuses(line.service, draft.taken).filter(|_| !planted!(scene.policy, IgnoreQuota)) {
        return format!("{who} {text}");
    }
    if !turns.take() {
        return format!("{who} waits for its turn to start");
    }
    draft.taken += Amounts::of(line.service, 1);
    scene.act(draft, Action::Start { key: key.clone(), owner: desired.owner.clone() });
    format!("{who} is being started")
}
