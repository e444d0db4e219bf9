//! The state of a fake engine: containers, networks, images, and what time does to them. Pure; the same calls at the
//! same times always give the same world.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::script::{BuildScript, Call, Fault, Listens, Pull, Script};
use crate::engine::{
    ContainerState, EngineError, ImageFacts, InstanceSpec, LogChunk, Observed, ObservedImage, Owner, Role, VolumeKey,
};
use crate::kernel::clock::Timestamp;

#[derive(Debug, Default)]
pub(super) struct World {
    made: u64,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) networks: BTreeMap<String, Owner>,
    pub(super) volumes: BTreeMap<VolumeKey, Owner>,
    /// Containers in which a command goes on that was not waited for.
    pub(super) hanging: BTreeSet<String>,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) pulls: BTreeMap<String, (Pull, ImageFacts)>,
    /// Scripts by service name, the last one staying; `""` is the default.
    pub(super) scripts: BTreeMap<String, VecDeque<Script>>,
    pub(super) builds: VecDeque<BuildScript>,
    pub(super) faults: BTreeMap<Call, VecDeque<Fault>>,
    pub(super) lasting_faults: BTreeMap<Call, Fault>,
}

#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) spec: InstanceSpec,
    pub(super) script: Script,
    pub(super) state: ContainerState,
    /// When it was started last.
    pub(super) started_at: Timestamp,
    pub(super) restarts: u32,
    pub(super) address: IpAddr,
    pub(super) foreign: bool,
    pub(super) output: Vec<LogChunk>,
    printed: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) facts: ImageFacts,
    pub(super) tags: Vec<String>,
    /// Whether it is of Wharf's making.
    pub(super) own: bool,
    pub(super) owner: Option<Owner>,
    pub(super) created_at: Timestamp,
}

impl World {
    /// Takes the next fault of a call; a queued one goes before a lasting one.
    pub(super) fn fault(&mut self, call: Call) -> Option<Fault> {
        let queued = self.faults.get_mut(&call).and_then(VecDeque::pop_front);
        queued.or_else(|| self.lasting_faults.get(&call).cloned())
    }

    /// Lets the time up to `now` take its effect; tells whether a container ended.
    pub(super) fn settle(&mut self, now: Timestamp) -> bool {
        let mut changed = false;
        for container in self.containers.values_mut() {
            changed |= container.settle(now);
        }
        changed
    }

    /// The script for the next start of this service.
    fn next_script(&mut self, service: &str) -> Script {
        let key = if self.scripts.contains_key(service) { service } else { "" };
        match self.scripts.get_mut(key) {
            Some(queue) if queue.len() > 1 => queue.pop_front().unwrap_or_default(),
            Some(queue) => queue.front().cloned().unwrap_or_default(),
            None => Script::default(),
        }
    }

    fn fresh_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    pub(super) fn fresh_image_id(&mut self) -> String {
        format!("sha256:{:064x}", self.fresh_number())
    }

    /// Creates the container if there is none of this identity; gives its id and whether it was there.
    pub(super) fn create(&mut self, spec: &InstanceSpec) -> Result<(String, bool), EngineError> {
        let same = |c: &Container| {
            !c.foreign && (&c.spec.key, c.spec.role, &c.spec.operation) == (&spec.key, spec.role, &spec.operation)
        };
        if let Some((id, _)) = self.containers.iter().find(|(_, c)| same(c)) {
            return Ok((id.clone(), true));
        }
        if !self.images.contains_key(&spec.image) {
            let reason = "it is not on this machine".to_owned();
            return Err(EngineError::ImageMissing { image: spec.image.clone(), reason });
        }
        Ok((self.add(spec, false), false))
    }

    pub(super) fn add(&mut self, spec: &InstanceSpec, foreign: bool) -> String {
        for mount in &spec.mounts {
            self.volumes.entry(mount.volume.clone()).or_insert_with(|| spec.owner.clone());
        }
        let number = self.fresh_number();
        let [.., high, low] = number.to_be_bytes();
        let id = format!("{number:064x}");
        let container = Container {
            spec: spec.clone(),
            script: Script::default(),
            state: ContainerState::Created,
            started_at: Timestamp::default(),
            restarts: 0,
            // Of the loopback network, so that a test can stand in for what listens there.
            address: Ipv4Addr::new(127, 99, high, low).into(),
            foreign,
            output: Vec::new(),
            printed: 0,
        };
        self.containers.insert(id.clone(), container);
        id
    }

    /// Picks the script for a start that is about to happen; gives how long it takes.
    pub(super) fn prepare_start(&mut self, id: &str) -> Result<i64, EngineError> {
        let service = self.own(id)?.spec.key.service.to_string();
        let script = self.next_script(&service);
        let takes = script.start_takes_ms;
        self.own(id)?.script = script;
        Ok(takes)
    }

