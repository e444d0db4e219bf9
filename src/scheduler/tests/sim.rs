//! The simulated control plane: the same memory, planner and lint as the real one, over a [`SimWorld`], with a
//! store in memory. It is checked after every step; a broken property is an `Err` with the step in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fixtures::{owner, stack_of};
use super::world::{Behaviour, Rng, SimContainer, SimWorld};
use crate::engine::{ContainerState, InstanceKey, Owner};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::releases::Progress;
use crate::releases::store::Quotas;
use crate::scheduler::lint::lint;
use crate::scheduler::memory::{Memory, Outcome};
use crate::scheduler::model::{
    Action, Desired, DesiredEnvironment, EngineView, Plan, Release, Target, Version, Wanted, Warm, network_name,
    version_of,
};
use crate::scheduler::plan::analysis::Tally;
use crate::scheduler::plan::plan;
use crate::scheduler::policy::{Bug, Policy};
use crate::scheduler::pressure::{Pressure, relieve};
use crate::stack::quota::{Amounts, Quota, steady};
use crate::stack::{Service, Stack};

/// A revision with how its services behave.
pub(super) struct SimRevision {
    pub stack: Arc<Stack>,
    pub behaviours: BTreeMap<ServiceName, Behaviour>,
}

/// The durable rows of one environment.
pub(super) struct SimEnvironment {
    pub owner: Owner,
    pub wanted: Wanted,
    pub counter: i64,
    pub target: Option<(Version, Timestamp)>,
    pub progress: Progress,
    pub target_kept: BTreeMap<ServiceName, Version>,
    pub serving: Option<Version>,
    pub serving_kept: BTreeMap<ServiceName, Version>,
    pub warm: Option<(Version, BTreeMap<ServiceName, Version>, Timestamp)>,
    pub formation: BTreeMap<ServiceName, u32>,
    pub revisions: Vec<SimRevision>,
    /// How each target ended: `None` for success, else the reason.
    pub outcomes: Vec<(Version, Option<String>)>,
}

impl SimEnvironment {
    pub(super) fn revision(&self, number: i64) -> &SimRevision {
        &self.revisions[usize::try_from(number - 1).expect("numbers count from one")]
    }

    fn release(&self, version: Version, kept: &BTreeMap<ServiceName, Version>) -> Release {
        let stack = Arc::clone(&self.revision(version.revision).stack);
        Release { version, config_version: 0, stack, kept: kept.clone() }
    }

    pub(super) fn serving_release(&self) -> Option<Release> {
        self.serving.map(|v| self.release(v, &self.serving_kept))
    }

    pub(super) fn target_release(&self) -> Option<Release> {
        self.target.map(|(v, _)| self.release(v, &self.target_kept))
    }

    /// Begins an attempt as the pipeline does: what has not changed is kept; the way back is at once, and takes what is
    /// warm.
    pub(super) fn set_target(&mut self, revision: i64, back: bool, now: Timestamp) {
        self.wanted = Wanted::Run;
        self.progress = Progress::begin("sim", if back { "rollback" } else { "deploy" }, back);
        if let Some((version, kept, until)) = self.warm.clone()
            && back
            && version.revision == revision
            && until > now.plus_ms(2_000)
        {
            self.target = Some((version, now));
            self.target_kept = kept;
            return;
        }
        self.counter += 1;
        self.target = Some((Version { revision, generation: self.counter }, now));
        let new = &self.revision(revision).stack.services;
        let kept = self.serving_release().into_iter().flat_map(|old| {
            let same = |(name, s): &(&ServiceName, &Service)| {
                s.kind.is_standing() && old.stack.services.get(*name) == Some(*s)
            };
            new.iter().filter(same).map(|(name, _)| (name.clone(), old.version_of(name))).collect::<Vec<_>>()
        });
        self.target_kept = kept.collect();
    }

    fn end_target(&mut self) {
        self.target = None;
        self.progress = Progress::default();
        self.target_kept.clear();
    }
}

