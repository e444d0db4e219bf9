//! Which route takes the request; the order is written in [`crate::ingress::table`].

use crate::ingress::problem::Problem;
use crate::ingress::table::Match;
use crate::ingress::transaction::Transaction;

/// Finds the route.
pub(crate) fn find(tx: &mut Transaction) -> Result<(), Problem> {
    let host = tx.head.host.get(&tx.bytes);
    match tx.table.find(host, tx) {
        Match::Route(index) => {
            tx.route = Some(index);
            Ok(())
        }
        Match::UnknownHost => Err(Problem::unknown_host()),
        Match::UnknownPath => Err(Problem::unknown_path()),
    }
}
