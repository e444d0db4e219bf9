//! Keeping a release up: what is missing is started, what ended is started again with back-off, what fails its
//! checks leaves the routes and is replaced.

use super::scene::{Condition, Draft, Drain, Scene};
use super::words;
use crate::engine::InstanceKey;
use crate::scheduler::model::{Action, Release, StopCause, network_name};
use crate::scheduler::policy::planted;
use crate::scheduler::report::ServiceReport;
use crate::stack::{Service, ServiceKind};

/// How many more instances of a release may begin to start.
pub(super) struct Turns(pub u32);

impl Turns {
    pub(super) fn of(scene: &Scene<'_>, release: &Release) -> Self {
        let Some(desired) = scene.desired else { return Self(0) };
        let mut left = scene.policy.parallel_starts;
        for (name, service) in &release.stack.services {
            let set = scene.set(release, name);
            for slot in 1..=desired.replicas(name, service) {
                let starting = matches!(scene.condition(set, slot, service), Condition::Starting { .. });
                if starting || (!scene.world.busy.is_empty() && scene.is_busy(&scene.key(release, name, slot))) {
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

/// Keeps the serving release up and says who of it belongs into the routes.
pub(super) fn upkeep<'a>(scene: &Scene<'a>, release: &Release, draft: &mut Draft<'a>) {
    let mut turns = Turns::of(scene, release);
    bring_up(scene, release, &mut turns, draft, true);
}

/// Brings all instances of a release up, as far as they are not; `serving` ones go into the routes when healthy.
pub(super) fn bring_up<'a>(
    scene: &Scene<'a>,
    release: &Release,
    turns: &mut Turns,
    draft: &mut Draft<'a>,
    serving: bool,
) {
    let Some(desired) = scene.desired else { return };
    for (name, service) in &release.stack.services {
        let set = scene.set(release, name);
        let wanted = desired.replicas(name, service);
        let mut healthy = 0;
        let mut details = Vec::new();
        let mut fresh = 0;
        for slot in 1..=wanted {
            let condition = scene.condition(set, slot, service);
            if let Condition::Missing = condition {
                fresh += 1;
            }
            let routable = match condition {
                Condition::Healthy { seat } => {
                    healthy += 1;
                    Some(seat)
                }
                Condition::Starting { seat } if planted!(scene.policy, RouteUnproven) => Some(seat),
                _ => None,
            };
            match routable {
                Some(seat) if serving && service.kind == ServiceKind::Web => draft.join(seat),
                _ => {}
            }
            if matches!(condition, Condition::Healthy { .. }) {
                continue;
            }
            let key = scene.key(release, name, slot);
            let detail = attend(scene, &key, service, condition, turns, draft);
            if details.len() <= words::NAMED {
                details.push(detail);
            }
        }
        if healthy < wanted {
            draft.waits.push(words::service_wait(name, healthy, wanted, &details));
            // Only the additional slots are missing: that is scaling, not repair.
            draft.resizing = serving && fresh > 0 && fresh + healthy == wanted;
        }
        let version = release.version;
        draft.services.push(ServiceReport { name: name.to_string(), kind: service.kind, version, wanted, healthy });
    }
}

/// Does what one wanted instance that is not healthy needs; says what it waits for.
fn attend<'a>(
    scene: &Scene<'a>,
    key: &InstanceKey,
    service: &Service,
    condition: Condition<'a>,
    turns: &mut Turns,
    draft: &mut Draft<'a>,
) -> String {
    match condition {
        Condition::Missing | Condition::Created => start(scene, key, turns, draft),
        Condition::Starting { seat } => words::starting(scene, seat, service),
        Condition::Healthy { seat } => words::starting(scene, seat, service),
        Condition::Exited { seat, at, .. } => {
            let retry_at = at.plus_ms(scene.policy.backoff_ms(seat.crashes()));
            let troubled = retry_after_trouble(scene, key);
            let due = scene.now >= retry_at && troubled.is_none_or(|at| scene.now >= at);
            if due && !planted!(scene.policy, ForgetCrashed) {
                scene.act(draft, Action::Restart { key: key.clone(), id: seat.id.clone() });
            }
            words::ended(scene, seat, retry_at)
        }
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

fn stop_ill(key: &InstanceKey, id: &str, service: &Service) -> Action {
    let grace_seconds = service.stop_grace_seconds;
    Action::Stop { key: key.clone(), id: id.to_owned(), grace_seconds, cause: StopCause::Ill }
}

/// When an instance that could not be started may be tried again.
fn retry_after_trouble(scene: &Scene<'_>, key: &InstanceKey) -> Option<crate::kernel::clock::Timestamp> {
    let trouble = scene.world.trouble.get(key)?;
    Some(trouble.last_at.plus_ms(scene.policy.backoff_ms(trouble.attempts)))
}

fn start(scene: &Scene<'_>, key: &InstanceKey, turns: &mut Turns, draft: &mut Draft<'_>) -> String {
    let Some(desired) = scene.desired else { return String::new() };
    if scene.is_busy(key) {
        return format!("{} is being started", words::name(key));
    }
    if let Some(retry_at) = retry_after_trouble(scene, key)
        && scene.now < retry_at
    {
        return words::troubled(scene, key, retry_at);
    }
    if !scene.networks.contains(&network_name(scene.environment)) {
        return format!("{} waits for the private network", words::name(key));
    }
    if !turns.take() {
        return format!("{} waits for its turn to start", words::name(key));
    }
    scene.act(draft, Action::Start { key: key.clone(), owner: desired.owner.clone() });
    format!("{} is being started", words::name(key))
}
