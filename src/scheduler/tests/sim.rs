//! The simulated control plane: the same memory, planner and lint as the real one, over a [`SimWorld`], with a
//! store in memory. It is checked after every step; a broken property is an `Err` with the step in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fixtures::{owner, service, stack_of};
use super::world::{Behaviour, Rng, SimWorld};
use crate::engine::{ContainerState, InstanceKey, Owner};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::scheduler::lint::lint;
use crate::scheduler::memory::{Memory, Outcome};
use crate::scheduler::model::{
    Action, Desired, DesiredEnvironment, EngineView, Plan, Release, Target, Version, Wanted, network_name, version_of,
};
use crate::scheduler::plan::plan;
use crate::scheduler::policy::{Bug, Policy};
use crate::stack::{ServiceKind, Stack};

/// A revision with how its services behave.
pub(super) struct SimRevision {
    pub stack: Arc<Stack>,
    pub behaviours: BTreeMap<ServiceName, Behaviour>,
}

impl SimRevision {
    pub(super) fn is_good(&self) -> bool {
        self.behaviours.values().all(|b| b.is_good())
    }
}

/// The durable rows of one environment.
pub(super) struct SimEnvironment {
    pub owner: Owner,
    pub wanted: Wanted,
    pub counter: i64,
    pub target: Option<(Version, Timestamp)>,
    pub serving: Option<Version>,
    pub formation: BTreeMap<ServiceName, u32>,
    pub revisions: Vec<SimRevision>,
    /// How each target ended: `None` for success, else the reason.
    pub outcomes: Vec<(Version, Option<String>)>,
}

impl SimEnvironment {
    pub(super) fn revision(&self, number: i64) -> &SimRevision {
        &self.revisions[usize::try_from(number - 1).expect("numbers count from one")]
    }

    fn release(&self, version: Version) -> Release {
        Release { version, config_version: 0, stack: Arc::clone(&self.revision(version.revision).stack) }
    }

    pub(super) fn set_target(&mut self, revision: i64, now: Timestamp) {
        self.counter += 1;
        self.target = Some((Version { revision, generation: self.counter }, now));
        self.wanted = Wanted::Run;
    }
}

pub(super) struct Sim {
    pub rng: Rng,
    pub world: SimWorld,
    pub environments: BTreeMap<EnvironmentId, SimEnvironment>,
    pub policy: Policy,
    pub faults: bool,
    memory: Memory,
    generation: u64,
    /// The table sent last by this process.
    sent: Option<BTreeSet<String>>,
    under_way: Vec<(Timestamp, Action)>,
    pub trace: Vec<String>,
}

impl Sim {
    pub(super) fn new(seed: u64, faults: bool, bug: Option<Bug>) -> Self {
        let world = SimWorld::new();
        let policy = Policy { rollout_ms: 60_000, backoff_max_ms: 8_000, stable_ms: 10_000, bug, ..Policy::default() };
        Self {
            rng: Rng(seed),
            memory: Memory::new(world.now),
            world,
            environments: BTreeMap::new(),
            policy,
            faults,
            generation: 0,
            sent: None,
            under_way: Vec::new(),
            trace: Vec::new(),
        }
    }

    pub(super) fn desired(&self) -> Desired {
        let environments = self.environments.iter().map(|(id, e)| {
            let desired = DesiredEnvironment {
                owner: e.owner.clone(),
                wanted: e.wanted,
                target: e.target.map(|(version, since)| Target { release: e.release(version), since }),
                serving: e.serving.map(|v| e.release(v)),
                formation: e.formation.clone(),
            };
            (id.clone(), desired)
        });
        Desired { environments: environments.collect(), operations: BTreeSet::new() }
    }

    /// One turn of everything: time passes, a person may change something, the control plane takes a round.
    pub(super) fn step(&mut self, ms: i64, edits: bool) -> Result<Plan, String> {
        self.world.pass_time(ms, &mut self.rng, self.faults);
        if edits {
            super::edits::maybe_edit(self);
        }
        self.finish_actions();
        self.round()
    }

