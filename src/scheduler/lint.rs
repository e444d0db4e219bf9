//! An independent look at a plan: it shares no code with the planner, knows only what must never happen, and is
//! asked before every execution. A plan with a finding is not carried out for that environment.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::health::Verdict;
use super::model::{
    Action, Desired, EngineView, Plan, StopCause, Target, Version, Wanted, World, network_name, version_of,
};
use crate::engine::{ContainerState, InstanceKey, Observed, Role};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::stack::model::{Strategy, UpdateOrder};
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
    let mut look = Look {
        desired,
        world,
        by_id,
        by_key: OnceCell::new(),
        networks: OnceCell::new(),
        joined: plan.joined.as_ref(),
        now,
        findings: Vec::new(),
    };
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
    /// Who takes requests by the plan.
    joined: Option<&'a BTreeSet<String>>,
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
            Action::MarkServing { environment, version, .. } => self.mark_serving(environment, *version),
            Action::Step { environment, version, .. }
            | Action::Hold { environment, version, .. }
            | Action::Withdraw { environment, version, .. } => self.fail_target(environment, *version),
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

    /// Whether it is an instance of what serves or takes over, within the wanted number.
    fn is_wanted(&self, key: &InstanceKey) -> bool {
        let Some(environment) = self.desired.environments.get(&key.environment) else { return false };
        let warm = environment.warm.as_ref().map(|w| w.release.version_of(&key.service));
        let found = environment.releases().find(|r| r.version_of(&key.service) == version_of(key));
        let Some(release) = found.filter(|_| environment.wanted == Wanted::Run) else { return false };
        let Some(service) = release.stack.services.get(&key.service) else { return false };
        let target = environment.target.as_ref().map(|t| t.release.version_of(&key.service));
        let serving = environment.serving.as_ref().map(|r| r.version_of(&key.service));
        let version = Some(version_of(key));
        let only_warm = warm == version && target != version && serving != version;
        // A job runs on the way of a target, and goes when that serves.
        let most = match service.kind.is_standing() {
            true => environment.replicas(&key.service, service),
            false => u32::from(target == version),
        };
        !only_warm && (1..=most).contains(&key.slot)
    }

    /// Whether a service of an environment is on its way from one version to another, and the two services.
    fn change(&self, key: &InstanceKey) -> Option<(&'a Target, &'a Service, &'a Service)> {
        let environment = self.desired.environments.get(&key.environment)?;
        let (serving, target) = (environment.serving.as_ref()?, environment.target.as_ref()?);
        let old = serving.stack.services.get(&key.service)?;
        let new = target.release.stack.services.get(&key.service)?;
        let changes = serving.version_of(&key.service) != target.release.version_of(&key.service);
        changes.then_some((target, old, new))
    }

    /// Whether something wanted may be taken away, because its service is between two versions: one that runs alone
    /// gives way to the other one, and a rolling change leaves enough that are healthy.
    fn may_leave(&self, key: &InstanceKey) -> bool {
        let Some((target, old, new)) = self.change(key) else { return false };
        if runs_alone(old, new) {
            return true;
        }
        if new.rollout.strategy != Strategy::Rolling || target.progress.at_once {
            return false;
        }
        let Some(environment) = self.desired.environments.get(&key.environment) else { return false };
        let wanted = environment.replicas(&key.service, old).min(environment.replicas(&key.service, new));
        let unavailable = match new.rollout.max_unavailable {
            Some(amount) => amount.of_down(new.replicas),
            None => u32::from(new.rollout.order != UpdateOrder::StartFirst),
        };
        let counts = |c: &&&Observed| {
            let service = environment.service_of(&c.key);
            let healthy = service.and_then(|s| self.world.verdict(c, s, self.now));
            let here = c.key.environment == key.environment && c.key.service == key.service && c.key != *key;
            let routed = old.kind != ServiceKind::Web || self.joined.is_some_and(|j| j.contains(&c.id));
            here && routed && matches!(healthy, Some(Verdict::Healthy { .. }))
        };
        let left = self.by_id.iter().filter(counts).count();
        let this = self.of(key).iter().any(|c| {
            let verdict = environment.service_of(key).and_then(|s| self.world.verdict(c, s, self.now));
            matches!(verdict, Some(Verdict::Healthy { .. }))
        });
        // What is not healthy is missed by nobody.
        !this || left >= wanted.saturating_sub(unavailable) as usize
    }

    /// Whether another version of a service that runs alone may still write.
    fn has_other_writer(&self, key: &InstanceKey) -> bool {
        let service = self.desired.environments.get(&key.environment).and_then(|e| e.service_of(key));
        service.is_some_and(|s| !s.may_overlap())
            && self.by_id.iter().any(|c| {
                c.role == Role::Instance
                    && c.key.environment == key.environment
                    && c.key.service == key.service
                    && version_of(&c.key) != version_of(key)
                    && matches!(c.state, ContainerState::Running { .. })
            })
    }

    fn start(&self, key: &InstanceKey, owner: &crate::engine::Owner) -> Option<&'static str> {
        if !self.is_wanted(key) {
            return Some("starts what is not wanted");
        }
        if self.of(key).iter().any(|c| c.state != ContainerState::Created) {
            return Some("starts what is there");
        }
        if self.has_other_writer(key) {
            return Some("starts a second writer");
        }
        let theirs = self.desired.environments.get(&key.environment).is_none_or(|e| e.owner != *owner);
        theirs.then_some("starts it for somebody else")
    }

    fn restart(&self, key: &InstanceKey, id: &str) -> Option<&'static str> {
        let ended = self.container(id).is_some_and(|c| matches!(c.state, ContainerState::Exited { .. }));
        match (self.is_wanted(key), ended) {
            (true, true) if self.has_other_writer(key) => Some("starts a second writer again"),
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
        // What is asked last costs most, and is seldom reached.
        let retires = cause == StopCause::Retired && self.is_wanted(key);
        if retires && !self.is_double(key, id) && !self.may_leave(key) {
            return Some("retires what is wanted");
        }
        let healthy = service
            .and_then(|s| self.world.verdict(container, s, self.now))
            .is_some_and(|v| matches!(v, Verdict::Healthy { .. }));
        (cause == StopCause::Ill && healthy).then_some("stops for illness what is healthy")
    }

    fn remove(&self, key: &InstanceKey, id: &str) -> Option<&'static str> {
        let runs = self.container(id).is_some_and(|c| matches!(c.state, ContainerState::Running { .. }));
        match (runs, self.is_wanted(key) && !self.is_double(key, id) && !self.may_leave(key)) {
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
        let serving = desired.serving.as_ref();
        let changed =
            |name: &ServiceName| serving.is_none_or(|r| r.version_of(name) != target.release.version_of(name));
        let short = target.release.stack.services.iter().filter(|(name, _)| changed(name)).any(|(name, service)| {
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
        let key = &container.key;
        let environment = self.desired.environments.get(&key.environment);
        let serves =
            environment.and_then(|e| e.serving.as_ref()).is_some_and(|r| r.version_of(&key.service) == version_of(key));
        let shares = self.change(key).is_some_and(|(target, old, new)| {
            let stepped = new.rollout.strategy == Strategy::Canary && target.progress.steps.contains_key(&key.service);
            let rolls = new.rollout.strategy == Strategy::Rolling;
            target.release.version == version_of(key)
                && (runs_alone(old, new) || (!target.progress.at_once && (stepped || rolls)))
        });
        let good = environment
            .filter(|_| (serves || shares) && self.is_wanted(key))
            .and_then(|e| e.service_of(key))
            .and_then(|s| self.world.verdict(container, s, self.now))
            .is_some_and(|v| matches!(v, Verdict::Healthy { .. }));
        if !good {
            let environment = Some(container.key.environment.clone());
            self.find(environment, format!("routes lead to `{id}`, which does not serve or has not passed"));
        }
    }
}

fn runs_alone(old: &Service, new: &Service) -> bool {
    !old.may_overlap() || !new.may_overlap() || new.rollout.strategy == Strategy::Recreate
}
