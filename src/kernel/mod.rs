//! The vocabulary every other room speaks: ids, validated names, time, randomness, secrets,
//! child processes and error chains.
//!
//! Invariants: nothing here decides anything about the platform, and nothing here imports another room.
//! Time, randomness and ids are never taken from the air: a [`clock::Clock`] and a [`random::Random`]
//! are passed in, so that every decision made with them can be replayed.
//!
//! To add one more typed id, add a line to the list in [`id`].

pub mod clock;
pub mod error;
pub mod fail_point;
pub mod id;
pub mod machine;
pub mod name;
pub mod process;
pub mod random;
pub mod secret;

#[cfg(test)]
mod tests;
