//! Which instances of which release shall be there now, and which of them take requests: each service is divided
//! between the release that serves, the one that takes over, and the one kept warm, by the strategy it names.
//!
//! The division is a function of what is wanted and what is there, never of what was decided before: it can be made
//! anew after a crash, and goes back by itself when the new instances get worse.

use std::collections::{BTreeMap, BTreeSet};

use super::canary;
use super::course::{Course, course};
use super::rolling;
use super::scene::{Condition, Scene, Seat};
use crate::engine::ContainerState;
use crate::kernel::name::ServiceName;
use crate::scheduler::model::{DesiredEnvironment, Release, Share, Target, Version};
use crate::scheduler::policy::planted;
use crate::stack::graph;
use crate::stack::model::JobStart;
use crate::stack::{Service, ServiceKind};

/// Whose a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Serving,
    Target,
    Warm,
}

/// The slots that shall be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keep {
    /// All that are wanted.
    All,
    /// These only.
    Some(BTreeSet<u32>),
}

/// What of one service of one release shall be there.
pub(super) struct Line<'a> {
    pub part: Part,
    pub release: &'a Release,
    pub name: &'a ServiceName,
    pub service: &'a Service,
    /// Instances wanted when nothing is on its way.
    pub replicas: u32,
    pub keep: Keep,
    /// Its healthy instances take requests.
    pub join: bool,
    /// All of them together take this share, in per cent; `None` for as much as any other instance each.
    pub share: Option<u8>,
}

impl Line<'_> {
    pub(super) fn keeps(&self, slot: u32) -> bool {
        match &self.keep {
            Keep::All => (1..=self.replicas).contains(&slot),
            Keep::Some(slots) => slots.contains(&slot),
        }
    }

    pub(super) fn slots(&self) -> Vec<u32> {
        match &self.keep {
            Keep::All => (1..=self.replicas).collect(),
            Keep::Some(slots) => slots.iter().copied().collect(),
        }
    }

    pub(super) fn version(&self) -> Version {
        self.release.version_of(self.name)
    }
}

/// All lines of an environment, with the place of each.
#[derive(Default)]
pub(super) struct Division<'a> {
    pub lines: Vec<Line<'a>>,
    places: BTreeMap<(&'a ServiceName, Version), usize>,
}

impl<'a> Division<'a> {
    /// What shall be there now in an environment that shall run.
    pub(super) fn of(scene: &Scene<'a>, desired: &'a DesiredEnvironment) -> Self {
        let mut division = Self::default();
        let target = desired.target.as_ref();
        if let Some(serving) = &desired.serving {
            for (name, service) in standing(serving) {
                let replicas = desired.replicas(name, service);
                let mut line = whole(Part::Serving, serving, name, service, replicas);
                if let Some(target) = target {
                    divide_old(scene, desired, serving, target, &mut line);
                }
                division.push(line);
            }
        }
        if let Some(target) = target {
            for (name, service) in &target.release.stack.services {
                // What has not changed goes on as it is, as the line of what serves.
                if division.line(name, target.release.version_of(name)).is_none() {
                    let replicas = match service.kind.is_standing() {
                        true => desired.replicas(name, service),
                        false if runs_once(desired, target, service) => 1,
                        false => continue,
                    };
                    let mut line = whole(Part::Target, &target.release, name, service, replicas);
                    line.join = false;
                    divide_new(scene, desired, target, &mut line);
                    division.push(line);
                }
            }
        }
        if let Some(warm) = desired.warm.as_ref().filter(|w| scene.now < w.until) {
            for (name, service) in standing(&warm.release).filter(|(_, s)| s.may_overlap()) {
                if division.line(name, warm.release.version_of(name)).is_none() {
                    let runs = |s: &&Seat<'_>| matches!(s.state, ContainerState::Running { .. });
                    let seats = scene.set(&warm.release, name).iter().filter(runs);
                    let keep = Keep::Some(seats.map(|s| s.key.slot).collect());
                    let replicas = desired.replicas(name, service);
                    let line = whole(Part::Warm, &warm.release, name, service, replicas);
                    division.push(Line { keep, join: false, ..line });
                }
            }
        }
        division
    }

    /// What part of the traffic of a service goes to its new version.
    pub(super) fn shares(&self) -> impl Iterator<Item = (ServiceName, Share)> {
        self.lines.iter().filter_map(|line| {
            let targeting = line.service.rollout.targeting.clone();
            Some((line.name.clone(), Share { version: line.version(), percent: line.share?, targeting }))
        })
    }

    fn push(&mut self, line: Line<'a>) {
        self.places.insert((line.name, line.version()), self.lines.len());
        self.lines.push(line);
    }

    /// The line of a service of a version, when something of it shall be there.
    pub(super) fn line(&self, name: &ServiceName, version: Version) -> Option<&Line<'a>> {
        self.places.get(&(name, version)).map(|place| &self.lines[*place])
    }
}

fn whole<'a>(part: Part, release: &'a Release, name: &'a ServiceName, service: &'a Service, replicas: u32) -> Line<'a> {
    Line { part, release, name, service, replicas, keep: Keep::All, join: true, share: None }
}