    /// Starts it unless it runs.
    pub(super) fn start(&mut self, id: &str, now: Timestamp) -> Result<(), EngineError> {
        let network = self.own(id)?.spec.network.clone();
        if !self.networks.contains_key(&network) {
            return Err(EngineError::StartFailed(format!("network {network} not found")));
        }
        let container = self.own(id)?;
        if let Some(words) = &container.script.start_fails {
            return Err(EngineError::StartFailed(words.clone()));
        }
        container.started_at = now;
        container.printed = 0;
        container.state = ContainerState::Running { started_at: now };
        Ok(())
    }

    /// The container, when it is of this installation.
    pub(super) fn own(&mut self, id: &str) -> Result<&mut Container, EngineError> {
        match self.containers.get_mut(id) {
            None => Err(EngineError::NotFound(format!("the container {id}"))),
            Some(c) if c.foreign => Err(EngineError::Refused(format!("the container {id} is not one of this Wharf's"))),
            Some(c) => Ok(c),
        }
    }

    pub(super) fn observed(&self) -> Vec<Observed> {
        let mut seen: Vec<_> =
            self.containers.iter().filter(|(_, c)| !c.foreign).map(|(id, c)| c.observed(id)).collect();
        seen.sort_by(|a, b| (&a.key, a.role, &a.id).cmp(&(&b.key, b.role, &b.id)));
        seen
    }

    pub(super) fn network_in_use(&self, name: &str) -> bool {
        let running = |c: &Container| matches!(c.state, ContainerState::Running { .. });
        self.containers.values().any(|c| c.spec.network == name && running(c))
    }

    /// An image by content id or by name.
    pub(super) fn image(&self, name: &str) -> Option<&Image> {
        let full = if name.contains(':') { name.to_owned() } else { format!("{name}:latest") };
        self.images.get(name).or_else(|| self.images.values().find(|i| i.tags.contains(&full)))
    }

    pub(super) fn observed_images(&self) -> Vec<ObservedImage> {
        let own = self.images.values().filter(|image| image.own);
        own.map(|image| ObservedImage {
            id: image.facts.id.clone(),
            tags: image.tags.clone(),
            environment: image.owner.as_ref().map(|o| o.environment.clone()),
            created_at: image.created_at,
            size_bytes: 1,
        })
        .collect()
    }

    /// Adds an image under a name, which another image may lose by it.
    pub(super) fn add_image(&mut self, tag: &str, image: Image) {
        for other in self.images.values_mut() {
            other.tags.retain(|t| t != tag);
        }
        self.images.insert(image.facts.id.clone(), image);
    }
}

impl Container {
    fn settle(&mut self, now: Timestamp) -> bool {
        let ContainerState::Running { started_at } = self.state else { return false };
        let end = self.script.ends.map(|end| (started_at.plus_ms(end.after_ms), end)).filter(|(at, _)| *at <= now);
        self.print(end.map_or(now, |(at, _)| at));
        let Some((finished_at, end)) = end else { return false };
        self.state = ContainerState::Exited { code: end.code, oom_killed: end.oom_killed, finished_at };
        true
    }

    /// Moves what is due by `now` to the log.
    fn print(&mut self, now: Timestamp) {
        while let Some(print) = self.script.prints.get(self.printed) {
            let at = self.started_at.plus_ms(print.after_ms);
            if at > now {
                return;
            }
            self.output.push(LogChunk { at, stream: print.stream, line: print.line.clone() });
            self.printed += 1;
        }
    }

    /// Ends it from outside.
    pub(super) fn end(&mut self, code: i64, now: Timestamp) {
        if matches!(self.state, ContainerState::Running { .. }) {
            self.state = ContainerState::Exited { code, oom_killed: false, finished_at: now };
        }
    }

    pub(super) fn exit_code(&self) -> Option<i64> {
        match self.state {
            ContainerState::Exited { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Where it listens at this moment; nothing when it does not run.
    pub(super) fn listening(&self, now: Timestamp) -> Vec<SocketAddr> {
        if !matches!(self.state, ContainerState::Running { .. }) {
            return Vec::new();
        }
        let (after_ms, address) = match self.script.listens {
            Listens::Never => return Vec::new(),
            Listens::At { after_ms, address } => (after_ms, address),
            Listens::OnPort { after_ms } => {
                let port = self.spec.environment.get("PORT").and_then(|p| p.parse().ok()).unwrap_or(8080);
                (after_ms, SocketAddr::from(([0, 0, 0, 0], port)))
            }
        };
        if self.started_at.plus_ms(after_ms) <= now { vec![address] } else { Vec::new() }
    }

    fn observed(&self, id: &str) -> Observed {
        let state = match self.state {
            ContainerState::Exited { .. } if self.script.lies => {
                ContainerState::Running { started_at: self.started_at }
            }
            ref state => state.clone(),
        };
        let running = matches!(state, ContainerState::Running { .. });
        Observed {
            id: id.to_owned(),
            key: self.spec.key.clone(),
            owner: self.spec.owner.clone(),
            role: self.spec.role,
            state,
            restarts: self.restarts,
            address: running.then_some(self.address),
            image: self.spec.image.clone(),
            operation: self.spec.operation.clone(),
        }
    }

    /// A task that has ended is not run again.
    pub(super) fn is_done(&self) -> bool {
        self.spec.role == Role::Task && self.exit_code().is_some()
    }
}
