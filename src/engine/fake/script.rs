//! What a fake engine is told to do: how containers behave, and how the engine itself misbehaves. Plain values.

use std::net::SocketAddr;

use crate::engine::OutputStream;

/// How one container behaves from its start on. All times count from the start, in milliseconds of the fake clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// How long the start itself takes.
    pub start_takes_ms: i64,
    /// The engine's words when the start fails.
    pub start_fails: Option<String>,
    /// When and how it ends by itself.
    pub ends: Option<End>,
    /// Where it listens.
    pub listens: Listens,
    /// What it prints.
    pub prints: Vec<Print>,
    /// Whether it must be killed when it is told to stop.
    pub ignores_stop: bool,
    /// Whether the engine goes on saying it runs after it has ended.
    pub lies: bool,
    /// Whether it answers each line of its input with `got <line>` and ends with 0 at the end of input.
    pub echoes: bool,
}

/// The end of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub after_ms: i64,
    pub code: i64,
    pub oom_killed: bool,
}

/// Where a container listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// On all addresses, on the port its environment names as `PORT` (8080 when it names none).
    OnPort {
        after_ms: i64,
    },
    /// Somewhere else than asked.
    At {
        after_ms: i64,
        address: SocketAddr,
    },
    Never,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Print {
    pub after_ms: i64,
    pub stream: OutputStream,
    pub line: String,
}

impl Default for Script {
    /// A good service: starts at once, listens on `PORT` at once, runs until it is stopped.
    fn default() -> Self {
        Self {
            start_takes_ms: 0,
            start_fails: None,
            ends: None,
            listens: Listens::OnPort { after_ms: 0 },
            prints: Vec::new(),
            ignores_stop: false,
            lies: false,
            echoes: false,
        }
    }
}

impl Script {
    /// Ends by itself after a time with an exit code.
    #[must_use]
    pub fn exits(after_ms: i64, code: i64) -> Self {
        Self { ends: Some(End { after_ms, code, oom_killed: false }), ..Self::default() }
    }

    /// Is killed for using too much memory.
    #[must_use]
    pub fn runs_out_of_memory(after_ms: i64) -> Self {
        Self { ends: Some(End { after_ms, code: 137, oom_killed: true }), ..Self::default() }
    }

    /// Cannot be started.
    #[must_use]
    pub fn start_fails(words: &str) -> Self {
        Self { start_fails: Some(words.to_owned()), ..Self::default() }
    }

    /// Runs and never listens.
    #[must_use]
    pub fn never_listens() -> Self {
        Self { listens: Listens::Never, ..Self::default() }
    }

    /// Prints a line after a time, besides what it does already.
    #[must_use]
    pub fn printing(mut self, after_ms: i64, stream: OutputStream, line: &str) -> Self {
        self.prints.push(Print { after_ms, stream, line: line.to_owned() });
        self
    }
}

/// The calls a fault can be put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Observe,
    Start,
    Restart,
    Stop,
    Remove,
    Wait,
    Logs,
    Listening,
    Exec,
    Network,
    Volume,
    Image,
    Build,
    Changes,
}

/// How a call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The engine does not answer; nothing happens.
    Unreachable,
    /// The call does its work, but the answer is lost on the way.
    AnswerLost,
    /// The engine answers with an error 500 in these words; nothing happens.
    Refused(String),
    /// The answer is an empty list (for `Observe`, `Network` and `Image` lists).
    Empty,
    /// The answer takes so long.
    Slow { ms: i64 },
}

/// How a pull of an image that is not local goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    pub takes_ms: i64,
    /// Why it fails, if it does.
    pub fails: Option<String>,
}

/// How the builds of a fake engine go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildScript {
    /// Steps and lines, one every `step_takes_ms`.
    pub events: Vec<crate::engine::BuildEvent>,
    pub step_takes_ms: i64,
    /// Why it fails after the events, if it does.
    pub fails: Option<String>,
}

impl Default for BuildScript {
    fn default() -> Self {
        Self {
            events: vec![crate::engine::BuildEvent::Step("[1/1] FROM scratch".to_owned())],
            step_takes_ms: 0,
            fails: None,
        }
    }
}
