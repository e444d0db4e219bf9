//! The life of a service: eight states, and the ways between them. Pure.
//!
//! Provision (supply) → Ready (started) → Run (healthy, taking traffic) → Update / Rollback / Scale → Run; Destroy; Failed.
//! Each transition is a method that takes the life it ends and gives the next one, or refuses with a reason. What causes
//! it, who, for which revision and by when stands in every state.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kernel::clock::Timestamp;

/// Where a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Image, network, volumes and instances are being made.
    Provision,
    /// Its instances are started, and have not all passed their checks.
    Ready,
    /// All its instances are healthy.
    Run,
    /// A newer revision is taking over.
    Update,
    /// An older revision is taking over, or a newer one is being taken back.
    Rollback,
    /// Instances come or go to reach another number.
    Scale,
    /// It is being removed.
    Destroy,
    /// It needs a person.
    Failed,
}

impl State {
    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Ready => "ready",
            Self::Run => "run",
            Self::Update => "update",
            Self::Rollback => "rollback",
            Self::Scale => "scale",
            Self::Destroy => "destroy",
            Self::Failed => "failed",
        }
    }
}

/// What brings a service into a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// `deploy`, `rollback`, `scale`, `upkeep` …
    pub cause: String,
    /// A person, or the platform itself.
    pub actor: String,
    pub revision: i64,
    /// By when it must be over; absent for states that may last.
    pub deadline: Option<Timestamp>,
}

/// A service's present state with what brought it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    pub state: State,
    pub cause: Cause,
    pub since: Timestamp,
}

/// A transition that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a service cannot go from {} to {}: {reason}", from.as_str(), to.as_str())]
pub struct Illegal {
    pub from: State,
    pub to: State,
    pub reason: &'static str,
}

impl Life {
    /// Every life begins with supply.
    #[must_use]
    pub fn begin(cause: Cause, now: Timestamp) -> Self {
        Self { state: State::Provision, cause, since: now }
    }

    /// Its instances are started.
    ///
    /// # Errors
    /// When it is being removed.
    pub fn ready(self, cause: Cause, now: Timestamp) -> Result<Self, Illegal> {
        self.go(
            State::Ready,
            &[State::Provision, State::Run, State::Failed],
            "only what is supplied can start",
            cause,
            now,
        )
    }

    /// All its instances passed.
    ///
    /// # Errors
    /// When nothing was started yet.
    pub fn run(self, cause: Cause, now: Timestamp) -> Result<Self, Illegal> {
        let from = [State::Ready, State::Update, State::Rollback, State::Scale];
        self.go(State::Run, &from, "it takes traffic only after it was started and has passed its checks", cause, now)
    }

    /// A newer revision takes over.
    ///
    /// # Errors
    /// When it is being removed.
    pub fn update(self, cause: Cause, now: Timestamp) -> Result<Self, Illegal> {
        let from = [State::Provision, State::Ready, State::Run, State::Scale, State::Failed];
        self.go(State::Update, &from, "one change must end before the next one begins", cause, now)
    }

    /// An older revision takes over, or a newer one is taken back.
    ///
    /// # Errors
    /// When it is being removed.
    pub fn roll_back(self, cause: Cause, now: Timestamp) -> Result<Self, Illegal> {
        let from = [State::Provision, State::Ready, State::Run, State::Update, State::Scale, State::Failed];
        self.go(State::Rollback, &from, "there is nothing to go back from", cause, now)
    }

    /// Another number of instances is wanted.
    ///
    /// # Errors
    /// When it does not run.
    pub fn scale(self, cause: Cause, now: Timestamp) -> Result<Self, Illegal> {
        self.go(State::Scale, &[State::Run, State::Ready], "only what runs can be scaled", cause, now)
    }

    /// What it lacks is supplied again.
    ///
    /// # Errors
    /// When it is being removed.
    pub fn provision(self, cause: Cause, now: Timestamp) -> Result<Self, Illegal> {
        let from = [State::Ready, State::Run, State::Update, State::Rollback, State::Scale, State::Failed];
        self.go(State::Provision, &from, "what is being removed is not supplied again", cause, now)
    }

    /// It needs a person.
    ///
    /// # Errors
    /// When it is being removed.
    pub fn fail(self, cause: Cause, now: Timestamp) -> Result<Self, Illegal> {
        let from = [State::Provision, State::Ready, State::Run, State::Update, State::Rollback, State::Scale];
        self.go(State::Failed, &from, "what is being removed cannot fail any more", cause, now)
    }

    /// It goes.
    #[must_use]
    pub fn destroy(self, cause: Cause, now: Timestamp) -> Self {
        if self.state == State::Destroy { self } else { Self { state: State::Destroy, cause, since: now } }
    }

