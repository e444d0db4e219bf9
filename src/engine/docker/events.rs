//! A hint whenever one of our containers changes, so that the reconcile task need not wait for its timer.

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;

use super::{DockerEngine, errors};
use crate::engine::{EngineError, EngineStream};

/// What changes the picture; `exec_*` and `attach` do not.
const ACTIONS: [&str; 9] = ["create", "start", "restart", "die", "stop", "kill", "oom", "pause", "destroy"];

impl DockerEngine {
    pub(super) async fn change_hints(&self) -> Result<EngineStream<()>, EngineError> {
        let mut filters = self.own_filter();
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), ACTIONS.map(str::to_owned).into());
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let events = self.client().await?.events(Some(options));
        Ok(events.map(|event| event.map(|_| ()).map_err(|e| errors::engine(&e, "the events"))).boxed())
    }
}
