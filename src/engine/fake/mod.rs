//! An engine in memory that does what it is told: for tests and simulations of everything above the engine.
//!
//! Invariants: it moves only with its [`Clock`] and holds the contract of [`Engine`] exactly (the conformance suite runs
//! on it), except where a script or a fault says otherwise. Nothing in it is random; ids count up.
//!
//! [`FakeEngine::script`] says how the containers of a service behave, [`FakeEngine::fail_next`] and
//! [`FakeEngine::fail_always`] how the engine itself misbehaves. To add one more kind of misbehaviour, add a variant
//! to [`Fault`] and honour it in `FakeEngine::enter`.

mod calls;
mod contract;
mod data;
mod script;
mod world;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

pub use script::{BuildScript, Call, End, Fault, Listens, Print, Pull, Script};
use world::{Image, World};

use super::{EngineError, ImageFacts, InstanceSpec};
use crate::kernel::clock::{Clock, Timestamp};

/// How often a waiting call looks at the clock, in real time (or tokio's paused time).
const LOOK: Duration = Duration::from_millis(1);
/// Hints kept for a slow listener; more would say nothing new.
const HINTS_WAITING: usize = 64;

/// The engine in memory. Clones share one world.
#[derive(Debug, Clone)]
pub struct FakeEngine {
    clock: Clock,
    world: Arc<Mutex<World>>,
    hints: broadcast::Sender<()>,
}

impl FakeEngine {
    /// An empty engine that lives by this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, world: Arc::default(), hints: broadcast::channel(HINTS_WAITING).0 }
    }

    /// Says how the next containers of a service behave, one after the other; the last script stays.
    /// The service `""` stands for all that have no script of their own.
    pub fn script(&self, service: &str, scripts: impl IntoIterator<Item = Script>) {
        self.world().scripts.insert(service.to_owned(), scripts.into_iter().collect());
    }

    /// Puts a fault on the next call of this kind; several queue up.
    pub fn fail_next(&self, call: Call, fault: Fault) {
        self.world().faults.entry(call).or_default().push_back(fault);
    }

    /// Puts a fault on all calls of this kind until [`FakeEngine::heal`].
    pub fn fail_always(&self, call: Call, fault: Fault) {
        self.world().lasting_faults.insert(call, fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        let mut world = self.world();
        world.faults.clear();
        world.lasting_faults.clear();
    }

    /// Says how the next builds go, one after the other; without a script a build succeeds at once.
    pub fn script_builds(&self, builds: impl IntoIterator<Item = BuildScript>) {
        self.world().builds.extend(builds);
    }

    /// Puts an image on the machine; gives its content id.
    pub fn add_image(&self, tag: &str, mut facts: ImageFacts) -> String {
        let now = self.clock.now();
        let mut world = self.world();
        let id = world.fresh_image_id();
        facts.id.clone_from(&id);
        world.add_image(tag, Image { facts, tags: vec![tag.to_owned()], own: false, owner: None, created_at: now });
        id
    }

    /// Puts an image into the registry, to be pulled.
    pub fn add_remote_image(&self, tag: &str, mut facts: ImageFacts, pull: Pull) {
        let mut world = self.world();
        facts.id = world.fresh_image_id();
        world.pulls.insert(tag.to_owned(), (pull, facts));
    }

    /// Ends a container from outside, as a crash would.
    pub fn crash(&self, id: &str, code: i64) {
        let now = self.clock.now();
        if let Ok(container) = self.world().own(id) {
            container.end(code, now);
        }
        self.hint();
    }

    /// Removes a container behind the platform's back.
    pub fn vanish(&self, id: &str) {
        self.world().containers.remove(id);
        self.hint();
    }

    /// Adds a container of somebody else; gives its id.
    pub fn add_foreign(&self, spec: &InstanceSpec) -> String {
        self.world().add(spec, true)
    }

    /// How many containers of this installation there are, running or not, whatever faults are on.
    #[must_use]
    pub fn count(&self) -> usize {
        self.world().containers.values().filter(|c| !c.foreign).count()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world as it is at this moment.
    fn present(&self) -> (MutexGuard<'_, World>, Timestamp) {
        let now = self.clock.now();
        let mut world = self.world();
        if world.settle(now) {
            self.hint();
        }
        (world, now)
    }

    fn hint(&self) {
        // No listener is no error.
        let _ = self.hints.send(());
    }

    async fn until(&self, moment: Timestamp) {
        while self.clock.now() < moment {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The beginning of every call: takes the fault that is on it.
    async fn enter(&self, call: Call) -> Result<Entered, EngineError> {
        let fault = self.world().fault(call);
        match fault {
            None => Ok(Entered::Plain),
            Some(Fault::Unreachable) => Err(unreachable()),
            Some(Fault::Refused(words)) => Err(EngineError::Refused(words)),
            Some(Fault::AnswerLost) => Ok(Entered::AnswerLost),
            Some(Fault::Empty) => Ok(Entered::Empty),
            Some(Fault::Slow { ms }) => {
                self.until(self.clock.now().plus_ms(ms)).await;
                Ok(Entered::Plain)
            }
        }
    }
}

fn unreachable() -> EngineError {
    EngineError::Unreachable("the fake engine is told not to answer".to_owned())
}

/// How a call that was let in must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entered {
    Plain,
    AnswerLost,
    Empty,
}

impl Entered {
    /// Loses the answer when that is the fault.
    fn leave<T>(self, value: T) -> Result<T, EngineError> {
        if self == Self::AnswerLost { Err(unreachable()) } else { Ok(value) }
    }

    /// The same for a list, which may also come back empty.
    fn leave_list<T>(self, list: Vec<T>) -> Result<Vec<T>, EngineError> {
        if self == Self::Empty { Ok(Vec::new()) } else { self.leave(list) }
    }
}
