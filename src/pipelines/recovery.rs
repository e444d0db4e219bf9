//! What becomes of an operation whose process has died. Pure.

use super::input::Input;
use crate::operations::{Kind, Operation};

/// The phases an operation can be found in.
pub mod phase {
    /// A push has the right to deploy, and its objects are coming in.
    pub const RECEIVE: &str = "receive";
    /// Waits for its turn to build.
    pub const BUILD_QUEUE: &str = "build-queue";
    /// Builds, or fetches its image.
    pub const BUILD: &str = "build";
    /// Its release command runs.
    pub const RELEASE: &str = "release";
    /// Its instances come up and take over.
    pub const ROLLOUT: &str = "rollout";
    /// What was changed is being carried out.
    pub const SETTLE: &str = "settle";
    /// A person's command runs.
    pub const RUN: &str = "run";
    /// Everything is being taken down.
    pub const DESTROY: &str = "destroy";
}

/// What to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Carry it on from its phase.
    GoOn,
    /// End it, for this reason.
    Fail(String),
    /// The room of jobs takes it up.
    Leave,
}

/// Goes on where doing a step again does no harm; ends it with the reason where a person should decide.
#[must_use]
pub fn decide(operation: &Operation) -> Decision {
    if operation.kind == Kind::Job {
        return Decision::Leave;
    }
    let fail = |text: &str| Decision::Fail(format!("the control plane was restarted while {text}"));
    let Ok(input) = serde_json::from_str::<Input>(&operation.input) else {
        return fail("this ran, and its record cannot be read by this version; do it again");
    };
    match (operation.phase.as_str(), &input) {
        (phase::RECEIVE, _) => fail("the push was coming in; push again"),
        (phase::BUILD_QUEUE | phase::BUILD, Input::Source { push: true, .. }) => {
            fail("the push was being built, and nothing has changed; push again")
        }
        (phase::RELEASE, _) => fail(
            "the release command ran, so it is not known whether it was finished; nothing else has changed. Check what it did, then deploy again",
        ),
        (phase::RUN, _) => fail("the command ran; its container was removed"),
        _ => Decision::GoOn,
    }
}
