//! Questions and orders to the ingress itself: its table, its figures, what is taken out of traffic. For operators,
//! but for the figures of an app, which its own people see.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{AppError, AppPath, Apps, Caller};
use crate::ingress::ClientError;
use crate::ingress::reports::RouteReport;
use crate::ingress::snapshot::Snapshot;
use crate::tenancy::store::domains;

/// What the ingress counted on one route since it started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteTraffic {
    pub route: String,
    /// Where requests come in: host and path.
    pub at: String,
    pub service: String,
    pub requests: u64,
    /// Answers by class.
    pub ok: u64,
    pub redirects: u64,
    pub client_errors: u64,
    pub server_errors: u64,
    /// Visitors who left before their answer.
    pub gone: u64,
    /// Upper bounds of how long requests took, in microseconds.
    pub p50_us: u64,
    pub p99_us: u64,
    /// Refused by a rate limit; by address lists or passwords; for want of room.
    pub limited: u64,
    pub denied: u64,
    pub shed: u64,
    pub retries: u64,
    pub ejections: u64,
    pub compressed: u64,
    /// The circuit breaker refuses everything at the moment.
    pub breaker_open: bool,
}

/// An upstream that is taken out of traffic, or put back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainOrder {
    /// Id of an instance, as the table names it.
    pub upstream: String,
    /// Only in this route; left out: in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Back into traffic.
    #[serde(default)]
    pub undo: bool,
}

/// What is to be forgotten.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeOrder {
    /// `connections`, `passwords`, `limits`, `ejections` or `all`.
    pub what: String,
}

/// What the ingress writes to its log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevelView {
    /// `info`, `info,wharf::ingress=debug`.
    pub filter: String,
}

/// A request that a route is looked for.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MatchQuery {
    pub host: String,
    /// With its query; `/` when left out.
    pub path: Option<String>,
    /// `GET` when left out.
    pub method: Option<String>,
}

impl From<ClientError> for AppError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { status: 404, detail } => Self::NotFound(detail),
            ClientError::Refused { detail, .. } => Self::invalid("body", detail),
            ClientError::Busy { detail } => Self::Busy(detail),
            other => Self::internal("the ingress could not be asked", other),
        }
    }
}

impl Apps {
    /// What the ingress counted on an app's routes.
    ///
    /// # Errors
    /// When there is no such app, or the ingress does not answer.
    pub async fn app_traffic(&self, who: &Caller, app: &AppPath) -> Result<Vec<RouteTraffic>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let hosts = domains::list(self.store(), &who.tenant, &environment.id).await?;
        let own = |place: &str| hosts.iter().any(|d| place.split('/').next() == Some(d.host.as_str()));
        Ok(self.traffic().await?.into_iter().filter(|traffic| own(&traffic.at)).collect())
    }

    /// What the ingress counted on every route. For operators.
    ///
    /// # Errors
    /// When the ingress does not answer.
    pub async fn traffic(&self) -> Result<Vec<RouteTraffic>, AppError> {
        let places = self.scheduler().newest_table();
        let place = |id: &str| {
            let route = places.as_ref()?.routes.iter().find(|route| route.id == id)?;
            Some(format!("{}{}", route.hosts.first()?, route.path_prefix))
        };
        let reports = self.inner.live.ingress.route_stats(None).await?;
        Ok(reports.iter().map(|report| traffic(report, place(&report.route).unwrap_or_default())).collect())
    }

    /// What the ingress says about itself. For operators.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn data_plane_status(&self) -> Result<Value, AppError> {
        json(&self.inner.live.ingress.status().await?)
    }

    /// The table in use, without keys and hashes. For operators.
    ///
    /// # Errors
    /// When the ingress does not answer.
    pub async fn data_plane_table(&self) -> Result<Value, AppError> {
        json(&self.inner.live.ingress.snapshot().await?)
    }

    /// What a table would change in the one in use; without one, what the newest of the control plane would. For
    /// operators.
    ///
    /// # Errors
    /// When the ingress does not answer, or the table cannot be used.
    pub async fn data_plane_diff(&self, table: Option<Value>) -> Result<Value, AppError> {
        let table = match table {
            Some(table) => serde_json::from_value::<Snapshot>(table)
                .map_err(|error| AppError::invalid("body", format!("this is no table: {error}")))?,
            None => {
                let newest = self.scheduler().newest_table();
                let newest = newest.ok_or_else(|| AppError::Conflict("no table was made yet; wait a moment".into()))?;
                (*newest).clone()
            }
        };
        json(&self.inner.live.ingress.diff(&table).await?)
    }

    /// Which route would take a request. For operators.
    ///
    /// # Errors
    /// When none would, or the ingress does not answer.
    pub async fn data_plane_match(&self, query: &MatchQuery) -> Result<Value, AppError> {
        let path = query.path.as_deref().unwrap_or("/");
        Ok(self.inner.live.ingress.find_route(&query.host, path, query.method.as_deref().unwrap_or("GET")).await?)
    }

    /// Takes an upstream out of traffic, or puts it back. For operators.
    ///
    /// # Errors
    /// When there is none of that id, or it is the way to the portal and this API itself.
    pub async fn drain_upstream(&self, order: &DrainOrder) -> Result<(), AppError> {
        let DrainOrder { upstream, route, undo } = order;
        let table = self.scheduler().newest_table();
        // The platform's own routes belong to no tenant.
        let own = table.iter().flat_map(|table| &table.routes).filter(|route| route.owner.tenant.is_empty());
        if !undo && own.flat_map(|route| &route.upstreams).any(|one| one.id == *upstream) {
            let text = format!("`{upstream}` is the portal itself: without it nobody could put it back");
            return Err(AppError::Conflict(text));
        }
        Ok(self.inner.live.ingress.drain_upstream(upstream, route.as_deref(), *undo).await?)
    }

    /// Has the ingress forget something. For operators.
    ///
    /// # Errors
    /// When it knows nothing of that name.
    pub async fn purge_data_plane(&self, order: &PurgeOrder) -> Result<(), AppError> {
        Ok(self.inner.live.ingress.purge(&order.what).await?)
    }

    /// What the ingress writes to its log. For operators.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn data_plane_log_level(&self) -> Result<LogLevelView, AppError> {
        Ok(LogLevelView { filter: self.inner.live.ingress.log_level().await? })
    }

    /// Changes what the ingress writes to its log, until it starts anew. For operators.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub async fn set_data_plane_log_level(&self, level: &LogLevelView) -> Result<LogLevelView, AppError> {
        self.inner.live.ingress.set_log_level(&level.filter).await?;
        self.data_plane_log_level().await
    }
}

fn json(value: &impl Serialize) -> Result<Value, AppError> {
    serde_json::to_value(value).map_err(|error| AppError::internal("the ingress's answer could not be shown", error))
}

fn traffic(report: &RouteReport, at: String) -> RouteTraffic {
    let [gone, _, ok, redirects, client_errors, server_errors] = report.classes;
    let events = &report.events;
    RouteTraffic {
        route: report.route.clone(),
        at,
        service: report.service.clone(),
        requests: report.classes.iter().sum(),
        ok,
        redirects,
        client_errors,
        server_errors,
        gone,
        p50_us: report.latency.p50_us,
        p99_us: report.latency.p99_us,
        limited: events.limited,
        denied: events.denied,
        shed: events.shed + events.broken,
        retries: events.retries,
        ejections: events.ejections,
        compressed: events.compressed,
        breaker_open: report.breaker.is_some_and(|breaker| breaker.open),
    }
}
