//! Tells the ingress the newest complete route table, until it uses it; and asks what requests are under way.
//! The newest table stands for all before it, so a table that was overtaken is not sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::handle::{Scheduler, lock};
use super::https;
use super::plan::analysis::{Latencies, Tally};
use crate::certificates::model::Serving;
use crate::ingress;
use crate::ingress::snapshot::{Listener, Route, Settings, Snapshot, VERSION};
use crate::ingress::status::Beat;
use crate::kernel::error::chain;

/// Pause before a table the ingress did not take is sent again.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// Status is asked so often while a table waits to be acknowledged or requests are being finished.
const LOOK_WHILE_DRAINING: Duration = Duration::from_millis(100);
/// The same when nothing is going on: an ingress that started anew must get the table.
const LOOK_IN_PEACE: Duration = Duration::from_secs(2);
/// One question to the ingress may take so long.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// What the ingress says: which table it uses (boot and generation), and requests under way by upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub boot: String,
    pub generation: u64,
    pub in_flight: BTreeMap<String, u64>,
    /// What was counted of each upstream since the ingress started, when that was asked.
    pub counted: Option<BTreeMap<String, Tally>>,
}

/// The way to the ingress; a trait so that tests can stand in for the process.
pub(super) trait SnapshotPort: Send + Sync {
    /// Hands a table over; returns when it is in use. The error is for people.
    fn put<'a>(&'a self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>>;
    /// Asks what is in use, and what was counted if that is wanted: it costs a look at every upstream.
    fn said(&self, counts: bool) -> BoxFuture<'_, Result<Said, String>>;
}

/// The ingress process, over its control socket.
pub(super) struct IngressPort {
    pub client: ingress::Client,
}

impl SnapshotPort for IngressPort {
    fn put<'a>(&'a self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.client.put_snapshot(snapshot).await.map(drop).map_err(|e| chain(&e)) })
    }

    fn said(&self, counts: bool) -> BoxFuture<'_, Result<Said, String>> {
        Box::pin(async move {
            let pulse = self.client.pulse(counts).await.map_err(|e| chain(&e))?;
            let mut in_flight = BTreeMap::new();
            for beat in pulse.upstreams.iter().filter(|u| u.in_flight > 0) {
                *in_flight.entry(beat.id.clone()).or_default() += u64::from(beat.in_flight);
            }
            let counted = counts.then(|| {
                let mut counted: BTreeMap<String, Tally> = BTreeMap::new();
                for beat in &pulse.upstreams {
                    counted.entry(beat.id.clone()).or_default().add(&tally(beat));
                }
                counted
            });
            Ok(Said { counted, boot: pulse.boot, generation: pulse.generation, in_flight })
        })
    }
}

/// The figures of one upstream, as a canary is judged by them.
fn tally(beat: &Beat) -> Tally {
    Tally { requests: beat.requests, errors: beat.errors, latency: Latencies(beat.latency.bounds()) }
}

/// The table that shall be in use.
pub(super) struct Publication {
    pub(super) newest: watch::Sender<Option<Arc<Snapshot>>>,
    /// What the newest table is made of.
    pub(super) content: Mutex<Content>,
    /// The newest generation of this boot the ingress was seen to use.
    pub(super) used: watch::Sender<u64>,
}

/// The two halves of a table: routes by the last pass, and what is served over HTTPS. Neither is known at first.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) routes: Option<Routes>,
    pub(super) https: Option<Arc<Serving>>,
}

/// Routes and the containers in them. `suspect` ones come from a view that is unsure.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Routes {
    pub(super) routes: Vec<Route>,
    pub(super) listeners: Vec<Listener>,
    pub(super) containers: BTreeSet<String>,
    /// Settings of the whole data plane.
    pub(super) settings: Settings,
    pub(super) suspect: bool,
}

impl Default for Publication {
    fn default() -> Self {
        Self { newest: watch::Sender::new(None), content: Mutex::default(), used: watch::Sender::new(0) }
    }
}

impl Scheduler {
    /// The newest table, whether the ingress uses it yet or not.
    #[must_use]
    pub fn newest_table(&self) -> Option<Arc<Snapshot>> {
        self.inner.publication.newest.borrow().clone()
    }

    /// The number of the newest table made by this run of the control plane; 0 before the first.
    #[must_use]
    pub fn table_generation(&self) -> u64 {
        self.inner.publication.newest.borrow().as_ref().map_or(0, |s| s.generation)
    }