fn standing(release: &Release) -> impl Iterator<Item = (&ServiceName, &Service)> {
    release.stack.services.iter().filter(|(_, s)| s.kind.is_standing())
}

/// Whether a job runs on the way of this target: each new revision runs its jobs once, an older one does not again.
fn runs_once(desired: &DesiredEnvironment, target: &Target, service: &Service) -> bool {
    let newer = desired.serving.as_ref().is_none_or(|r| r.version.revision < target.release.version.revision);
    let asked = service.job.as_ref().is_some_and(|job| job.start == JobStart::Release);
    service.kind == ServiceKind::Job && asked && newer && !target.progress.at_once
}

/// What is left of a serving service while its next version takes over.
fn divide_old<'a>(
    scene: &Scene<'a>,
    desired: &'a DesiredEnvironment,
    serving: &'a Release,
    target: &'a Target,
    line: &mut Line<'a>,
) {
    let Some(new) = target.release.stack.services.get(line.name) else { return };
    if target.release.version_of(line.name) == serving.version_of(line.name) {
        return;
    }
    match course(line.service, new, &target.progress) {
        Course::AtOnce | Course::Canary(_) => {
            if planted!(scene.policy, RetireServingEarly) {
                line.keep = Keep::Some(BTreeSet::new());
            }
        }
        Course::Alone => {
            if hands_over(scene, desired, target, line.name) {
                line.keep = Keep::Some(BTreeSet::new());
                line.join = false;
            }
        }
        Course::Rolling(pace) => {
            let sides = rolling::Sides::of(scene, desired, serving, target, line.name);
            line.keep = sides.keep_old(&pace, scene, target);
        }
    }
}

/// What of a service of the target shall be there by now.
fn divide_new<'a>(scene: &Scene<'a>, desired: &'a DesiredEnvironment, target: &'a Target, line: &mut Line<'a>) {
    let serving = desired.serving.as_ref();
    let old = serving.and_then(|r| r.stack.services.get(line.name));
    let (Some(serving), Some(old)) = (serving, old) else {
        return;
    };
    match course(old, line.service, &target.progress) {
        Course::AtOnce => {}
        Course::Alone => {
            // It has the traffic as soon as it is healthy: nobody else can have it.
            line.join = true;
            if !hands_over(scene, desired, target, line.name) {
                line.keep = Keep::Some(BTreeSet::new());
            }
        }
        Course::Rolling(pace) => {
            let sides = rolling::Sides::of(scene, desired, serving, target, line.name);
            line.keep = sides.keep_new(&pace, scene, target);
            line.join = true;
        }
        Course::Canary(rollout) => {
            let set = scene.set(&target.release, line.name);
            line.keep = canary::keep(scene, target, rollout, line.name, line.replicas, set);
            line.share = canary::share(target, rollout, line.name);
            line.join = line.share.is_some();
        }
    }
}

/// Whether a service that runs alone is in the hands of the target: everything that does not need it has passed, so that
/// the time without it is as short as can be; and once the new one was made, it stays so.
fn hands_over(scene: &Scene<'_>, desired: &DesiredEnvironment, target: &Target, name: &ServiceName) -> bool {
    if target.progress.withdrawn.is_some() {
        return false;
    }
    let release = &target.release;
    if !scene.set(release, name).is_empty() || planted!(scene.policy, TwoWriters) {
        return true;
    }
    if target.progress.paused.is_some() {
        return false;
    }
    let needing = graph::dependents(&release.stack, name);
    release.stack.services.iter().all(|(other, service)| {
        let waits_too = desired
            .serving
            .as_ref()
            .and_then(|r| r.stack.services.get(other))
            .is_some_and(|old| matches!(course(old, service, &target.progress), Course::Alone));
        let needed = graph::dependents(&release.stack, other).contains(name);
        let excused = !service.kind.is_standing() || (waits_too && !needed);
        excused || other == name || needing.contains(other) || is_up(scene, desired, target, other, service)
    })
}

/// Whether a service of the target has come as far as it can before the traffic is given to it.
fn is_up(
    scene: &Scene<'_>,
    desired: &DesiredEnvironment,
    target: &Target,
    name: &ServiceName,
    service: &Service,
) -> bool {
    let set = scene.set(&target.release, name);
    let changed = desired.serving.as_ref().and_then(|r| r.stack.services.get(name));
    let needed = match changed.map(|old| course(old, service, &target.progress)) {
        // A canary stands at its first step as long as a service that it does not need waits.
        Some(Course::Canary(rollout)) => canary::needed(rollout, 0, desired.replicas(name, service)),
        _ => desired.replicas(name, service),
    };
    (1..=needed).all(|slot| matches!(scene.condition(set, slot, service), Condition::Healthy { .. }))
}

/// Whether requests or connections reach a service through the ingress.
pub(super) fn is_routed(service: &Service) -> bool {
    service.kind == ServiceKind::Web || !service.exposures.is_empty()
}
