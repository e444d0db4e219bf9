//! The git room against the real git client, over HTTP and SSH, with the real binary as the hook. What lies behind
//! the room, people and deploys, is a scripted backend that records what it is asked.

mod backend;
mod fetching;
mod interruptions;
mod pushing;
mod refusals;
mod ssh;
mod world;
