//! The reconcile task: observe → plan → lint → execute → publish. Level-triggered: a pass takes no arguments, looks at
//! everything, and may run at any time; a nudge only makes it come sooner.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::desired::{Reader, Wish};
use super::gateway;
use super::handle::{Scheduler, lock};
use super::lint::{Finding, lint};
use super::listeners::listeners;
use super::model::{EngineView, Plan, World};
use super::plan::plan;
use super::pressure::relieve;
use super::report::Report;
use super::routes::routes;
use crate::engine::{EngineError, LogQuery, Observed, OutputStream};
use crate::kernel::error::chain;
use crate::store::StoreError;

/// Pause between passes while something is waited for; what is waited for usually nudges earlier.
const PACE: Duration = Duration::from_millis(500);
/// The same when everything is as wanted. The engine's hints and every change of what is wanted nudge, so this is only the
/// net below them.
const CALM: Duration = Duration::from_secs(10);
/// Nudges within this time make one pass.
const GATHER: Duration = Duration::from_millis(15);
/// Looking at the engine may take so long.
const OBSERVE_DEADLINE: Duration = Duration::from_secs(20);
/// A whole pass may take so long; what it began in the background is not part of it.
const PASS_DEADLINE: Duration = Duration::from_secs(60);
/// Reading the last line of a container that ended may take so long.
const LAST_WORDS_DEADLINE: Duration = Duration::from_millis(700);
/// Containers whose last lines are read in one pass.
const LAST_WORDS_AT_ONCE: usize = 16;
/// Pause before the engine's hints are listened to again after they broke off.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

