//! One environment as the planner looks at it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::room::Room;
use crate::engine::{ContainerState, InstanceKey, Observed, Role};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::scheduler::health::Verdict;
use crate::scheduler::model::{
    Action, DesiredEnvironment, Facts, Release, Share, Subject, Version, World, verdict, version_of,
};
use crate::scheduler::policy::{Policy, planted};
use crate::scheduler::report::ServiceReport;
use crate::stack::quota::Amounts;
use crate::stack::{Service, ServiceKind};

/// What is being put together for one environment.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub actions: Vec<Action>,
    /// What these actions are about.
    subjects: BTreeSet<Subject>,
    pub joined: Vec<&'a str>,
    /// Joined ones that are not in the table the ingress uses.
    pub unrouted: usize,
    pub waits: Vec<String>,
    /// What a person must see to.
    pub alarms: Vec<String>,
    pub services: Vec<ServiceReport>,
    pub shares: BTreeMap<ServiceName, Share>,
    /// The target ends with this plan, or goes back from now on.
    pub gives_up: bool,
    /// Instances come or go only because another number of them is wanted.
    pub resizing: bool,
    /// What the instances may use that this plan starts.
    pub taken: Amounts,
}

impl<'a> Draft<'a> {
    /// It shall be in the routes.
    pub(super) fn join(&mut self, seat: Seat<'a>) {
        self.joined.push(&seat.container.id);
        self.unrouted += usize::from(!seat.routed);
    }
}

/// A container with what is known of it beside what the engine says. Looked up once, because a plan asks often.
#[derive(Clone, Copy)]
pub(super) struct Seat<'a> {
    pub container: &'a Observed,
    pub facts: Option<&'a Facts>,
    /// It is in the table the ingress uses.
    pub routed: bool,
}

impl Deref for Seat<'_> {
    type Target = Observed;

    fn deref(&self) -> &Observed {
        self.container
    }
}

impl Seat<'_> {
    /// Its facts are not believed to be complete: the engine's newest list lacks it.
    pub(super) fn is_doubted(&self) -> bool {
        self.facts.is_some_and(|f| f.doubted)
    }

    /// How often it ended in a row.
    pub(super) fn crashes(&self) -> u32 {
        self.facts.map_or(1, |f| f.crashes)
    }
}

/// Every container with its facts, in the order of the ids.
pub(super) fn seats<'a>(world: &'a World, containers: &'a [Observed]) -> Vec<Seat<'a>> {
    let mut sorted: Vec<&Observed> = containers.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut facts = world.facts.iter().peekable();
    let mut applied = world.ingress.applied.iter().flatten().peekable();
    let seat = |container: &'a Observed| {
        while facts.next_if(|(id, _)| **id < container.id).is_some() {}
        while applied.next_if(|id| **id < container.id).is_some() {}
        let facts = facts.peek().filter(|(id, _)| **id == container.id).map(|(_, facts)| *facts);
        let routed = applied.peek().is_some_and(|id| **id == container.id);
        Seat { container, facts, routed }
    };
    sorted.into_iter().map(seat).collect()
}

/// The instances of one service of one version, in the order of their slots.
pub(super) struct Set<'a> {
    pub service: &'a ServiceName,
    pub version: Version,
    pub seats: Vec<Seat<'a>>,
}

pub(super) struct Scene<'a> {
    pub environment: &'a EnvironmentId,
    /// `None` for what is left of an environment that is not known any more.
    pub desired: Option<&'a DesiredEnvironment>,
    /// The instances by service and version, sorted by these.
    pub sets: Vec<Set<'a>>,
    /// Second containers of the same key, which nobody should have made.
    pub doubles: Vec<Seat<'a>>,
    tasks: usize,
    pub networks: &'a BTreeSet<String>,
    pub world: &'a World,
    pub policy: &'a Policy,
    pub now: Timestamp,
    /// What is left of the quotas it is under.
    pub room: Room,
}

