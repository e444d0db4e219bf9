//! Which route takes the request.

use crate::ingress::problem::Problem;
use crate::ingress::table::Match;
use crate::ingress::transaction::Transaction;

/// Finds the route by host and path.
pub(crate) fn find(tx: &mut Transaction) -> Result<(), Problem> {
    let host = tx.head.host.get(&tx.bytes);
    match tx.table.find(host, tx.head.path(&tx.bytes)) {
        Match::Route(index) => {
            tx.route = Some(index);
            Ok(())
        }
        Match::UnknownHost => Err(Problem::unknown_host()),
        Match::UnknownPath => Err(Problem::unknown_path()),
    }
}
