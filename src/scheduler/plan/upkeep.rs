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
        let mut left = scene.policy.parallel_starts;
        if let Some(desired) = scene.desired {
            for (name, service) in &release.stack.services {
                for slot in 1..=desired.replicas(name, service) {
                    let key = scene.key(release, name, slot);
                    let starting = matches!(scene.condition(&key, service), Condition::Starting { .. });
                    let begun = scene.is_busy(&Action::Start { key, owner: desired.owner.clone() });
                    if starting || begun {
                        left = left.saturating_sub(1);
                    }
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
pub(super) fn upkeep(scene: &Scene<'_>, release: &Release, draft: &mut Draft) {
    let mut turns = Turns::of(scene, release);
    bring_up(scene, release, &mut turns, draft, true);
}

/// Brings all instances of a release up, as far as they are not; `serving` ones go into the routes when healthy.
pub(super) fn bring_up(scene: &Scene<'_>, release: &Release, turns: &mut Turns, draft: &mut Draft, serving: bool) {
    let Some(desired) = scene.desired else { return };
    for (name, service) in &release.stack.services {
        let wanted = desired.replicas(name, service);
        let mut healthy = 0;
        let mut details = Vec::new();
        let mut fresh = 0;
        for slot in 1..=wanted {
            let key = scene.key(release, name, slot);
            let condition = scene.condition(&key, service);
            if let Condition::Missing = condition {
                fresh += 1;
            }
            let routable = match &condition {
                Condition::Healthy { container } => {
                    healthy += 1;
                    Some(*container)
                }
                Condition::Starting { container } if planted!(scene.policy, RouteUnproven) => Some(*container),
                _ => None,
            };
            match routable {
                Some(container) if serving && service.kind == ServiceKind::Web => {
                    draft.joined.insert(container.id.clone());
                }
                _ => {}
            }
            if let Some(detail) = attend(scene, &key, service, &condition, turns, draft) {
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

/// Does what one wanted instance needs; says what it waits for unless it is healthy.
fn attend(
    scene: &Scene<'_>,
    key: &InstanceKey,
    service: &Service,
    condition: &Condition<'_>,
    turns: &mut Turns,
    draft: &mut Draft,
) -> Option<String> {
    match condition {
        Condition::Healthy { .. } => None,
        Condition::Missing | Condition::Created => Some(start(scene, key, turns, draft)),
        Condition::Starting { container } => Some(words::starting(scene, container, service)),
        Condition::Exited { container, at, .. } => {
            let crashes = scene.facts(container).map_or(1, |f| f.crashes);
            let retry_at = at.plus_ms(scene.policy.backoff_ms(crashes));
            let troubled = retry_after_trouble(scene, key);
            let due = scene.now >= retry_at && troubled.is_none_or(|at| scene.now >= at);
            if due && !planted!(scene.policy, ForgetCrashed) {
                scene.act(draft, Action::Restart { key: key.clone(), id: container.id.clone() });
            }
            Some(words::ended(scene, container, retry_at))
        }
        Condition::Ill { container, since } => {
            let enough = scene.now.since_ms(*since) >= scene.policy.ill_ms;
            if enough && matches!(scene.drain(container), Drain::Done) {
                scene.act(draft, stop_ill(key, &container.id, service));
            }
            Some(words::ill(scene, container, *since))
        }
        Condition::Late { container } => {
            if matches!(scene.drain(container), Drain::Done) {
                scene.act(draft, stop_ill(key, &container.id, service));
            }
            Some(words::late(scene, container, service))
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

fn start(scene: &Scene<'_>, key: &InstanceKey, turns: &mut Turns, draft: &mut Draft) -> String {
    let Some(desired) = scene.desired else { return String::new() };
    let action = Action::Start { key: key.clone(), owner: desired.owner.clone() };
    if scene.is_busy(&action) {
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
    draft.actions.push(action);
    format!("{} is being started", words::name(key))
}