/// How one wanted instance is.
#[derive(Clone, Copy)]
pub(super) enum Condition<'a> {
    Missing,
    Created,
    Starting {
        seat: Seat<'a>,
    },
    Healthy {
        seat: Seat<'a>,
    },
    Ill {
        seat: Seat<'a>,
        since: Timestamp,
    },
    Late {
        seat: Seat<'a>,
    },
    /// It was told to stop.
    Leaving {
        seat: Seat<'a>,
    },
    Exited {
        seat: Seat<'a>,
        code: i64,
        oom_killed: bool,
        at: Timestamp,
    },
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
    /// Of an environment's containers, in the order of their ids.
    pub(super) fn new(
        environment: &'a EnvironmentId,
        desired: Option<&'a DesiredEnvironment>,
        containers: Vec<Seat<'a>>,
        networks: &'a BTreeSet<String>,
        world: &'a World,
        policy: &'a Policy,
        now: Timestamp,
    ) -> Self {
        let mut by_set: BTreeMap<(&ServiceName, Version), Vec<Seat<'_>>> = BTreeMap::new();
        let mut tasks = 0;
        for seat in containers {
            match seat.role {
                Role::Task => tasks += 1,
                Role::Instance => {
                    let key = &seat.container.key;
                    by_set.entry((&key.service, version_of(key))).or_default().push(seat);
                }
            }
        }
        let mut doubles = Vec::new();
        for set in by_set.values_mut() {
            // The sort keeps the order of the ids, so the first container of a key is the one with the lowest.
            set.sort_by_key(|seat| seat.key.slot);
            if set.windows(2).any(|pair| pair[0].key.slot == pair[1].key.slot) {
                let mut last = None;
                doubles.extend(set.extract_if(.., |seat| last.replace(seat.key.slot) == Some(seat.key.slot)));
            }
        }
        let set = |((service, version), seats)| Set { service, version, seats };
        let sets = by_set.into_iter().map(set).collect();
        Self { environment, desired, sets, doubles, tasks, networks, world, policy, now, room: Room::default() }
    }

    /// Nothing of it is left in the engine.
    pub(super) fn is_bare(&self) -> bool {
        self.sets.is_empty() && self.doubles.is_empty() && self.tasks == 0
    }

    pub(super) fn key(&self, release: &Release, service: &ServiceName, slot: u32) -> InstanceKey {
        release.key(self.environment, service, slot)
    }

    /// The instances of a service of a release that the engine has, in the order of their slots.
    pub(super) fn set(&self, release: &Release, service: &ServiceName) -> &[Seat<'a>] {
        let wanted = (service, release.version_of(service));
        let place = self.sets.binary_search_by(|set| (set.service, set.version).cmp(&wanted));
        place.map_or(&[], |place| &self.sets[place].seats)
    }

    /// How the instance of a slot is, among those of its set.
    pub(super) fn condition(&self, set: &[Seat<'a>], slot: u32, service: &Service) -> Condition<'a> {
        // Slots count from one, so without gaps an instance stands at its own place.
        let guess = set.get(slot as usize - 1).filter(|s| s.key.slot == slot);
        let found = guess.or_else(|| Some(&set[set.binary_search_by_key(&slot, |s| s.key.slot).ok()?]));
        let Some(seat) = found.copied() else { return Condition::Missing };
        match seat.state {
            ContainerState::Created => Condition::Created,
            ContainerState::Exited { code, oom_killed, finished_at } => {
                Condition::Exited { seat, code, oom_killed, at: finished_at }
            }
            ContainerState::Running { .. } if seat.facts.is_some_and(|f| f.stop_asked) => Condition::Leaving { seat },
            ContainerState::Running { .. } => match self.verdict(seat, service) {
                None | Some(Verdict::Starting) => Condition::Starting { seat },
                Some(Verdict::Healthy { .. }) => Condition::Healthy { seat },
                Some(Verdict::Ill { since }) => Condition::Ill { seat, since },
                Some(Verdict::Late) => Condition::Late { seat },
            },
        }
    }

    /// The verdict on a container; `None` when it does not run or is not known.
    pub(super) fn verdict(&self, seat: Seat<'a>, service: &Service) -> Option<Verdict> {
        verdict(seat.container, seat.facts?, service, self.now)
    }

    pub(super) fn drain(&self, seat: Seat<'a>) -> Drain {
        if planted!(self.policy, StopWithoutDrain) {
            return Drain::Done;
        }
        let service = self.desired.and_then(|d| d.service_of(&seat.container.key));
        if service.is_some_and(|s| s.kind != ServiceKind::Web) {
            return Drain::Done;
        }
        if self.world.ingress.may_route(&seat.id) {
            return Drain::Routed;
        }
        let requests = self.world.ingress.in_flight.get(&seat.id).copied().unwrap_or(0);
        let left_at = seat.facts.and_then(|f| f.left_routes_at);
        let over = left_at.is_some_and(|at| self.now.since_ms(at) >= self.policy.drain_ms);
        if requests == 0 || over { Drain::Done } else { Drain::Finishing { requests } }
    }

    /// Whether an action of an earlier plan is still at work on this instance.
    pub(super) fn is_busy(&self, key: &InstanceKey) -> bool {
        !self.world.busy.is_empty() && self.world.busy.contains(&Subject::Instance(key.clone()))
    }

    /// Adds an action unless another one, of this plan or an earlier one, is at work on the same subject. Two containers
    /// of one key are such a subject: they are taken away one after the other.
    pub(super) fn act(&self, draft: &mut Draft<'_>, action: Action) {
        let subject = action.subject();
        if !self.world.busy.contains(&subject) && draft.subjects.insert(subject) {
            draft.actions.push(action);
        }
    }
}
