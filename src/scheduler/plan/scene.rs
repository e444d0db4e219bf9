//! One environment as the planner looks at it.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{ContainerState, InstanceKey, Observed, Role};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::scheduler::health::Verdict;
use crate::scheduler::model::{Action, DesiredEnvironment, Facts, Release, World};
use crate::scheduler::policy::{Policy, planted};
use crate::scheduler::report::ServiceReport;
use crate::stack::{Service, ServiceKind};

/// What is being put together for one environment.
#[derive(Default)]
pub(super) struct Draft {
    pub actions: Vec<Action>,
    pub joined: BTreeSet<String>,
    pub waits: Vec<String>,
    pub services: Vec<ServiceReport>,
    /// Instances come or go only because another number of them is wanted.
    pub resizing: bool,
}

pub(super) struct Scene<'a> {
    pub environment: &'a EnvironmentId,
    /// `None` for what is left of an environment that is not known any more.
    pub desired: Option<&'a DesiredEnvironment>,
    pub by_key: BTreeMap<&'a InstanceKey, &'a Observed>,
    /// Second containers of the same key, which nobody should have made.
    pub doubles: Vec<&'a Observed>,
    tasks: usize,
    pub networks: &'a BTreeSet<String>,
    pub world: &'a World,
    pub policy: &'a Policy,
    pub now: Timestamp,
}

/// How one wanted instance is.
pub(super) enum Condition<'a> {
    Missing,
    Created,
    Starting { container: &'a Observed },
    Healthy { container: &'a Observed },
    Ill { container: &'a Observed, since: Timestamp },
    Late { container: &'a Observed },
    Exited { container: &'a Observed, code: i64, oom_killed: bool, at: Timestamp },
}

/// Whether a container can be stopped without harm to a request.
pub(super) enum Drain {
    Done,
    /// The ingress may still send requests to it.
    Routed,
    /// It finishes what it has.
    Finishing {
        requests: u64,
    },
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        environment: &'a EnvironmentId,
        desired: Option<&'a DesiredEnvironment>,
        mut containers: Vec<&'a Observed>,
        networks: &'a BTreeSet<String>,
        world: &'a World,
        policy: &'a Policy,
        now: Timestamp,
    ) -> Self {
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        let mut by_key: BTreeMap<&InstanceKey, &Observed> = BTreeMap::new();
        let mut doubles = Vec::new();
        let mut tasks = 0;
        for container in containers {
            match container.role {
                Role::Task => tasks += 1,
                Role::Instance if by_key.contains_key(&container.key) => doubles.push(container),
                Role::Instance => drop(by_key.insert(&container.key, container)),
            }
        }
        Self { environment, desired, by_key, doubles, tasks, networks, world, policy, now }
    }

    /// Nothing of it is left in the engine.
    pub(super) fn is_bare(&self) -> bool {
        self.by_key.is_empty() && self.doubles.is_empty() && self.tasks == 0
    }

    pub(super) fn key(&self, release: &Release, service: &ServiceName, slot: u32) -> InstanceKey {
        release.key(self.environment, service, slot)
    }

    pub(super) fn facts(&self, container: &Observed) -> Option<&'a Facts> {
        self.world.facts.get(&container.id)
    }

    pub(super) fn condition(&self, key: &InstanceKey, service: &Service) -> Condition<'a> {
        let Some(container) = self.by_key.get(key).copied() else { return Condition::Missing };
        match container.state {
            ContainerState::Created => Condition::Created,
            ContainerState::Exited { code, oom_killed, finished_at } => {
                Condition::Exited { container, code, oom_killed, at: finished_at }
            }
            ContainerState::Running { .. } => match self.world.verdict(container, service, self.now) {
                None | Some(Verdict::Starting) => Condition::Starting { container },
                Some(Verdict::Healthy { .. }) => Condition::Healthy { container },
                Some(Verdict::Ill { since }) => Condition::Ill { container, since },
                Some(Verdict::Late) => Condition::Late { container },
            },
        }
    }

    pub(super) fn drain(&self, container: &Observed) -> Drain {
        if planted!(self.policy, StopWithoutDrain) {
            return Drain::Done;
        }
        let service = self.desired.and_then(|d| d.service_of(&container.key));
        if service.is_some_and(|s| s.kind != ServiceKind::Web) {
            return Drain::Done;
        }
        if self.world.ingress.may_route(&container.id) {
            return Drain::Routed;
        }
        let requests = self.world.ingress.in_flight.get(&container.id).copied().unwrap_or(0);
        let left_at = self.facts(container).and_then(|f| f.left_routes_at);
        let over = left_at.is_some_and(|at| self.now.since_ms(at) >= self.policy.drain_ms);
        if requests == 0 || over { Drain::Done } else { Drain::Finishing { requests } }
    }

    pub(super) fn is_busy(&self, action: &Action) -> bool {
        self.world.busy.contains(&action.subject())
    }

    /// Adds an action unless another one, of this plan or an earlier one, is at work on the same subject. Two containers
    /// of one key are such a subject: they are taken away one after the other.
    pub(super) fn act(&self, draft: &mut Draft, action: Action) {
        let taken = draft.actions.iter().any(|a| a.subject() == action.subject());
        if !taken && !self.is_busy(&action) {
            draft.actions.push(action);
        }
    }
}
