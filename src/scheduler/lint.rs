//! An independent look at a plan: it shares no code with the planner, knows only what must never happen, and is
//! asked before every execution. A plan with a finding is not carried out for that environment.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::health::Verdict;
use super::model::{Action, Desired, EngineView, Plan, StopCause, Version, Wanted, World, network_name};
use crate::engine::{ContainerState, InstanceKey, Observed, Role};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::stack::{Service, ServiceKind};

/// A rule that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose plan it is; `None` when the whole plan is wrong.
    pub environment: Option<EnvironmentId>,
    pub text: String,
}

/// Everything wrong with a plan; empty for a good one.
#[must_use]
pub fn lint(plan: &Plan, desired: &Desired, world: &World, now: Timestamp) -> Vec<Finding> {
    let EngineView::Seen { containers, .. } = &world.engine else {
        let quiet = plan.actions.is_empty() && plan.joined.is_none();
        let text = "something is planned although the engine did not answer".to_owned();
        return if quiet { Vec::new() } else { vec![Finding { environment: None, text }] };
    };
    let mut by_id: Vec<&Observed> = containers.iter().collect();
    by_id.sort_by(|a, b| a.id.cmp(&b.id));
    let mut look =
        Look { desired, world, by_id, by_key: OnceCell::new(), networks: OnceCell::new(), now, findings: Vec::new() };
    let mut subjects = BTreeSet::new();
    for action in &plan.actions {
        if !subjects.insert(action.subject()) {
            look.find(environment_of(action), format!("two actions on one subject: {action:?}"));
        }
        if world.busy.contains(&action.subject()) {
            look.find(environment_of(action), format!("an earlier action is still at work: {action:?}"));
        }
        look.check(action);
    }
    for id in plan.joined.iter().flatten() {
        look.check_joined(id);
    }
    look.findings
}

fn environment_of(action: &Action) -> Option<EnvironmentId> {
    action.environment().cloned()
}

struct Look<'a> {
    desired: &'a Desired,
    world: &'a World,
    by_id: Vec<&'a Observed>,
    /// The instances of each key, in the order of their ids; looked at only when something is to be done.
    by_key: OnceCell<BTreeMap<&'a InstanceKey, Vec<&'a Observed>>>,
    /// Networks that something wanted or something left over is in.
    networks: OnceCell<BTreeSet<String>>,
    now: Timestamp,
    findings: Vec<Finding>,
}

impl<'a> Look<'a> {
    fn find(&mut self, environment: Option<EnvironmentId>, text: String) {
        self.findings.push(Finding { environment, text });
    }