pub(super) struct Sim {
    pub rng: Rng,
    pub world: SimWorld,
    pub environments: BTreeMap<EnvironmentId, SimEnvironment>,
    pub policy: Policy,
    pub faults: bool,
    /// Since when nothing fails any more.
    pub quiet_since: Timestamp,
    /// A person was called.
    pub alarmed: bool,
    /// What every tenant may use; each environment has a tenant of its own.
    pub quota: Option<Quota>,
    /// What is owed to the machine.
    pub pressure: Pressure,
    /// What is wanted without what has to yield, as of the last round.
    pub relieved: Desired,
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
        let policy = Policy {
            rollout_ms: 60_000,
            patience_ms: 30_000,
            backoff_max_ms: 8_000,
            stable_ms: 10_000,
            yield_step_ms: 4_000,
            relief_ms: 5_000,
            bug,
            ..Policy::default()
        };
        // Some seeds are short of something.
        let quota = (seed % 5 == 2).then(|| Quota { instances: Some(6), ..Quota::default() });
        let mut world = world;
        world.memory_mib = (seed % 7 == 3).then_some(7 * 512);
        Self {
            rng: Rng(seed),
            quota,
            quiet_since: world.now,
            pressure: Pressure::default(),
            relieved: Desired::default(),
            memory: Memory::new(world.now),
            world,
            environments: BTreeMap::new(),
            policy,
            faults,
            alarmed: false,
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
                target: e.target_release().zip(e.target).map(|(release, (_, since))| Target {
                    release,
                    since,
                    progress: e.progress.clone(),
                }),
                serving: e.serving_release(),
                warm: e.warm.as_ref().map(|(v, kept, until)| Warm { release: e.release(*v, kept), until: *until }),
                formation: e.formation.clone(),
                yields: BTreeMap::new(),
            };
            (id.clone(), desired)
        });
        let quota_of = |e: &SimEnvironment| Some((e.owner.tenant.clone(), self.quota?));
        let tenants = self.environments.values().filter_map(quota_of).collect();
        let quotas = Quotas { tenants, projects: BTreeMap::new() };
        Desired { environments: environments.collect(), operations: BTreeSet::new(), quotas }
    }

    /// The same without what has to yield.
    fn relieve(&mut self) -> Desired {
        let mut desired = self.desired();
        if let Some(figures) = self.world.figures() {
            self.pressure.note(figures, &self.policy, self.world.now);
        }
        relieve(&mut desired, &self.pressure, &self.policy);
        self.relieved = desired.clone();
        desired
    }

    /// How many instances of a service are wanted, without those that yield.
    pub(super) fn wanted(&self, id: &EnvironmentId, name: &ServiceName, service: &Service) -> u32 {
        match self.relieved.environments.get(id) {
            Some(environment) => environment.replicas(name, service),
            None => service.replicas,
        }
    }

    /// Whether the quota allows a revision with this formation.
    pub(super) fn admits(&self, id: &EnvironmentId, stack: &Stack, formation: &BTreeMap<ServiceName, u32>) -> bool {
        let e = &self.environments[id];
        let mut as_wanted = DesiredEnvironment::new(e.owner.clone(), Wanted::Run, None);
        as_wanted.formation.clone_from(formation);
        let needed = steady(stack, |name, service| as_wanted.replicas(name, service));
        self.quota.is_none_or(|q| q.allows("the organisation", Amounts::default(), needed).is_ok())
    }

    /// One turn of everything: time passes, a person may change something, the control plane takes a round.
    pub(super) fn step(&mut self, ms: i64, edits: bool) -> Result<Plan, String> {
        self.world.pass_time(ms, &mut self.rng, self.faults);
        if edits {
            super::edits::maybe_edit(self);
        }
        self.finish_actions();
        super::properties::one_writer(self)?;
        super::properties::quota_is_kept(self)?;
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
        let desired = self.relieve();
        super::properties::yields_in_order(self)?;
        match observation {
            Ok((containers, networks)) => self.memory.engine_seen(&desired, &self.policy, containers, networks, now),
            Err(reason) => self.memory.engine_lost(reason, now),
        }
        self.probe_all(&desired);
        if now >= self.world.ingress_down_until {
            let in_flight =
                self.world.containers.iter().map(|(id, c)| (id.clone(), c.in_flight)).filter(|(_, n)| *n > 0);
            let _ = self.memory.ingress_said(Some(self.world.table.0), in_flight.collect(), now);
            let tally = |c: &SimContainer| Tally { requests: c.answered.0, errors: c.answered.1, ..Tally::default() };
            let counted = self.world.containers.iter().map(|(id, c)| (id.clone(), tally(c))).collect();
            let counts = self.memory.wants_counts();
            self.memory.ingress_counted(counts.then_some(counted));
        }
        let mut world = self.memory.world();
        let made = plan(&desired, &world, &self.policy, now);
        if let EngineView::Seen { containers, .. } = &mut world.engine {
            containers.reverse();
            if plan(&desired, &world, &self.policy, now) != made {
                return Err("the order of the observation changes the plan".to_owned());
            }
        }
        if now.0 % 8 == 0 {
            super::properties::tenants_do_not_touch(&desired, &world, &self.policy, &made, now)?;
        }
        if !made.report.environments.values().all(|r| r.alarms.is_empty()) {
            self.alarmed = true;
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
        if action.is_decision() {
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

    /// What the store does with a decision.
    fn decide(&mut self, action: &Action) {
        let now = self.world.now;
        let Some(e) = action.environment().and_then(|id| self.environments.get_mut(id)) else { return };
        let is_target = |version: &Version| e.target.is_some_and(|(v, _)| v == *version);
        match action {
            Action::MarkServing { version, warm_until, .. } if is_target(version) => {
                let old = e.serving.map(|v| (v, e.serving_kept.clone()));
                e.warm = warm_until.zip(old).map(|(until, (v, kept))| (v, kept, until));
                (e.serving, e.serving_kept) = (Some(*version), e.target_kept.clone());
                e.outcomes.push((*version, None));
                e.end_target();
            }
            Action::FailTarget { version, reason, .. } if is_target(version) => {
                e.outcomes.push((*version, Some(reason.clone())));
                e.end_target();
            }
            Action::Step { version, service, step, .. } if is_target(version) => {
                e.progress.steps.insert(service.clone(), step.clone());
            }
            Action::Withdraw { version, reason, .. } if is_target(version) => e.progress.withdraw(reason, now),
            Action::Hold { version, .. } if is_target(version) => drop(e.progress.pause("its failure policy", now)),
            _ => {}
        }
    }

    fn apply(&mut self, action: &Action) -> Outcome {
        let now = self.world.now;
        if action.is_decision() {
            self.decide(action);
            return Outcome::Done;
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
        self.world.containers.values_mut().for_each(|c| c.ends = 0);
        // The next process numbers its tables above all of this one's.
        self.generation = (self.generation / 1_000_000 + 1) * 1_000_000;
        self.sent = None;
    }

    /// Everything that shall be there, by key.
    pub(super) fn oracle(&self) -> BTreeSet<InstanceKey> {
        let mut keys = BTreeSet::new();
        for (id, e) in self.environments.iter().filter(|(_, e)| e.wanted == Wanted::Run) {
            if let Some(release) = e.serving_release() {
                for (name, service) in release.stack.services.iter().filter(|(_, s)| s.kind.is_standing()) {
                    let replicas = self.wanted(id, name, service);
                    keys.extend((1..=replicas).map(|slot| release.key(id, name, slot)));
                }
            }
        }
        keys
    }

    /// A person has looked at everything that is given up, and lets it be tried again.
    pub(super) fn forgive(&mut self) {
        let services: Vec<_> =
            self.world.containers.values().map(|c| (c.key.environment.clone(), c.key.service.clone())).collect();
        services.iter().for_each(|(environment, service)| self.memory.forgive(environment, service));
        self.world.containers.values_mut().for_each(|c| c.ends = 0);
    }

    /// Whether everybody has had the time to notice what failed last.
    pub(super) fn is_quiet(&self) -> bool {
        !self.faults && self.world.now.since_ms(self.quiet_since) >= 6_000
    }

    /// The faults are over; what ends again and again is mended.
    pub(super) fn mend(&mut self) {
        (self.faults, self.quiet_since) = (false, self.world.now);
        let good = Behaviour::Good { listens_after: 0 };
        let fragile = |b: &&mut Behaviour| matches!(b, Behaviour::Fragile { .. });
        let revisions = self.environments.values_mut().flat_map(|e| &mut e.revisions);
        revisions.flat_map(|r| r.behaviours.values_mut()).filter(fragile).for_each(|b| *b = good);
        self.world.containers.values_mut().map(|c| &mut c.behaviour).filter(fragile).for_each(|b| *b = good);
        // Somebody gives the machine more memory.
        self.world.memory_mib = self.world.memory_mib.map(|_| 1_000_000);
    }

    /// Whether it is kept for a way back.
    pub(super) fn is_warm(&self, key: &InstanceKey) -> bool {
        let warm = self.environments[&key.environment].warm.as_ref();
        warm.is_some_and(|(v, kept, until)| {
            self.world.now < *until && kept.get(&key.service).copied().unwrap_or(*v) == version_of(key)
        })
    }

    pub(super) fn add_environment(&mut self, number: u32) {
        let (id, owner) = owner(number);
        let e = SimEnvironment {
            owner,
            wanted: Wanted::Run,
            counter: 0,
            target: None,
            progress: Progress::default(),
            target_kept: BTreeMap::new(),
            serving: None,
            serving_kept: BTreeMap::new(),
            warm: None,
            formation: BTreeMap::new(),
            revisions: Vec::new(),
            outcomes: Vec::new(),
        };
        self.environments.insert(id, e);
    }

    /// Deploys a new revision of these services.
    pub(super) fn deploy(&mut self, id: &EnvironmentId, services: Vec<(&str, Service, Behaviour)>) {
        let now = self.world.now;
        let behaviours: BTreeMap<ServiceName, Behaviour> =
            services.iter().map(|(n, _, b)| (n.parse().expect("a name"), *b)).collect();
        let stack = stack_of(services.into_iter().map(|(name, service, _)| (name, service)));
        if !self.admits(id, &stack, &self.environments[id].formation) {
            return self.trace.push(format!("{} {id} may not have that much", now.0));
        }
        let e = self.environments.get_mut(id).expect("known");
        e.revisions.push(SimRevision { stack: Arc::new(stack), behaviours });
        let number = i64::try_from(e.revisions.len()).expect("few");
        e.set_target(number, false, now);
    }

    /// Whether this container is an instance of the release that serves, within the wanted number.
    pub(super) fn is_serving(&self, key: &InstanceKey) -> bool {
        let e = &self.environments[&key.environment];
        e.serving_release().is_some_and(|r| r.version_of(&key.service) == version_of(key))
            && self.oracle().contains(key)
    }
}
