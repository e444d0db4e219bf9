//! A small pure world for the simulation: containers that start slowly, crash and flap, an engine that fails and
//! lies, an ingress that applies tables late. Everything moves only by [`SimWorld::pass_time`].

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{ContainerState, InstanceKey, Observed, Owner, Role};
use crate::kernel::clock::Timestamp;
use crate::scheduler::health::Probe;
use crate::scheduler::pressure::Figures;

/// A small deterministic generator (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Rng(pub u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low).unsigned_abs()).cast_signed()
    }

    /// True in `n` of a thousand cases.
    pub(super) fn per_mille(&mut self, n: u64) -> bool {
        self.next() % 1000 < n
    }
}

/// How the containers of one service of one revision behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Good {
        listens_after: i64,
    },
    /// Passes its checks, and answers this many of a thousand requests with an error.
    Faulty {
        listens_after: i64,
        permille: u64,
    },
    /// Passes its checks, and ends a while after each start.
    Fragile {
        dies_after: i64,
    },
    /// Runs to its end with success.
    Completes {
        after: i64,
    },
    ExitsAtOnce {
        after: i64,
    },
    OutOfMemory {
        after: i64,
    },
    NeverListens,
    Misplaced,
    StartFails,
    ImageMissing,
}

impl Behaviour {
    pub(super) fn is_good(self) -> bool {
        matches!(self, Self::Good { .. } | Self::Faulty { .. } | Self::Fragile { .. } | Self::Completes { .. })
    }

    pub(super) fn is_faulty(self) -> bool {
        matches!(self, Self::Faulty { .. })
    }
}

#[derive(Debug, Clone)]
pub(super) struct SimContainer {
    pub key: InstanceKey,
    pub owner: Owner,
    pub behaviour: Behaviour,
    pub state: ContainerState,
    pub flaps_since: Timestamp,
    pub flaps_until: Timestamp,
    /// When a stop under way ends it.
    pub stops_at: Option<Timestamp>,
    pub in_flight: u64,
    /// Its requests never end by themselves.
    pub hangs: bool,
    pub left_table_at: Option<Timestamp>,
    /// Ends by itself in a row, as far as the present control plane can know.
    pub ends: u32,
    /// Requests it answered, and how many of them with an error.
    pub answered: (u64, u64),
}

impl SimContainer {
    pub(super) fn listens_since(&self) -> Option<Timestamp> {
        match (&self.state, self.behaviour) {
            (
                ContainerState::Running { started_at },
                Behaviour::Good { listens_after } | Behaviour::Faulty { listens_after, .. },
            ) => Some(started_at.plus_ms(listens_after)),
            (ContainerState::Running { started_at }, Behaviour::Fragile { .. }) => Some(*started_at),
            _ => None,
        }
    }

    /// It has answered without a fault for at least `ms`.
    pub(super) fn is_well_for(&self, ms: i64, now: Timestamp) -> bool {
        let since = self.listens_since().map(|t| t.max(self.flaps_until));
        since.is_some_and(|t| now.since_ms(t) >= ms) && self.stops_at.is_none()
    }

    /// It answers without a fault, or did so a moment ago and nobody can know better yet.
    pub(super) fn seems_well(&self, ms: i64, now: Timestamp) -> bool {
        let listens = self.listens_since().is_some_and(|t| t <= now);
        self.is_well_for(0, now) || (listens && self.stops_at.is_none() && now.since_ms(self.flaps_since) < ms)
    }

