//! How many wrong credentials an address may show. Pure: time comes in.
//!
//! Guessing a token of 256 bits is hopeless; this keeps somebody who tries from costing a database query each time.
//! It is gentle, since many people can share one address: a burst is free, then one failure per second.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::kernel::clock::Timestamp;

/// Failures an address may have at once.
const BURST: i64 = 60;
/// One failure is forgiven each so many milliseconds.
const STEP_MS: i64 = 1_000;
/// Addresses remembered at most.
const MOST_ADDRESSES: usize = 10_000;

/// When each address will have been forgiven everything (the "theoretical arrival time" of GCRA).
#[derive(Debug, Default)]
pub(super) struct Failures {
    forgiven_at: BTreeMap<String, Timestamp>,
}

impl Failures {
    /// Milliseconds until the address may try again; zero when it may now.
    pub(super) fn wait_ms(&self, address: &str, now: Timestamp) -> i64 {
        let debt = self.forgiven_at.get(&key(address)).map_or(0, |at| at.since_ms(now));
        (debt - (BURST - 1) * STEP_MS).max(0)
    }

    /// Notes a failure.
    pub(super) fn failed(&mut self, address: &str, now: Timestamp) {
        let key = key(address);
        if self.forgiven_at.len() >= MOST_ADDRESSES && !self.forgiven_at.contains_key(&key) {
            self.make_room(now);
        }
        let at = self.forgiven_at.entry(key).or_insert(now);
        *at = (*at).max(now).plus_ms(STEP_MS);
    }

    /// Forgets those who are forgiven, and, when that is not enough, the half that is nearest to it. A whole half,
    /// so that somebody with very many addresses does not make each failure a search through all of them.
    fn make_room(&mut self, now: Timestamp) {
        self.forgiven_at.retain(|_, at| *at > now);
        if self.forgiven_at.len() < MOST_ADDRESSES {
            return;
        }
        let mut ends: Vec<_> = self.forgiven_at.values().copied().collect();
        let (_, median, _) = ends.select_nth_unstable(MOST_ADDRESSES / 2);
        let (median, mut to_go) = (*median, MOST_ADDRESSES / 2);
        self.forgiven_at.retain(|_, at| {
            let goes = *at <= median && to_go > 0;
            to_go -= usize::from(goes);
            !goes
        });
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.forgiven_at.len()
    }
}

/// One customer of an IPv6 network usually has a whole /64, so that is what counts as one address.
fn key(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_none() => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(network))
        }
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => address.chars().take(64).collect(),
    }
}