impl Scheduler {
    /// Runs until told to stop. What runs goes on running.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            tokio::join!(self.reconcile(), self.keep_probing(), self.keep_published(), self.listen(), self.keep_tidy());
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    async fn reconcile(&self) {
        let mut reader = Reader::default();
        loop {
            if tokio::time::timeout(PASS_DEADLINE, self.pass(&mut reader)).await.is_err() {
                tracing::error!(seconds = PASS_DEADLINE.as_secs(), "a reconcile pass took too long and was cut off");
            }
            let pause = if self.is_settled() { CALM } else { PACE };
            tokio::select! {
                () = self.woken() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One pass. The engine is looked at before what is wanted is read: whatever was made for a wish is then
    /// seen together with that wish or a later one.
    pub(super) async fn pass(&self, reader: &mut Reader) {
        let observation = self.observe().await;
        let parts = &self.inner.parts;
        let wish = match reader.read(&parts.store, parts.operations.running_ids()).await {
            Ok(wish) => self.relieved(wish),
            Err(error) => return self.give_up_pass(&error),
        };
        *lock(&self.inner.wish) = Arc::clone(&wish);
        self.take_in(&wish, observation);
        self.inner.probe_wake.notify_one();
        self.hear_last_words().await;
        let now = parts.clock.now();
        let (world, may_publish) = {
            let memory = lock(&self.inner.memory);
            (memory.world(), memory.may_publish(&wish.desired, now))
        };
        let mut made = plan(&wish.desired, &world, &self.inner.policy, now);
        let findings = lint(&made, &wish.desired, &world, now);
        let sound = drop_unsound(&mut made, findings);
        if sound && may_publish {
            self.publish_routes(&wish, &world, &made);
        }
        self.execute(std::mem::take(&mut made.actions), &wish).await;
        self.show(made.report);
    }

    /// What is wanted without what has to yield, while the machine is short of something.
    fn relieved(&self, wish: Arc<Wish>) -> Arc<Wish> {
        let (now, policy) = (self.inner.parts.clock.now(), &self.inner.policy);
        let mut pressure = lock(&self.inner.pressure);
        if let Some(figures) = lock(&self.inner.node).look() {
            pressure.note(figures, policy, now);
        }
        if pressure.is_over() {
            return wish;
        }
        let mut less = Wish::clone(&wish);
        relieve(&mut less.desired, &pressure, policy);
        Arc::new(less)
    }

    fn give_up_pass(&self, error: &StoreError) {
        let reason = format!("the database cannot be read: {}", chain(error));
        tracing::error!(reason, "nothing is planned");
        self.show(Report { blind: Some(reason), ..Report::default() });
    }

    async fn observe(&self) -> Result<(Vec<Observed>, BTreeSet<String>), EngineError> {
        let engine = &self.inner.parts.engine;
        let look = async { tokio::try_join!(engine.observe(), engine.networks()) };
        match tokio::time::timeout(OBSERVE_DEADLINE, look).await {
            Ok(seen) => seen.map(|(containers, networks)| (containers, networks.into_iter().collect())),
            Err(_) => {
                let seconds = OBSERVE_DEADLINE.as_secs();
                Err(EngineError::TimedOut { what: "looking at the container engine".to_owned(), seconds })
            }
        }
    }

    fn take_in(&self, wish: &Wish, observation: Result<(Vec<Observed>, BTreeSet<String>), EngineError>) {
        let now = self.inner.parts.clock.now();
        let mut memory = lock(&self.inner.memory);
        match observation {
            Ok((containers, networks)) => {
                memory.engine_seen(&wish.desired, &self.inner.policy, containers, networks, now);
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(reason, "the container engine cannot be looked at; everything stays as it is");
                memory.engine_lost(reason, now);
            }
        }
    }

    /// Reads the last line of containers that have ended, before anybody judges their end.
    async fn hear_last_words(&self) {
        let mut ended = lock(&self.inner.memory).silent_ends();
        ended.truncate(LAST_WORDS_AT_ONCE);
        let heard = ended.into_iter().map(|id| async move {
            let line = tokio::time::timeout(LAST_WORDS_DEADLINE, self.last_line(&id)).await.ok().flatten();
            (id, line.unwrap_or_default())
        });
        for (id, line) in futures_util::future::join_all(heard).await {
            lock(&self.inner.memory).last_words(&id, line);
        }
    }

    /// The last line a container printed: a complaint, if there is one.
    pub(super) async fn last_line(&self, id: &str) -> Option<String> {
        let query = LogQuery { tail: Some(10), ..LogQuery::default() };
        let mut lines = self.inner.parts.engine.logs(id, query).await.ok()?;
        // Programs complain on stderr; what they print on stdout is often flushed last and says little.
        let (mut printed, mut complained) = (None, None);
        while let Some(Ok(chunk)) = lines.next().await {
            let last = if chunk.stream == OutputStream::Stderr { &mut complained } else { &mut printed };
            if !chunk.line.trim().is_empty() {
                *last = Some(chunk.line);
            }
        }
        let plain = console::strip_ansi_codes(complained.or(printed).as_deref()?).trim().to_owned();
        Some(plain.chars().filter(|c| !c.is_control()).take(300).collect())
    }

    fn publish_routes(&self, wish: &Wish, world: &World, made: &Plan) {
        let (EngineView::Seen { containers, .. }, Some(joined)) = (&world.engine, &made.joined) else { return };
        let mut table = routes(std::slice::from_ref(&self.inner.parts.portal), wish, containers, joined, &made.shares);
        gateway::apply(&mut table, wish);
        let ports = listeners(wish, containers, joined);
        self.publish(table, ports, joined, gateway::plane(&wish.gateway.platform));
    }

    /// The engine's hints that something has changed become nudges.
    async fn listen(&self) {
        loop {
            match self.inner.parts.engine.changes().await {
                Ok(mut changes) => {
                    while let Some(Ok(())) = changes.next().await {
                        self.nudge();
                    }
                }
                Err(error) => tracing::debug!(error = chain(&error), "the engine's events cannot be heard"),
            }
            // It broke off: the engine may have gone, and passes find that out.
            self.nudge();
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }
}

/// Takes the actions of environments with findings out of a plan; false when its routes must not be used either.
fn drop_unsound(made: &mut Plan, findings: Vec<Finding>) -> bool {
    let mut sound = true;
    for Finding { environment, text } in findings {
        tracing::error!(?environment, text, "the plan breaks a rule and is not carried out");
        match environment {
            Some(id) => made.actions.retain(|a| a.environment() != Some(&id)),
            None => made.actions.clear(),
        }
        sound = false;
    }
    sound
}
