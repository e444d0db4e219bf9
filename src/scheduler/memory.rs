//! What the reconcile task remembers between two observations: pure folding of what was seen, probed, tried and
//! acknowledged into a [`World`]. It lives in the process only: after a restart it starts empty, and everything
//! decided with it is safe then, only slower (counts begin again, routes are held until probes are in).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::health::{Health, Probe, Verdict};
use super::model::{Action, Desired, EngineView, Facts, IngressView, StopCause, Subject, Trouble, Wanted, World};
use super::plan::analysis::Tally;
use super::policy::Policy;
use super::traffic::Traffic;
use crate::engine::{ContainerState, InstanceKey, Observed, Role};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::stack::{HealthCheck, Protocol};

/// For so long after the engine failed to answer, a container missing from its list is still believed to be
/// there: engines are known to answer with short lists just after they come back.
const DOUBT_MS: i64 = 5_000;
/// A missing container whose own probe passed this recently is believed to be alive in any case.
const PROBE_PROOF_MS: i64 = 2_000;
/// How long first routes wait, after a start of this process (or the engine's last failure since), for the probes of
/// what already runs.
const FIRST_ROUND_MS: i64 = 10_000;

/// Tables sent to the ingress and not yet acknowledged; more than this are never outstanding at a time,
/// because the ingress takes only complete tables and the newest stands for all before it.
const TABLES_KEPT: usize = 64;

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The engine refused. `hopeless` when trying again cannot help; the reason follows the instance's name.
    Failed {
        hopeless: bool,
        reason: String,
    },
    /// The engine did not answer: that says nothing about the instance, the next observation will.
    Unknown,
}

/// What a probe needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    pub id: String,
    /// The start of the run it is about.
    pub run: Timestamp,
    /// Where it is asked from outside; `None` when only a command inside it is.
    pub address: Option<SocketAddr>,
    pub check: HealthCheck,
    pub health: Health,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Memory {
    seen: Option<(Vec<Observed>, BTreeSet<String>)>,
    lost: Option<String>,
    /// When the engine last failed to answer; the start of this process counts as such.
    doubt_since: Timestamp,
    facts: BTreeMap<String, Facts>,
    trouble: BTreeMap<InstanceKey, Trouble>,
    busy: BTreeSet<Subject>,
    tables: BTreeMap<u64, BTreeSet<String>>,
    applied: Option<u64>,
    in_flight: BTreeMap<String, u64>,
    /// The last list was made while the engine was doubted.
    unsure: bool,
    traffic: Traffic,
}

