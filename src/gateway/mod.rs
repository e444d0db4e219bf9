//! What the ingress does on an app's hosts beside passing requests on: maintenance, who is let in, rate limits,
//! redirects, headers, error pages, compression, and what search engines may see; and the settings of the whole data
//! plane. They can be changed at any time, without a deploy, and take effect at once.
//!
//! Three layers, the later one wins: the platform's defaults, the app's settings, those of one of its hosts
//! ([`model::Settings::over`]). A change is a JSON merge patch (RFC 7396, [`patch`]): what is named is set, `null`
//! takes away. The scheduler turns what comes out into the ingress's words (`scheduler::gateway`).
//!
//! Invariants: passwords are stored and shown as little as anywhere: only their hashes are kept, and those are never
//! told; what cannot be served exactly as written is refused when it is said, not when it is used.
//!
//! To add a setting: a field of [`model::Settings`] with its line in [`model::Settings::over`], what it means in
//! `scheduler::gateway`, its key in `cli::gateway::keys`, and where people look for it, a field of the portal's page.

pub mod model;
pub mod patch;
pub mod store;
#[cfg(test)]
mod tests;
