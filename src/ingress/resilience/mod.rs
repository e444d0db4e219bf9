//! What keeps trouble small: bad instances are left out, retries do not become storms, and when there is not enough
//! for all, what matters most is served.
//!
//! | file | function | decides on |
//! |---|---|---|
//! | [`health`], [`outlier`] | passive outlier ejection | each answer |
//! | [`sweep`] | ejection by failure rate, node saturation | once a second |
//! | [`probe`] | active checks | each route's interval |
//! | [`retry_budget`] | whether a retry is paid for | each retry |
//! | [`breaker`] | refusing a route that mostly fails | each request of routes that ask for it |
//! | [`concurrency`], [`gradient`] | how many may be at the upstreams, low criticality first | each request of routes that ask for it |
//! | [`shedding`] | refusing low criticality on a saturated node | each request, by one number |
//! | [`demand`] | the waiting room and what the control plane is told | requests without an upstream |
//!
//! Invariants: the decisions are pure (time, loads and chance are arguments), and a request pays only for what its
//! route uses. Defaults and their sources: `docs/ingress.md`.

pub(crate) mod breaker;
pub(crate) mod concurrency;
pub(crate) mod demand;
pub(crate) mod gradient;
pub(crate) mod health;
pub(crate) mod outlier;
pub(crate) mod probe;
pub(crate) mod retry_budget;
pub(crate) mod shedding;
pub(crate) mod sweep;

#[cfg(test)]
mod tests;