    fn finish_actions(&mut self) {
        let now = self.world.now;
        let (done, rest) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at <= now);
        self.under_way = rest;
        let done: Vec<(Timestamp, Action)> = done;
        for (_, action) in done {
            let outcome = self.apply(&action);
            self.memory.ended(&action, outcome, now);
        }
    }

    fn round(&mut self) -> Result<Plan, String> {
        let now = self.world.now;
        let observation = self.world.observe(&mut self.rng);
        let desired = self.desired();
        match observation {
            Ok((containers, networks)) => self.memory.engine_seen(&desired, &self.policy, containers, networks, now),
            Err(reason) => self.memory.engine_lost(reason, now),
        }
        self.probe_all(&desired);
        if now >= self.world.ingress_down_until {
            let in_flight =
                self.world.containers.iter().map(|(id, c)| (id.clone(), c.in_flight)).filter(|(_, n)| *n > 0);
            let _ = self.memory.ingress_said(Some(self.world.table.0), in_flight.collect(), now);
        }
        let mut world = self.memory.world();
        let made = plan(&desired, &world, &self.policy, now);
        if let EngineView::Seen { containers, .. } = &mut world.engine {
            containers.reverse();
            if plan(&desired, &world, &self.policy, now) != made {
                return Err("the order of the observation changes the plan".to_owned());
            }
        }
        let findings = lint(&made, &desired, &world, now);
        if !findings.is_empty() && self.policy.bug.is_none() {
            return Err(format!("lint: {findings:?}"));
        }
        if let Some(finding) = findings.first() {
            return Err(format!("lint: {}", finding.text));
        }
        if self.memory.may_publish(&desired, now) {
            self.publish(&made)?;
        }
        self.execute(&made)?;
        Ok(made)
    }

    fn probe_all(&mut self, desired: &Desired) {
        let now = self.world.now;
        for (id, c) in &self.world.containers {
            if let ContainerState::Running { started_at } = c.state {
                let _ = self.memory.probed(desired, id, started_at, c.probe(now), now);
            }
        }
    }

    fn publish(&mut self, made: &Plan) -> Result<(), String> {
        let Some(joined) = &made.joined else { return Ok(()) };
        if Some(joined) == self.sent.as_ref() {
            return Ok(());
        }
        super::properties::nothing_well_is_dropped(self, joined)?;
        self.generation += 1;
        self.sent = Some(joined.clone());
        let arrival = self.world.now.plus_ms(self.rng.between(0, 200));
        self.memory.table_sent(self.generation, joined.clone());
        self.world.on_the_way.push((arrival, self.generation, joined.clone()));
        self.trace.push(format!("{} table {} {joined:?}", self.world.now.0, self.generation));
        Ok(())
    }

    fn execute(&mut self, made: &Plan) -> Result<(), String> {
        // The control plane may die after any action.
        let dies_after = if self.faults && self.rng.per_mille(15) {
            self.rng.next() as usize % (made.actions.len() + 1)
        } else {
            usize::MAX
        };
        for (done, action) in made.actions.iter().enumerate() {
            if done == dies_after {
                break;
            }
            super::properties::before_action(self, action)?;
            self.trace.push(format!("{} {action:?}", self.world.now.0));
            self.memory.begun(action);
            self.begin(action);
        }
        if dies_after != usize::MAX {
            self.die();
        }
        Ok(())
    }

    /// Store writes happen at once; the engine takes its time.
    fn begin(&mut self, action: &Action) {
        let now = self.world.now;
        if matches!(action, Action::MarkServing { .. } | Action::FailTarget { .. }) {
            let outcome = self.apply(action);
            self.memory.ended(action, outcome, now);
            return;
        }
        if let Action::Stop { id, grace_seconds, .. } = action
            && self.world.engine_is_up()
        {
            let takes = self.rng.between(10, i64::from(*grace_seconds) * 1000);
            if let Some(c) = self.world.containers.get_mut(id) {
                c.stops_at.get_or_insert(now.plus_ms(takes));
            }
            self.under_way.push((now.plus_ms(takes + 1), action.clone()));
            return;
        }
        let takes = self.rng.between(0, 1_500);
        self.under_way.push((now.plus_ms(takes), action.clone()));
    }

    fn apply(&mut self, action: &Action) -> Outcome {
        let now = self.world.now;
        match action {
            Action::MarkServing { environment, version } => {
                let e = self.environments.get_mut(environment).expect("known");
                if e.target.is_some_and(|(v, _)| v == *version) {
                    e.target = None;
                    e.serving = Some(*version);
                    e.outcomes.push((*version, None));
                }
                return Outcome::Done;
            }
            Action::FailTarget { environment, version, reason } => {
                let e = self.environments.get_mut(environment).expect("known");
                if e.target.is_some_and(|(v, _)| v == *version) {
                    e.target = None;
                    e.outcomes.push((*version, Some(reason.clone())));
                }
                return Outcome::Done;
            }
            _ => {}
        }
        if !self.world.engine_is_up() || (self.faults && self.rng.per_mille(20)) {
            return Outcome::Unknown;
        }
        match action {
            Action::EnsureNetwork { name, .. } => drop(self.world.networks.insert(name.clone())),
            Action::RemoveNetwork { name } => {
                let used = self.world.containers.values().any(|c| network_name(&c.key.environment) == *name);
                if !used {
                    self.world.networks.remove(name);
                }
            }
            Action::Start { key, owner } => {
                let behaviour = self.environments[&key.environment].revision(key.revision).behaviours[&key.service];
                return match self.world.start(key, owner, behaviour) {
                    Ok(()) => Outcome::Done,
                    Err((hopeless, reason)) => Outcome::Failed { hopeless, reason },
                };
            }
            Action::Restart { id, .. } => {
                if let Some(c) = self.world.containers.get_mut(id)
                    && !matches!(c.state, ContainerState::Running { .. })
                {
                    c.state = ContainerState::Running { started_at: now };
                }
            }
            Action::Remove { id, .. } => drop(self.world.containers.remove(id)),
            _ => {}
        }
        Outcome::Done
    }

    /// `kill -9` of the control plane: its memory is gone; calls under way may or may not have reached the engine.
    pub(super) fn die(&mut self) {
        self.trace.push(format!("{} the control plane dies", self.world.now.0));
        for (_, action) in std::mem::take(&mut self.under_way) {
            if self.rng.per_mille(500) {
                let _ = self.apply(&action);
            }
        }
        self.memory = Memory::new(self.world.now);
        // The next process numbers its tables above all of this one's.
        self.generation = (self.generation / 1_000_000 + 1) * 1_000_000;
        self.sent = None;
    }

    /// Everything that shall be there, by key.
    pub(super) fn oracle(&self) -> BTreeSet<InstanceKey> {
        let mut keys = BTreeSet::new();
        for (id, e) in self.environments.iter().filter(|(_, e)| e.wanted == Wanted::Run) {
            for release in e.serving.iter().map(|v| e.release(*v)) {
                for (name, service) in &release.stack.services {
                    let replicas = e.formation.get(name).copied().unwrap_or(service.replicas);
                    keys.extend((1..=replicas).map(|slot| release.key(id, name, slot)));
                }
            }
        }
        keys
    }

    pub(super) fn add_environment(&mut self, number: u32) {
        let (id, owner) = owner(number);
        let e = SimEnvironment {
            owner,
            wanted: Wanted::Run,
            counter: 0,
            target: None,
            serving: None,
            formation: BTreeMap::new(),
            revisions: Vec::new(),
            outcomes: Vec::new(),
        };
        self.environments.insert(id, e);
    }

    /// Deploys a new revision of these behaviours and sizes.
    pub(super) fn deploy(&mut self, id: &EnvironmentId, services: &[(&str, ServiceKind, u32, Behaviour)]) {
        let now = self.world.now;
        let stack = stack_of(services.iter().map(|(name, kind, n, _)| (*name, service(*kind, *n))));
        let behaviours = services.iter().map(|(n, _, _, b)| (n.parse().expect("a name"), *b)).collect();
        let e = self.environments.get_mut(id).expect("known");
        e.revisions.push(SimRevision { stack: Arc::new(stack), behaviours });
        let number = i64::try_from(e.revisions.len()).expect("few");
        e.set_target(number, now);
    }

    /// Whether this container is an instance of the release that serves, within the wanted number.
    pub(super) fn is_serving(&self, key: &InstanceKey) -> bool {
        let e = &self.environments[&key.environment];
        e.serving == Some(version_of(key)) && self.oracle().contains(key)
    }
}