    /// The life after the state `seen`, over the states that lie between: what was seen last may be two steps ago. A life
    /// that cannot lead there (what was removed is made again) begins anew.
    #[must_use]
    pub fn follow(self, seen: State, cause: &Cause, now: Timestamp) -> Self {
        if self.state == seen {
            // A change keeps its cause; a lasting state tells the newest revision.
            return Self { cause: Cause { revision: cause.revision, ..self.cause.clone() }, ..self };
        }
        let next = |life: Self, to: State| match to {
            State::Provision => life.provision(cause.clone(), now),
            State::Ready => life.ready(cause.clone(), now),
            State::Run => life.run(cause.clone(), now),
            State::Update => life.update(cause.clone(), now),
            State::Rollback => life.roll_back(cause.clone(), now),
            State::Scale => life.scale(cause.clone(), now),
            State::Failed => life.fail(cause.clone(), now),
            State::Destroy => Ok(life.destroy(cause.clone(), now)),
        };
        let direct = next(self.clone(), seen);
        let over_ready = || next(self.clone(), State::Ready).and_then(|life| next(life, seen));
        let over_supply = || {
            next(self.clone(), State::Provision)
                .and_then(|life| next(life, State::Ready))
                .and_then(|life| if seen == State::Ready { Ok(life) } else { next(life, seen) })
        };
        direct
            .or_else(|_| over_ready())
            .or_else(|_| over_supply())
            .unwrap_or_else(|_| Self { state: seen, ..Self::begin(cause.clone(), now) })
    }

    fn go(
        self,
        to: State,
        from: &[State],
        reason: &'static str,
        cause: Cause,
        now: Timestamp,
    ) -> Result<Self, Illegal> {
        if self.state == to {
            return Ok(self);
        }
        if !from.contains(&self.state) {
            return Err(Illegal { from: self.state, to, reason });
        }
        Ok(Self { state: to, cause, since: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> Cause {
        Cause { cause: "deploy".to_owned(), actor: "ann".to_owned(), revision: 1, deadline: Some(Timestamp(9)) }
    }

    #[test]
    fn a_service_lives_from_supply_to_its_removal() {
        let at = Timestamp;
        let life = Life::begin(cause(), at(0)).ready(cause(), at(1)).and_then(|l| l.run(cause(), at(2)));
        let life = life.and_then(|l| l.update(cause(), at(3))).and_then(|l| l.roll_back(cause(), at(4)));
        let life = life.and_then(|l| l.run(cause(), at(5))).and_then(|l| l.scale(cause(), at(6))).expect("all legal");
        assert_eq!((life.state, life.since), (State::Scale, at(6)));
        assert_eq!(life.destroy(cause(), at(7)).state, State::Destroy);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        let new = || Life::begin(cause(), Timestamp(0));
        let said = new().run(cause(), Timestamp(1)).expect_err("it was not started").to_string();
        let expected = "a service cannot go from provision to run: it takes traffic only after it was started and has passed its checks";
        assert_eq!(said, expected);
        assert!(new().scale(cause(), Timestamp(1)).is_err());
        let gone = new().destroy(cause(), Timestamp(1));
        for refused in [
            gone.clone().ready(cause(), Timestamp(2)),
            gone.clone().provision(cause(), Timestamp(2)),
            gone.clone().update(cause(), Timestamp(2)),
            gone.clone().roll_back(cause(), Timestamp(2)),
            gone.clone().fail(cause(), Timestamp(2)),
            gone.clone().run(cause(), Timestamp(2)),
        ] {
            assert!(refused.is_err());
        }
    }

    #[test]
    fn a_life_follows_what_is_seen_and_keeps_the_moment_of_a_state() {
        let upkeep = Cause { cause: "upkeep".to_owned(), actor: "wharf".to_owned(), revision: 2, deadline: None };
        let life = Life::begin(cause(), Timestamp(0)).follow(State::Run, &cause(), Timestamp(5));
        assert_eq!((life.state, life.since), (State::Run, Timestamp(5)));
        let same = life.follow(State::Run, &upkeep, Timestamp(8));
        assert_eq!((same.since, same.cause.cause.as_str(), same.cause.revision), (Timestamp(5), "deploy", 2));
        let failed = same.follow(State::Failed, &upkeep, Timestamp(9));
        assert_eq!((failed.state, failed.cause.actor.as_str()), (State::Failed, "wharf"));
        assert_eq!(failed.follow(State::Run, &upkeep, Timestamp(10)).state, State::Run, "somebody mended it");
    }
}
