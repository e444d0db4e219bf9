//! How the requests of one service are split between its old and its new version. Pure.

use super::model::{Share, version_of};
use crate::engine::Observed;
use crate::ingress::snapshot::{Backend, Pin, ValueMatch};
use crate::stack::model::Targeting;

/// The backend of what served before.
const STABLE: &str = "stable";
/// The backend of the new version.
const CANARY: &str = "canary";

/// Two backends with their shares while both versions have instances; nothing when all instances are equal.
pub(super) struct Split<'a>(Option<&'a Share>);

impl<'a> Split<'a> {
    /// Of the instances that take requests.
    pub(super) fn of(members: &[&Observed], share: Option<&'a Share>) -> Self {
        let is_new = |c: &&&Observed| share.is_some_and(|s| s.version == version_of(&c.key));
        let new = members.iter().filter(is_new).count();
        // A side without instances can have no share.
        Self(share.filter(|_| (1..members.len()).contains(&new)))
    }

    /// The backends of the route; what meets the canary's targeting goes there whatever the weights are.
    pub(super) fn backends(&self) -> Vec<Backend> {
        let Some(share) = self.0 else { return Vec::new() };
        let percent = u32::from(share.percent.min(100));
        let pins = share.targeting.iter().map(pin).collect();
        vec![
            Backend { id: STABLE.to_owned(), weight: 100 - percent, pins: Vec::new() },
            Backend { id: CANARY.to_owned(), weight: percent, pins },
        ]
    }

    /// The backend an instance belongs to.
    pub(super) fn backend_of(&self, container: &Observed) -> String {
        match self.0 {
            None => String::new(),
            Some(share) if share.version == version_of(&container.key) => CANARY.to_owned(),
            Some(_) => STABLE.to_owned(),
        }
    }
}

fn pin(targeting: &Targeting) -> Pin {
    let test = |name: &String, value: &Option<String>| ValueMatch {
        name: name.clone(),
        exact: value.clone(),
        ..ValueMatch::default()
    };
    match targeting {
        Targeting::Header { name, value } => Pin::Header(test(name, value)),
        Targeting::Cookie { name, value } => Pin::Cookie(test(name, value)),
    }
}
