//! How the ingress treats the requests of a service: what its manifest says of limits and resilience, in the ingress's
//! own words. Pure. What is not said stays as the ingress does it by itself.

use crate::ingress::snapshot::{
    Breaker, Concurrency, Criticality, Outlier, Policy, Protocol, RateKey, RateLimit, Route,
};
use crate::stack::Service;
use crate::stack::model::{self, RouteProtocol};

/// Longest time a breaker or an ejection lasts, in milliseconds: one hour, as the manifest allows.
const LONGEST_MS: u64 = 3_600_000;

/// Puts the service's wishes into its route. `instances` are those that take requests now.
pub(super) fn apply(route: &mut Route, service: &Service, protocol: RouteProtocol, instances: usize) {
    route.criticality = criticality(service.criticality);
    route.protocol = match protocol {
        RouteProtocol::H2c | RouteProtocol::Grpc => Protocol::H2c,
        RouteProtocol::Http | RouteProtocol::Https => Protocol::Http1,
    };
    limits(&mut route.policy, &service.traffic);
    resilience(&mut route.policy, &service.resilience);
    // A service has one limit, by whatever route its requests come.
    let group = format!("{}/{}/{}", route.owner.tenant, route.owner.project, route.owner.environment);
    route.policy.concurrency = service.traffic.concurrency.map(|each| Concurrency {
        group: format!("{group}/{}", route.owner.service),
        max: each.saturating_mul(u32::try_from(instances.max(1)).unwrap_or(u32::MAX)),
        min: 1,
        adaptive: false,
        ..Concurrency::default()
    });
}

fn criticality(said: model::Criticality) -> Criticality {
    match said {
        model::Criticality::Low => Criticality::Low,
        model::Criticality::Normal => Criticality::Normal,
        model::Criticality::High => Criticality::High,
        model::Criticality::Critical => Criticality::Critical,
    }
}

fn limits(policy: &mut Policy, traffic: &model::Traffic) {
    policy.rate_limit = traffic.rate.as_ref().map(|rate| RateLimit {
        name: String::new(),
        requests: rate.requests,
        window_ms: u64::from(rate.per_seconds.max(1)) * 1_000,
        burst: rate.burst.unwrap_or(rate.requests),
        key: match &rate.key {
            model::RateKey::Address => RateKey::Address,
            model::RateKey::Route => RateKey::Route,
            model::RateKey::Header(name) => RateKey::Header(name.clone()),
        },
    });
    if let Some(bytes) = traffic.body_bytes {
        policy.max_body = Some(bytes);
    }
    let times = [
        (traffic.connect_timeout_ms, &mut policy.connect_timeout_ms),
        (traffic.request_timeout_ms, &mut policy.response_timeout_ms),
        (traffic.idle_timeout_ms, &mut policy.idle_timeout_ms),
    ];
    for (said, time) in times {
        *time = said.map_or(*time, u64::from);
    }
    if let Some(ms) = traffic.idle_timeout_ms {
        policy.tunnel_idle_timeout_ms = ms.into();
    }
}

fn resilience(policy: &mut Policy, said: &model::Resilience) {
    if let Some(retries) = &said.retries {
        policy.retries = retries.attempts;
        policy.retry.budget_percent = retries.budget_percent.min(100);
        policy.retry.per_try_timeout_ms = retries.try_timeout_ms.unwrap_or(0).into();
    }
    policy.breaker = said.breaker.as_ref().map(|b| {
        let open_ms = u64::from(b.open_seconds.max(1)) * 1_000;
        Breaker {
            failure_percent: b.error_percent.clamp(1, 100),
            min_requests: b.min_requests,
            window_ms: u64::from(b.window_seconds.max(1)) * 1_000,
            open_ms,
            max_open_ms: Breaker::default().max_open_ms.max(open_ms).min(LONGEST_MS),
            ..Breaker::default()
        }
    });
    if let Some(o) = &said.outlier {
        let base = u64::from(o.eject_seconds.max(1)) * 1_000;
        policy.outlier = Some(Outlier {
            consecutive_failures: o.failures,
            base_ejection_ms: base,
            max_ejection_ms: Outlier::default().max_ejection_ms.max(base).min(LONGEST_MS),
            max_ejected_percent: o.max_percent.min(100),
            ..Outlier::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingress::snapshot::Owner;
    use crate::stack::compose::{InMemory, Request, parse};

    fn treated(x: &str) -> Route {
        let text = format!("services: {{web: {{image: shop, expose: ['80'], x-wharf: {x}}}}}");
        let outcome = parse(&InMemory::single("compose.yaml", &text), &Request::default());
        let stack = outcome.manifest.unwrap_or_else(|| panic!("{:?}", outcome.findings)).stack;
        let service = stack.services.values().next().expect("a service");
        let owner = Owner { tenant: "acme".into(), project: "shop".into(), service: "web".into(), ..Owner::default() };
        let mut route = Route { owner, ..Route::default() };
        let protocol = service.routes.first().map(|r| r.protocol).unwrap_or_default();
        apply(&mut route, service, protocol, 3);
        route
    }

    #[test]
    fn a_service_that_says_nothing_is_treated_as_any_other() {
        let route = treated("{}");
        assert_eq!((route.policy, route.criticality), (Policy::default(), Criticality::Normal));
    }

    #[test]
    fn what_a_manifest_says_of_traffic_reaches_the_ingress() {
        let route = treated(
            "{criticality: high, routes: [{path: /, protocol: h2c}],
              limits: {rate: {requests: 5, per: 1m, burst: 2, key: 'header:X-Key'}, concurrency: 7, body: 2m,
                       timeouts: {connect: 1s, request: 20s, idle: 2m}},
              resilience: {retries: {attempts: 4, budget: 30%, try_timeout: 3s},
                           breaker: {errors: 40%, min_requests: 9, window: 20s, open: 90s},
                           outlier: {failures: 2, eject: 10m, max: 30%}}}",
        );
        let policy = route.policy;
        assert_eq!((route.criticality, route.protocol), (Criticality::High, Protocol::H2c));
        let rate = policy.rate_limit.expect("a limit");
        assert_eq!((rate.requests, rate.window_ms, rate.burst), (5, 60_000, 2));
        assert_eq!(rate.key, RateKey::Header("x-key".into()));
        let concurrency = policy.concurrency.expect("a limit");
        assert_eq!((concurrency.max, concurrency.adaptive), (21, false));
        assert_eq!(policy.max_body, Some(2 << 20));
        assert_eq!((policy.connect_timeout_ms, policy.response_timeout_ms), (1_000, 20_000));
        assert_eq!((policy.idle_timeout_ms, policy.tunnel_idle_timeout_ms), (120_000, 120_000));
        assert_eq!((policy.retries, policy.retry.budget_percent, policy.retry.per_try_timeout_ms), (4, 30, 3_000));
        let breaker = policy.breaker.expect("a breaker");
        assert_eq!((breaker.failure_percent, breaker.min_requests, breaker.window_ms), (40, 9, 20_000));
        assert_eq!((breaker.open_ms, breaker.max_open_ms), (90_000, 90_000));
        let outlier = policy.outlier.expect("outliers");
        assert_eq!((outlier.consecutive_failures, outlier.base_ejection_ms), (2, 600_000));
        assert_eq!((outlier.max_ejection_ms, outlier.max_ejected_percent), (600_000, 30));
    }
}