    fn container(&self, id: &str) -> Option<&'a Observed> {
        let place = self.by_id.binary_search_by(|c| c.id.as_str().cmp(id)).ok()?;
        Some(self.by_id[place])
    }

    /// All containers of a key.
    fn of(&self, key: &InstanceKey) -> &[&'a Observed] {
        let by_key = self.by_key.get_or_init(|| {
            let mut by_key: BTreeMap<&InstanceKey, Vec<&Observed>> = BTreeMap::new();
            for container in self.by_id.iter().filter(|c| c.role == Role::Instance) {
                by_key.entry(&container.key).or_default().push(container);
            }
            by_key
        });
        by_key.get(key).map_or(&[], Vec::as_slice)
    }

    fn is_double(&self, key: &InstanceKey, id: &str) -> bool {
        self.of(key).iter().any(|c| c.id.as_str() < id)
    }

    fn check(&mut self, action: &Action) {
        let broken = match action {
            Action::Start { key, owner } => self.start(key, owner),
            Action::Restart { key, id } => self.restart(key, id),
            Action::Stop { key, id, cause, .. } => self.stop(key, id, *cause),
            Action::Remove { key, id } => self.remove(key, id),
            Action::RemoveTask { id, .. } => self.remove_task(id),
            Action::MarkServing { environment, version } => self.mark_serving(environment, *version),
            Action::FailTarget { environment, version, .. } => self.fail_target(environment, *version),
            Action::EnsureNetwork { environment, .. } => {
                (!self.desired.environments.contains_key(environment)).then_some("a network for nobody")
            }
            Action::RemoveNetwork { name } => self.remove_network(name),
        };
        if let Some(rule) = broken {
            self.find(environment_of(action), format!("{rule}: {action:?}"));
        }
    }

    fn is_wanted(&self, key: &InstanceKey) -> bool {
        let Some(environment) = self.desired.environments.get(&key.environment) else { return false };
        let Some(service) = environment.service_of(key) else { return false };
        environment.wanted == Wanted::Run && (1..=environment.replicas(&key.service, service)).contains(&key.slot)
    }

    fn start(&self, key: &InstanceKey, owner: &crate::engine::Owner) -> Option<&'static str> {
        if !self.is_wanted(key) {
            return Some("starts what is not wanted");
        }
        if self.of(key).iter().any(|c| c.state != ContainerState::Created) {
            return Some("starts what is there");
        }
        let theirs = self.desired.environments.get(&key.environment).is_none_or(|e| e.owner != *owner);
        theirs.then_some("starts it for somebody else")
    }

    fn restart(&self, key: &InstanceKey, id: &str) -> Option<&'static str> {
        let ended = self.container(id).is_some_and(|c| matches!(c.state, ContainerState::Exited { .. }));
        match (self.is_wanted(key), ended) {
            (false, _) => Some("starts again what is not wanted"),
            (_, false) => Some("starts again what has not ended"),
            _ => None,
        }
    }

    fn stop(&self, key: &InstanceKey, id: &str, cause: StopCause) -> Option<&'static str> {
        let container = self.container(id)?;
        let service = self.desired.environments.get(&key.environment).and_then(|e| e.service_of(key));
        let routable = service.is_none_or(|s| s.kind == ServiceKind::Web);
        if routable && self.world.ingress.may_route(id) {
            return Some("stops what may still get requests");
        }
        let duplicate = self.is_double(key, id);
        if cause == StopCause::Retired && self.is_wanted(key) && !duplicate {
            return Some("retires what is wanted");
        }
        let healthy = service
            .and_then(|s| self.world.verdict(container, s, self.now))
            .is_some_and(|v| matches!(v, Verdict::Healthy { .. }));
        (cause == StopCause::Ill && healthy).then_some("stops for illness what is healthy")
    }

    fn remove(&self, key: &InstanceKey, id: &str) -> Option<&'static str> {
        let runs = self.container(id).is_some_and(|c| matches!(c.state, ContainerState::Running { .. }));
        let duplicate = self.is_double(key, id);
        match (runs, self.is_wanted(key) && !duplicate) {
            (true, _) => Some("removes what runs"),
            (_, true) => Some("removes what is wanted"),
            _ => None,
        }
    }

    fn remove_task(&self, id: &str) -> Option<&'static str> {
        let task = self.container(id)?;
        let live = task.operation.as_ref().is_some_and(|op| self.desired.operations.contains(op));
        (task.role != Role::Task || live).then_some("removes what is no leftover")
    }

    fn mark_serving(&self, environment: &EnvironmentId, version: Version) -> Option<&'static str> {
        let Some(desired) = self.desired.environments.get(environment) else { return Some("serves nobody") };
        let Some(target) = desired.target.as_ref().filter(|t| t.release.version == version) else {
            return Some("lets serve what is no target");
        };
        let passed = |key: &InstanceKey, service: &Service| {
            self.of(key).iter().any(|c| {
                matches!(self.world.verdict(c, service, self.now), Some(Verdict::Healthy { .. }))
                    && self.world.facts.get(&c.id).is_some_and(|f| !f.doubted)
            })
        };
        let short = target.release.stack.services.iter().any(|(name, service)| {
            let slots = 1..=desired.replicas(name, service);
            slots.into_iter().any(|slot| !passed(&target.release.key(environment, name, slot), service))
        });
        short.then_some("lets serve what has not passed")
    }

    fn fail_target(&self, environment: &EnvironmentId, version: Version) -> Option<&'static str> {
        let target = self.desired.environments.get(environment).and_then(|e| e.target.as_ref());
        target.is_none_or(|t| t.release.version != version).then_some("fails what is no target")
    }

    fn remove_network(&self, name: &str) -> Option<&'static str> {
        let needed = self.networks.get_or_init(|| {
            let wanted = self.desired.environments.iter().filter(|(_, e)| e.wanted != Wanted::Destroyed);
            let used = self.by_id.iter().map(|c| &c.key.environment).collect::<BTreeSet<_>>();
            wanted.map(|(id, _)| id).chain(used).map(network_name).collect()
        });
        needed.contains(name).then_some("removes a network that is needed")
    }

    fn check_joined(&mut self, id: &str) {
        let Some(container) = self.container(id) else {
            return self.find(None, format!("routes lead to `{id}`, which is not there"));
        };
        let environment = self.desired.environments.get(&container.key.environment);
        let serving = environment.and_then(|e| e.serving.as_ref());
        let version = (container.key.revision, container.key.generation);
        let good = serving
            .filter(|r| (r.version.revision, r.version.generation) == version)
            .and_then(|r| r.stack.services.get(&container.key.service))
            .filter(|_| self.is_wanted(&container.key))
            .and_then(|s| self.world.verdict(container, s, self.now))
            .is_some_and(|v| matches!(v, Verdict::Healthy { .. }));
        if !good {
            let environment = Some(container.key.environment.clone());
            self.find(environment, format!("routes lead to `{id}`, which does not serve or has not passed"));
        }
    }
}
