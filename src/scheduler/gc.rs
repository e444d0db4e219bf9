//! Which revisions and images are kept. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::ObservedImage;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::stack::Stack;

/// Revisions kept of each environment besides those that are wanted: as far back as a rollback can go.
pub const REVISIONS_KEPT: usize = 10;
/// An image younger than this may belong to a build whose revision is not stored yet.
pub const YOUNG_MS: i64 = 60 * 60 * 1000;

/// A stored revision, as far as this matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub number: i64,
    pub images: BTreeSet<String>,
}

impl Kept {
    /// Of a stored stack.
    #[must_use]
    pub fn of(number: i64, stack: &Stack) -> Self {
        Self { number, images: stack.services.values().map(|s| s.image.id.clone()).collect() }
    }
}

/// The numbers of revisions to be forgotten: all but the newest [`REVISIONS_KEPT`] and those that are `wanted`.
#[must_use]
pub fn revisions_to_forget(mut revisions: Vec<Kept>, wanted: &BTreeSet<i64>) -> (Vec<i64>, Vec<Kept>) {
    revisions.sort_by_key(|r| std::cmp::Reverse(r.number));
    let mut forget = Vec::new();
    let mut keep = Vec::new();
    for (age, revision) in revisions.into_iter().enumerate() {
        if age < REVISIONS_KEPT || wanted.contains(&revision.number) {
            keep.push(revision);
        } else {
            forget.push(revision.number);
        }
    }
    (forget, keep)
}

/// The images to be removed: those that Wharf made for an environment, and no kept revision of any environment and
/// no container needs. Images without an environment's label belong to somebody else, or to the platform itself.
#[must_use]
pub fn images_to_remove(
    images: &[ObservedImage],
    kept: &BTreeMap<EnvironmentId, Vec<Kept>>,
    in_use: &BTreeSet<String>,
    now: Timestamp,
) -> Vec<String> {
    let needed: BTreeSet<&String> = kept.values().flatten().flat_map(|r| &r.images).chain(in_use).collect();
    let removable = |image: &&ObservedImage| {
        image.environment.is_some() && now.since_ms(image.created_at) >= YOUNG_MS && !needed.contains(&image.id)
    };
    images.iter().filter(removable).map(|image| image.id.clone()).collect()
}
