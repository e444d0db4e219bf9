//! What an operation needs to be carried out, and to be taken up again after a crash. Stored as JSON in its row.

use serde::{Deserialize, Serialize};

use super::manifest::Request;

/// The input of an operation, by what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Input {
    /// Build the stored source, then roll it out.
    Source {
        /// Full commit id, for a push.
        commit: Option<String>,
        message: String,
        #[serde(flatten)]
        request: Request,
        /// Somebody waits at the other end of a `git push`; when the connection is lost, so is the push.
        push: bool,
    },
    /// Take the image as it is, then roll it out.
    Image { image: String, message: String },
    /// The revision is stored already and is to be rolled out: rollback and changes of the configuration.
    Revision {
        number: i64,
        message: String,
        /// The configuration that is the newest one again when this fails.
        config_before: i64,
    },
    /// The attempt was begun already: restart.
    Attempt { revision: i64, generation: i64, message: String },
    /// The desired state was changed already; wait until it is so: scale, stop, start.
    Settle { message: String },
    /// Take everything down and forget it.
    Destroy,
    /// A person runs a command; the connection carries it.
    Run { command: Vec<String> },
}

impl Input {
    /// For the row.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an input is always representable as JSON")
    }
}
