//! `robots.txt` of routes that search engines are to leave alone (previews).

use crate::ingress::core::Core;
use crate::ingress::entry::RouteEntry;
use crate::ingress::problem::{Problem, Verbatim};
use crate::ingress::transaction::{Peer, Transaction};
use crate::ingress::view::RequestView;

const FORBID_ALL: &str = "User-agent: *\nDisallow: /\n";

/// Answers the request for `robots.txt` in place of the app.
pub(crate) fn check(_: &RouteEntry, tx: &mut Transaction, _: &Peer, _: &Core) -> Result<(), Problem> {
    if tx.path() != b"/robots.txt" {
        return Ok(());
    }
    let headers = vec![("content-type".into(), "text/plain; charset=utf-8".to_owned())];
    Err(Problem::verbatim(200, Verbatim { headers, body: FORBID_ALL.as_bytes().to_vec() }))
}
