//! The git room against the real git client, over HTTP and SSH, with the real binary as the hook. What lies behind
//! the room, people and deploys, is a scripted backend that records what it is asked.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the value")]

mod backend;
mod fetching;
mod hook;
mod interruptions;
mod pushing;
mod refusals;
mod ssh;
mod world;
