//! What the ingress counted, from the moment each canary's window began. Pure folding of running totals: a total that
//! gets smaller means that the ingress was started anew, and counts from nothing.

use std::collections::BTreeMap;

use super::model::{Desired, version_of};
use super::plan::analysis::Tally;
use crate::engine::Observed;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;

/// Running totals, and where the windows of the canaries began.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic {
    /// What the ingress said last, by container; `None` while nobody asks, so that the next totals are where counting
    /// begins.
    last: Option<BTreeMap<String, Tally>>,
    /// What was counted in the present window, by container; only for containers that matter to one.
    windows: BTreeMap<String, Tally>,
    /// The beginning of the present window of each canary.
    marks: BTreeMap<(EnvironmentId, ServiceName), Timestamp>,
}

impl Traffic {
    /// Takes in new totals; `None` when they were not asked for.
    pub(super) fn count(&mut self, totals: Option<BTreeMap<String, Tally>>) {
        if let (Some(totals), Some(last)) = (&totals, &self.last) {
            for (id, window) in &mut self.windows {
                if let Some(total) = totals.get(id) {
                    window.add(&total.minus(last.get(id)));
                }
            }
        }
        self.last = totals;
    }

    /// Whether somebody compares what is counted.
    pub(super) fn is_wanted(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Begins the windows anew of canaries that came to another step or verdict.
    pub(super) fn mark(&mut self, desired: &Desired, containers: &[Observed]) {
        let mut marks = BTreeMap::new();
        for (id, target) in desired.environments.iter().filter_map(|(id, e)| Some((id, e.target.as_ref()?))) {
            for (service, step) in &target.progress.steps {
                marks.insert((id.clone(), service.clone()), step.window_since);
            }
        }
        if marks.is_empty() && self.marks.is_empty() {
            return;
        }
        let mut windows = BTreeMap::new();
        for container in containers {
            let place = (container.key.environment.clone(), container.key.service.clone());
            let Some(since) = marks.get(&place) else { continue };
            let wanted = desired
                .environments
                .get(&place.0)
                .is_some_and(|e| e.releases().any(|r| r.version_of(&place.1) == version_of(&container.key)));
            if wanted {
                let goes_on = self.marks.get(&place) == Some(since);
                let window = if goes_on { self.windows.remove(&container.id) } else { None };
                windows.insert(container.id.clone(), window.unwrap_or_default());
            }
        }
        (self.windows, self.marks) = (windows, marks);
    }

    /// What was counted in the present windows.
    pub(super) fn since_marks(&self) -> BTreeMap<String, Tally> {
        self.windows.clone()
    }
}