    /// Makes these routes, ports and settings the newest table, unless they are already.
    pub(super) fn publish(
        &self,
        routes: Vec<Route>,
        listeners: Vec<Listener>,
        containers: &BTreeSet<String>,
        settings: Settings,
    ) {
        let mut content = lock(&self.inner.publication.content);
        let new = Some(Routes { routes, listeners, containers: containers.clone(), settings, suspect: false });
        if content.routes != new {
            content.routes = new;
            self.make_table(&content);
        }
    }

    /// Makes a table of this content the newest one, unless it is already; gives its generation, or that of the first
    /// one while a half of it is not known yet: a table without certificates would close the door of a running ingress.
    pub(super) fn make_table(&self, content: &Content) -> u64 {
        let newest = &self.inner.publication.newest;
        let before = newest.borrow().clone();
        let Some(Routes { routes, listeners, containers, settings, suspect }) = &content.routes else { return 1 };
        let nothing = Arc::default();
        let https = match (&content.https, self.inner.parts.https_port) {
            (Some(https), _) => https,
            (None, None) => &nothing,
            (None, Some(_)) => return 1,
        };
        let boot = self.inner.boot.clone();
        let generation = before.as_ref().map_or(1, |s| s.generation);
        let mut table = Snapshot {
            version: VERSION,
            boot,
            generation,
            suspect: *suspect,
            settings: settings.clone(),
            routes: routes.clone(),
            listeners: listeners.clone(),
            ..Snapshot::default()
        };
        https::apply(&mut table, https, self.inner.parts.https_port);
        if before.as_deref() == Some(&table) {
            return generation;
        }
        table.generation = before.map_or(1, |s| s.generation + 1);
        let generation = table.generation;
        // What is in a suspect table says nothing of where requests go: the ingress may keep old upstreams.
        if !*suspect {
            lock(&self.inner.memory).table_sent(generation, containers.clone());
        }
        newest.send_replace(Some(Arc::new(table)));
        generation
    }

    /// Runs for ever.
    pub(super) async fn keep_published(&self) {
        let mut newest = self.inner.publication.newest.subscribe();
        let mut last_error: Option<String> = None;
        loop {
            let wanted = newest.borrow_and_update().clone();
            let error = self.publish_once(wanted.as_deref()).await.err();
            if error != last_error {
                match &error {
                    Some(reason) => tracing::warn!(reason, "the ingress does not take the routes; trying on"),
                    None => tracing::info!("the ingress has the newest routes"),
                }
                last_error.clone_from(&error);
            }
            let pause = match (&error, self.is_settled()) {
                (Some(_), _) => TRY_AGAIN,
                (None, false) => LOOK_WHILE_DRAINING,
                (None, true) => LOOK_IN_PEACE,
            };
            tokio::select! {
                _ = newest.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look: what it uses, and the newest table if that is another one.
    async fn publish_once(&self, wanted: Option<&Snapshot>) -> Result<(), String> {
        let port = &self.inner.port;
        let counts = lock(&self.inner.memory).wants_counts();
        let mut said = self.hear(bounded(port.said(counts)).await?);
        if let Some(wanted) = wanted
            && (said.boot != wanted.boot || said.generation < wanted.generation)
        {
            bounded(port.put(wanted)).await?;
            said = self.hear(bounded(port.said(counts)).await?);
            let used = said.boot == wanted.boot && said.generation >= wanted.generation;
            if !used {
                return Err("it took the newest routes and does not use them".to_owned());
            }
        }
        Ok(())
    }

    /// Takes in what it said; wakes the planner when that lets something go on.
    fn hear(&self, said: Said) -> Said {
        let now = self.inner.parts.clock.now();
        let generation = (said.boot == self.inner.boot).then_some(said.generation);
        if let Some(generation) = generation {
            self.inner.publication.used.send_if_modified(|used| std::mem::replace(used, generation) != generation);
        }
        let news = {
            let mut memory = lock(&self.inner.memory);
            memory.ingress_counted(said.counted.clone());
            memory.ingress_said(generation, said.in_flight.clone(), now)
        };
        if news {
            self.nudge();
        }
        said
    }
}

async fn bounded<T>(call: BoxFuture<'_, Result<T, String>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_DEADLINE, call).await {
        Ok(result) => result,
        Err(_) => Err(format!("it does not answer within {} s", ANSWER_DEADLINE.as_secs())),
    }
}