    pub(super) fn probe(&self, now: Timestamp) -> Probe {
        match self.behaviour {
            Behaviour::Misplaced => {
                Probe::Misplaced { detail: "listens on 127.0.0.1:3000, expected 0.0.0.0:8080".to_owned() }
            }
            _ if self.is_well_for(0, now)
                || self.listens_since().is_some_and(|t| t <= now && now >= self.flaps_until) =>
            {
                Probe::Passed
            }
            _ => Probe::Failed { detail: "does not accept connections on 0.0.0.0:8080 yet".to_owned() },
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct SimWorld {
    pub now: Timestamp,
    pub containers: BTreeMap<String, SimContainer>,
    pub networks: BTreeSet<String>,
    pub engine_down_until: Timestamp,
    pub engine_lies_until: Timestamp,
    pub ingress_down_until: Timestamp,
    /// The table the ingress has applied.
    pub table: (u64, BTreeSet<String>),
    /// Tables on their way, with their arrival.
    pub on_the_way: Vec<(Timestamp, u64, BTreeSet<String>)>,
    /// The memory of the machine, where that matters; every running container uses all that it may.
    pub memory_mib: Option<u64>,
    next_id: u64,
}

impl SimWorld {
    pub(super) fn new() -> Self {
        let start = Timestamp(1_000_000_000_000);
        Self {
            now: start,
            containers: BTreeMap::new(),
            networks: BTreeSet::new(),
            engine_down_until: start,
            engine_lies_until: start,
            ingress_down_until: start,
            table: (0, BTreeSet::new()),
            on_the_way: Vec::new(),
            memory_mib: None,
            next_id: 0,
        }
    }

    pub(super) fn engine_is_up(&self) -> bool {
        self.now >= self.engine_down_until
    }

    /// Time passes: containers live and die, the ingress applies what has arrived, requests come and go.
    pub(super) fn pass_time(&mut self, ms: i64, rng: &mut Rng, faults: bool) {
        self.now = self.now.plus_ms(ms);
        let now = self.now;
        if now >= self.ingress_down_until {
            self.on_the_way.sort_by_key(|(at, generation, _)| (*at, *generation));
            for (at, generation, table) in std::mem::take(&mut self.on_the_way) {
                if at > now {
                    self.on_the_way.push((at, generation, table));
                } else if generation > self.table.0 {
                    self.table = (generation, table);
                }
            }
        }
        let table = self.table.1.clone();
        for (id, c) in &mut self.containers {
            live(c, now);
            if faults {
                suffer(c, now, rng);
            }
            let routed = table.contains(id);
            serve(c, routed, now, rng);
        }
        if faults && rng.per_mille(4) {
            self.engine_down_until = now.plus_ms(rng.between(500, 8_000));
            self.engine_lies_until = self.engine_down_until.plus_ms(rng.between(0, 3_000));
        }
        if faults && rng.per_mille(4) {
            self.ingress_down_until = now.plus_ms(rng.between(100, 5_000));
        }
        if faults && rng.per_mille(2) && !self.containers.is_empty() {
            // Somebody removes a container by hand.
            let index = rng.next() as usize % self.containers.len();
            let id = self.containers.keys().nth(index).cloned().unwrap_or_default();
            self.containers.remove(&id);
        }
    }

    /// What the machine says of itself.
    pub(super) fn figures(&self) -> Option<Figures> {
        let memory_total_mib = self.memory_mib?;
        let runs = |c: &&SimContainer| matches!(c.state, ContainerState::Running { .. });
        let used = 512 * self.containers.values().filter(runs).count() as u64;
        let memory_free_mib = memory_total_mib.saturating_sub(used);
        Some(Figures { memory_total_mib, memory_free_mib, cpu_busy_permille: 100, cpu_millis: 2_000 })
    }

    /// What the engine shows; an error while it is down, a part of the truth just after.
    pub(super) fn observe(&self, rng: &mut Rng) -> Result<(Vec<Observed>, BTreeSet<String>), String> {
        if !self.engine_is_up() {
            return Err("connection refused".to_owned());
        }
        let lies = self.now < self.engine_lies_until;
        let empty = lies && rng.per_mille(500);
        let mut list: Vec<Observed> = self
            .containers
            .iter()
            .filter(|_| !(empty || lies && rng.per_mille(300)))
            .map(|(id, c)| observed(id, c))
            .collect();
        // Engines promise no order.
        for i in (1..list.len()).rev() {
            list.swap(i, rng.next() as usize % (i + 1));
        }
        Ok((list, self.networks.clone()))
    }

    /// Creates and starts; gives what an engine would say.
    pub(super) fn start(
        &mut self,
        key: &InstanceKey,
        owner: &Owner,
        behaviour: Behaviour,
    ) -> Result<(), (bool, String)> {
        match behaviour {
            Behaviour::StartFails => return Err((false, "could not be started: no such file".to_owned())),
            Behaviour::ImageMissing => return Err((true, "could not be started: its image is missing".to_owned())),
            _ => {}
        }
        let now = self.now;
        if let Some(c) = self.containers.values_mut().find(|c| c.key == *key) {
            if !matches!(c.state, ContainerState::Running { .. }) {
                c.state = ContainerState::Running { started_at: now };
            }
            return Ok(());
        }
        self.next_id += 1;
        let container = SimContainer {
            key: key.clone(),
            owner: owner.clone(),
            behaviour,
            state: ContainerState::Running { started_at: now },
            flaps_since: now,
            flaps_until: now,
            stops_at: None,
            in_flight: 0,
            hangs: false,
            left_table_at: None,
            ends: 0,
            answered: (0, 0),
        };
        self.containers.insert(format!("c{:05}", self.next_id), container);
        Ok(())
    }
}

fn observed(id: &str, c: &SimContainer) -> Observed {
    Observed {
        id: id.to_owned(),
        key: c.key.clone(),
        owner: c.owner.clone(),
        role: Role::Instance,
        state: c.state.clone(),
        restarts: 0,
        address: None,
        image: "sha256:1".to_owned(),
        operation: None,
    }
}

fn live(c: &mut SimContainer, now: Timestamp) {
    let ContainerState::Running { started_at } = c.state else { return };
    let end = match c.behaviour {
        Behaviour::ExitsAtOnce { after } => Some((started_at.plus_ms(after), 3, false)),
        Behaviour::OutOfMemory { after } => Some((started_at.plus_ms(after), 137, true)),
        Behaviour::Fragile { dies_after } => Some((started_at.plus_ms(dies_after), 4, false)),
        Behaviour::Completes { after } => Some((started_at.plus_ms(after), 0, false)),
        _ => None,
    };
    let stopped = c.stops_at.map(|at| (at, 143, false));
    if let Some((at, code, oom_killed)) = stopped.or(end)
        && now >= at
    {
        c.ends += u32::from(stopped.is_none());
        c.state = ContainerState::Exited { code, oom_killed, finished_at: at };
        c.stops_at = None;
        c.in_flight = 0;
    }
}

fn suffer(c: &mut SimContainer, now: Timestamp, rng: &mut Rng) {
    if !matches!(c.state, ContainerState::Running { .. }) {
        return;
    }
    if rng.per_mille(3) {
        c.ends += 1;
        c.state = ContainerState::Exited { code: 1, oom_killed: rng.per_mille(200), finished_at: now };
        c.stops_at = None;
        c.in_flight = 0;
    } else if rng.per_mille(3) {
        c.flaps_since = now;
        c.flaps_until = now.plus_ms(rng.between(100, 30_000));
    }
}

fn serve(c: &mut SimContainer, routed: bool, now: Timestamp, rng: &mut Rng) {
    if !matches!(c.state, ContainerState::Running { .. }) {
        return;
    }
    if routed {
        let requests = rng.next() % 40;
        let permille = if let Behaviour::Faulty { permille, .. } = c.behaviour { permille } else { 0 };
        let errors = (0..requests).filter(|_| permille > 0 && rng.per_mille(permille)).count() as u64;
        c.answered = (c.answered.0 + requests, c.answered.1 + errors);
        c.in_flight = rng.next() % 4;
        c.hangs = rng.per_mille(50);
        c.left_table_at = None;
    } else {
        c.left_table_at.get_or_insert(now);
        if !c.hangs {
            c.in_flight = c.in_flight.saturating_sub(rng.next() % 2);
        }
    }
}
