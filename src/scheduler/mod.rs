//! What runs, where the traffic goes, and why not yet.
//!
//! The way through the room: [`desired`] reads what is wanted, [`memory`] folds what the engine, the probes and the
//! ingress say into a world, [`pressure`] takes away what has to yield while the machine is short, [`plan`] decides (pure), [`lint`] looks at the decision independently, [`executor`] carries
//! it out, [`routes`] and [`publisher`] tell the ingress. [`task`] is the loop, [`handle`] what other rooms hold.
//!
//! Invariants: decisions are pure functions of values, and effects make no choices; a pass is level-triggered and may run
//! at any time, any number of times; what is remembered between passes may be lost at any moment, and the worst is
//! that counting begins anew; an engine that does not answer changes nothing; nothing is stopped that may still get
//! a request; every wait has a deadline and a sentence that says what is waited for.
//!
//! To add one more kind of action: a variant of [`model::Action`], its rule in [`lint`], its call in [`executor`], and
//! what it does to the simulated world in the tests. To add one more property, write it in `tests/properties.rs`
//! and plant a bug that breaks it.

mod desired;
mod executor;
mod gateway;
mod gc;
mod handle;
pub mod health;
pub mod https;
pub mod lint;
mod listeners;
pub mod memory;
pub mod model;
mod node;
pub mod plan;
pub mod policy;
pub mod pressure;
mod prober;
mod probing;
mod publisher;
pub mod report;
mod routes;
mod runs;
mod spec;
mod split;
mod task;
mod tidy;
mod traffic;
mod treatment;

pub use gateway::{check as check_gateway, check_platform as check_gateway_platform};
pub use handle::{Scheduler, SchedulerParts};
pub use runs::TaskFailure;

#[cfg(test)]
mod tests;