impl Memory {
    /// The empty memory of a process that starts at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            seen: None,
            lost: None,
            doubt_since: now,
            facts: BTreeMap::new(),
            trouble: BTreeMap::new(),
            busy: BTreeSet::new(),
            tables: BTreeMap::new(),
            applied: None,
            in_flight: BTreeMap::new(),
            unsure: true,
            traffic: Traffic::default(),
        }
    }

    /// The engine did not answer.
    pub fn engine_lost(&mut self, reason: String, now: Timestamp) {
        self.lost = Some(reason);
        self.doubt_since = now;
    }

    /// The engine answered with everything it has.
    pub fn engine_seen(
        &mut self,
        desired: &Desired,
        policy: &Policy,
        mut containers: Vec<Observed>,
        networks: BTreeSet<String>,
        now: Timestamp,
    ) {
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        let doubted = self.carry_over_doubted(&mut containers, now);
        self.lost = None;
        let present: BTreeSet<&String> = containers.iter().map(|c| &c.id).collect();
        self.facts.retain(|id, _| present.contains(id));
        for container in containers.iter().filter(|c| c.role == Role::Instance) {
            self.fold(desired, policy, container, now);
        }
        for (id, facts) in &mut self.facts {
            facts.doubted = doubted.contains(id);
        }
        self.trouble
            .retain(|key, _| desired.environments.get(&key.environment).is_some_and(|e| e.service_of(key).is_some()));
        self.unsure = now.since_ms(self.doubt_since) < DOUBT_MS;
        self.traffic.mark(desired, &containers);
        self.seen = Some((containers, networks));
    }

    /// What the ingress has counted by container since it started; `None` when it was not asked.
    pub fn ingress_counted(&mut self, counts: Option<BTreeMap<String, Tally>>) {
        self.traffic.count(counts);
    }

    /// Whether a canary is judged by what the ingress counts.
    #[must_use]
    pub fn wants_counts(&self) -> bool {
        self.traffic.is_wanted()
    }

    /// Lets a person's "try again" wipe out the ends of a service's instances.
    pub fn forgive(&mut self, environment: &EnvironmentId, service: &ServiceName) {
        let Some((containers, _)) = &self.seen else { return };
        for c in containers.iter().filter(|c| c.key.environment == *environment && c.key.service == *service) {
            if let Some(facts) = self.facts.get_mut(&c.id) {
                facts.crashes = 0;
            }
        }
        self.trouble.retain(|key, _| key.environment != *environment || key.service != *service);
    }

    /// Adds containers of the last list that are missing from this one, as long as their absence is doubted; says which.
    fn carry_over_doubted(&self, containers: &mut Vec<Observed>, now: Timestamp) -> BTreeSet<String> {
        let Some((before, _)) = &self.seen else { return BTreeSet::new() };
        let doubt = now.since_ms(self.doubt_since) < DOUBT_MS;
        let absent = |b: &&Observed| containers.binary_search_by(|c| c.id.cmp(&b.id)).is_err();
        let gone: Vec<&Observed> = before
            .iter()
            .filter(|b| b.role == Role::Instance && matches!(b.state, ContainerState::Running { .. }))
            .filter(absent)
            .collect();
        if gone.is_empty() {
            return BTreeSet::new();
        }
        let keys: BTreeSet<&InstanceKey> =
            containers.iter().filter(|c| c.role == Role::Instance).map(|c| &c.key).collect();
        let missing: Vec<Observed> = gone
            .into_iter()
            // One that was made anew under the same key proves that the old one is gone.
            .filter(|b| !keys.contains(&b.key))
            .filter(|b| {
                let pass = self.facts.get(&b.id).and_then(|f| f.health.last_pass);
                let answers = pass.is_some_and(|at| now.since_ms(at) < PROBE_PROOF_MS);
                // One of our own removals explains the absence.
                let removing = self.facts.get(&b.id).is_some_and(|f| f.stop_asked);
                !removing && (doubt || answers)
            })
            .cloned()
            .collect();
        let ids = missing.iter().map(|c| c.id.clone()).collect();
        containers.extend(missing);
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        ids
    }

    fn fold(&mut self, desired: &Desired, policy: &Policy, container: &Observed, now: Timestamp) {
        let facts = self.facts.entry(container.id.clone()).or_insert_with(|| Facts {
            run: None,
            health: Health::new(now),
            healthy_since: None,
            crashes: 0,
            counted_end: None,
            stop_asked: false,
            left_routes_at: None,
            doubted: false,
            last_words: None,
        });
        match container.state {
            ContainerState::Created => {}
            ContainerState::Running { started_at } => {
                if facts.run != Some(started_at) {
                    facts.run = Some(started_at);
                    facts.health = Health::new(now);
                    facts.healthy_since = None;
                    facts.stop_asked = false;
                }
                note_health(desired, policy, container, facts, started_at, now);
            }
            ContainerState::Exited { finished_at, .. } => {
                if facts.counted_end != Some(finished_at) {
                    facts.counted_end = Some(finished_at);
                    if !facts.stop_asked {
                        facts.crashes = facts.crashes.saturating_add(1);
                    }
                    facts.stop_asked = false;
                }
                facts.run = None;
            }
        }
    }

    /// A probe of the run of a container that began at `run` came back. True when that changes the judgement on it.
    pub fn probed(&mut self, desired: &Desired, id: &str, run: Timestamp, probe: Probe, now: Timestamp) -> bool {
        let Some((containers, _)) = &self.seen else { return false };
        // The list is kept in the order of the ids.
        let Ok(place) = containers.binary_search_by(|c| c.id.as_str().cmp(id)) else { return false };
        let container = &containers[place];
        let Some(service) =
            desired.environments.get(&container.key.environment).and_then(|e| e.service_of(&container.key))
        else {
            return false;
        };
        let Some(facts) = self.facts.get_mut(id).filter(|f| f.run == Some(run)) else { return false };
        let kind = |health: &Health| std::mem::discriminant(&health.verdict(&service.health, run, now));
        let before = kind(&facts.health);
        facts.health.record(&service.health, probe, now);
        kind(&facts.health) != before
    }

    /// The running instances of releases that are wanted which are `due` to be asked, with what a probe of them needs.
    #[must_use]
    pub fn probe_targets(
        &self,
        desired: &Desired,
        mut due: impl FnMut(&str, Timestamp, &HealthCheck, &Health) -> bool,
    ) -> Vec<ProbeTarget> {
        let Some((containers, _)) = &self.seen else { return Vec::new() };
        let running = containers.iter().filter(|c| c.role == Role::Instance);
        running.filter_map(|c| self.probe_target(desired, c, &mut due)).collect()
    }

    fn probe_target(
        &self,
        desired: &Desired,
        container: &Observed,
        due: &mut impl FnMut(&str, Timestamp, &HealthCheck, &Health) -> bool,
    ) -> Option<ProbeTarget> {
        let ContainerState::Running { started_at } = container.state else { return None };
        let service = desired.environments.get(&container.key.environment)?.service_of(&container.key)?;
        let facts = self.facts.get(&container.id).filter(|f| f.run == Some(started_at))?;
        let check = &service.health;
        let address = match check.protocol {
            Protocol::Process => None,
            Protocol::Http | Protocol::Tcp => Some(SocketAddr::new(container.address?, check.port.or(service.port)?)),
        };
        let asked = address.is_some() || check.command.is_some();
        (asked && due(&container.id, started_at, &service.health, &facts.health)).then(|| ProbeTarget {
            id: container.id.clone(),
            run: started_at,
            address,
            check: service.health.clone(),
            health: facts.health.clone(),
        })
    }

    /// The last line a container printed before it ended.
    pub fn last_words(&mut self, id: &str, line: String) {
        if let Some(facts) = self.facts.get_mut(id) {
            facts.last_words = Some(line);
        }
    }

    /// Containers that have ended and whose last words are not known.
    #[must_use]
    pub fn silent_ends(&self) -> Vec<String> {
        let Some((containers, _)) = &self.seen else { return Vec::new() };
        containers
            .iter()
            .filter(|c| matches!(c.state, ContainerState::Exited { .. }))
            .filter(|c| self.facts.get(&c.id).is_some_and(|f| f.last_words.is_none()))
            .map(|c| c.id.clone())
            .collect()
    }

    /// An action of a plan is being carried out.
    pub fn begun(&mut self, action: &Action) {
        if let Action::Stop { id, cause, .. } = action
            && let Some(facts) = self.facts.get_mut(id)
        {
            match cause {
                StopCause::Retired => facts.stop_asked = true,
                StopCause::Ill => facts.last_words = None,
            }
        }
        if let Action::Restart { id, .. } = action
            && let Some(facts) = self.facts.get_mut(id)
        {
            facts.last_words = None;
        }
        self.busy.insert(action.subject());
    }

    /// It was carried out, or not.
    pub fn ended(&mut self, action: &Action, outcome: Outcome, now: Timestamp) {
        self.busy.remove(&action.subject());
        // A stop that did not come about is none that was asked for.
        if let Action::Stop { id, cause: StopCause::Retired, .. } = action
            && outcome != Outcome::Done
            && let Some(facts) = self.facts.get_mut(id)
        {
            facts.stop_asked = false;
        }
        let (Action::Start { key, .. } | Action::Restart { key, .. }) = action else { return };
        match outcome {
            Outcome::Unknown => {}
            Outcome::Done => drop(self.trouble.remove(key)),
            Outcome::Failed { hopeless, reason } => {
                let attempts = self.trouble.get(key).map_or(0, |t| t.attempts).saturating_add(1);
                self.trouble.insert(key.clone(), Trouble { attempts, last_at: now, hopeless, reason });
            }
        }
    }

    /// A table of routes with these containers in it is sent to the ingress.
    pub fn table_sent(&mut self, generation: u64, containers: BTreeSet<String>) {
        self.tables.insert(generation, containers);
        while self.tables.len() > TABLES_KEPT {
            // The applied one stays; what is dropped is merged into the next, which errs on the safe side.
            let Some((&second, _)) = self.tables.iter().nth(1) else { break };
            let dropped = self.tables.remove(&second).unwrap_or_default();
            if let Some((_, next)) = self.tables.range_mut(second..).next() {
                next.extend(dropped);
            }
        }
    }

    /// The ingress says which table it uses, and what requests are under way. Of a generation that was not sent by
    /// this process, or is older than one that was acknowledged before, it is not known what is in it.
    /// True when that may let the planner go on: another table is in use, or requests of an instance outside the
    /// table have changed.
    pub fn ingress_said(&mut self, generation: Option<u64>, in_flight: BTreeMap<String, u64>, now: Timestamp) -> bool {
        let before = (self.applied, self.draining());
        self.applied = generation.filter(|g| self.tables.contains_key(g));
        if let Some(applied) = self.applied {
            self.tables = self.tables.split_off(&applied);
        }
        self.in_flight = in_flight;
        let applied = self.applied.and_then(|g| self.tables.get(&g));
        for (id, facts) in &mut self.facts {
            let newer = || self.tables.iter().any(|(g, ids)| Some(*g) != self.applied && ids.contains(id));
            if applied.is_none_or(|ids| ids.contains(id)) || newer() {
                facts.left_routes_at = None;
            } else {
                facts.left_routes_at.get_or_insert(now);
            }
        }
        before != (self.applied, self.draining())
    }

    /// Requests of instances that are not in the table in use.
    fn draining(&self) -> BTreeMap<String, u64> {
        let table = self.applied.and_then(|g| self.tables.get(&g));
        let outside = |id: &String| table.is_none_or(|t| !t.contains(id));
        self.in_flight.iter().filter(|(id, _)| outside(id)).map(|(id, n)| (id.clone(), *n)).collect()
    }

    fn ingress_view(&self) -> IngressView {
        let applied = self.applied.and_then(|g| self.tables.get(&g)).cloned();
        let newer = self.tables.iter().filter(|(g, _)| Some(**g) != self.applied);
        IngressView {
            applied,
            pending: newer.flat_map(|(_, ids)| ids.iter().cloned()).collect(),
            in_flight: self.in_flight.clone(),
        }
    }

    /// Whether routes may be published: the engine was seen, nothing that shall serve is missing from a list that
    /// is still doubted, and what already ran when this process started has been probed (or had its time).
    #[must_use]
    pub fn may_publish(&self, desired: &Desired, now: Timestamp) -> bool {
        let (None, Some((containers, _))) = (&self.lost, &self.seen) else { return false };
        if !self.tables.is_empty() || now.since_ms(self.doubt_since) >= FIRST_ROUND_MS {
            return true;
        }
        let doubt = now.since_ms(self.doubt_since) < DOUBT_MS;
        let by_key: BTreeMap<&InstanceKey, &Observed> = containers.iter().rev().map(|c| (&c.key, c)).collect();
        let serving = desired.environments.iter().filter(|(_, e)| e.wanted == Wanted::Run);
        let mut wanted = serving.filter_map(|(id, e)| e.serving.as_ref().map(|release| (id, e, release))).flat_map(
            |(id, e, release)| {
                release.stack.services.iter().flat_map(move |(name, service)| {
                    (1..=e.replicas(name, service)).map(move |slot| (release.key(id, name, slot), service))
                })
            },
        );
        wanted.all(|(key, service)| match by_key.get(&key) {
            None => !doubt,
            Some(c) => {
                !matches!(c.state, ContainerState::Running { .. })
                    || self.facts.get(&c.id).is_some_and(|f| f.health.is_known(&service.health))
            }
        })
    }

    /// Everything known, as the planner takes it.
    #[must_use]
    pub fn world(&self) -> World {
        let engine = match (&self.lost, &self.seen) {
            (Some(reason), _) => EngineView::Lost { reason: reason.clone() },
            (None, None) => EngineView::Lost { reason: "the container engine was not asked yet".to_owned() },
            (None, Some((containers, networks))) => {
                EngineView::Seen { containers: containers.clone(), networks: networks.clone() }
            }
        };
        World {
            engine,
            ingress: self.ingress_view(),
            facts: self.facts.clone(),
            trouble: self.trouble.clone(),
            busy: self.busy.clone(),
            unsure: self.unsure,
            traffic: self.traffic.since_marks(),
        }
    }
}

fn note_health(
    desired: &Desired,
    policy: &Policy,
    container: &Observed,
    facts: &mut Facts,
    started_at: Timestamp,
    now: Timestamp,
) {
    let service = desired.environments.get(&container.key.environment).and_then(|e| e.service_of(&container.key));
    let Some(service) = service else { return };
    match facts.health.verdict(&service.health, started_at, now) {
        Verdict::Healthy { since } => {
            let since = *facts.healthy_since.get_or_insert(since);
            if now.since_ms(since) >= policy.stable_ms {
                facts.crashes = 0;
            }
        }
        Verdict::Ill { .. } | Verdict::Late => facts.healthy_since = None,
        Verdict::Starting => {}
    }
}
