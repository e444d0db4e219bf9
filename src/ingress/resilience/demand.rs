//! The waiting room: requests for a route that has no upstream wait here, and the control plane is told which routes
//! are wanted.
//!
//! The control plane asks `GET /v1/demand?after=N&wait_ms=M`: the answer comes as soon as there is news after number N, or
//! after M milliseconds. Each route in it has requests waiting, or had some refused because the room was full. When the
//! control plane has started an instance it sends a new snapshot, as always; that lets the waiting requests go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ingress::reports::Demand;

/// A route whose room was full, or has none, is named for so long after the last request.
const REMEMBER_MS: i64 = 30_000;

/// Requests waiting, of the whole process.
#[derive(Debug)]
pub(crate) struct Rooms {
    state: Mutex<BTreeMap<String, Demand>>,
    /// Grows with each change worth telling.
    news: watch::Sender<u64>,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { state: Mutex::default(), news: watch::Sender::new(0) }
    }
}

/// A place in a waiting room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    rooms: Arc<Rooms>,
    route: String,
}

impl Rooms {
    fn state(&self) -> MutexGuard<'_, BTreeMap<String, Demand>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a request, unless the room is full; the control plane hears of the first one and of refusals.
    pub(crate) fn enter(self: &Arc<Self>, route: &str, owner: &str, max: u32, unix_ms: i64) -> Option<Place> {
        let mut state = self.state();
        let demand = state.entry(route.to_owned()).or_insert_with(|| Demand {
            route: route.to_owned(),
            service: owner.to_owned(),
            since_unix_ms: unix_ms,
            ..Demand::default()
        });
        demand.last_unix_ms = unix_ms;
        let has_place = demand.waiting < max;
        let is_news = demand.waiting == 0 || !has_place;
        if has_place {
            demand.waiting += 1;
        } else {
            demand.refused += 1;
        }
        drop(state);
        if is_news {
            self.news.send_modify(|number| *number += 1);
        }
        has_place.then(|| Place { rooms: Arc::clone(self), route: route.to_owned() })
    }

    /// The number of the latest news, and all routes that are wanted.
    pub(crate) fn wanted(&self, unix_ms: i64) -> (u64, Vec<Demand>) {
        let number = *self.news.borrow();
        let mut state = self.state();
        state.retain(|_, demand| demand.waiting > 0 || unix_ms - demand.last_unix_ms < REMEMBER_MS);
        (number, state.values().cloned().collect())
    }

    /// Waits for news after this number.
    pub(crate) async fn news_after(&self, number: u64) {
        let mut news = self.news.subscribe();
        let _ = news.wait_for(|latest| *latest > number).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.rooms.state();
        if let Some(demand) = state.get_mut(&self.route) {
            demand.waiting -= 1;
            if demand.waiting == 0 && demand.refused == 0 {
                state.remove(&self.route);
            }
        }
    }
}
