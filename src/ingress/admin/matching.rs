//! Which route would take a request that somebody spells out.

use hyper::StatusCode;

use super::{hide, pairs, value};
use crate::ingress::control::{Reply, json, problem};
use crate::ingress::engine::Engine;
use crate::ingress::table::Match;
use crate::ingress::view::RequestView;

/// A request spelled out in a query: `path` (its own query included), `method`, `header=name:value` (any number).
struct Spelled {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

impl Spelled {
    fn read(pairs: &[(String, String)]) -> Self {
        let target = value(pairs, "path").unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = pairs.iter().filter(|(key, _)| key == "header").filter_map(|(_, value)| {
            value.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        });
        Self {
            method: value(pairs, "method").unwrap_or("GET").to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.collect(),
        }
    }
}

impl RequestView for Spelled {
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn query(&self) -> &[u8] {
        self.query.as_bytes()
    }

    fn header(&self, name: &str, n: usize) -> Option<&[u8]> {
        let mut named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.nth(n).map(|(_, value)| value.as_bytes())
    }
}

/// Which route would take a request.
pub(crate) fn find_route(engine: &Engine, query: &str) -> Reply {
    let pairs = pairs(query);
    let table = engine.table();
    match table.find(value(&pairs, "host").unwrap_or_default().as_bytes(), &Spelled::read(&pairs)) {
        Match::Route(index) => {
            let mut route = table.routes[index].route.clone();
            hide(&mut route);
            json(StatusCode::OK, &route)
        }
        Match::UnknownHost => problem(StatusCode::NOT_FOUND, "no route has this host"),
        Match::UnknownPath => problem(StatusCode::NOT_FOUND, "the host is known, but no route takes this request"),
    }
}
