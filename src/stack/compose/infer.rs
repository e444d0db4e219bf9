//! What nobody said and follows from the rest: kinds, main ports, routes, care, health. Pure.

use super::finding::{Finding, Sink};
use super::read::{Draft, Published};
use crate::kernel::name::ServiceName;
use crate::stack::model::{
    Care, DependencyCondition, Exposure, HealthCheck, Job, JobStart, Protocol, Route, RouteHost, RouteProtocol,
    Service, ServiceKind, ServicePort, Transport,
};

/// Images whose programs keep state, with the port they listen on.
const DATABASES: [(&str, u16); 29] = [
    ("postgres", 5432),
    ("postgresql", 5432),
    ("postgis", 5432),
    ("pgvector", 5432),
    ("timescaledb", 5432),
    ("pgvecto-rs", 5432),
    ("mysql", 3306),
    ("mysql-server", 3306),
    ("mariadb", 3306),
    ("percona", 3306),
    ("mongo", 27017),
    ("mongodb", 27017),
    ("redis", 6379),
    ("redis-stack", 6379),
    ("redis-stack-server", 6379),
    ("valkey", 6379),
    ("keydb", 6379),
    ("dragonfly", 6379),
    ("rabbitmq", 5672),
    ("nats", 4222),
    ("kafka", 9092),
    ("clickhouse-server", 8123),
    ("elasticsearch", 9200),
    ("opensearch", 9200),
    ("cassandra", 9042),
    ("scylla", 9042),
    ("couchdb", 5984),
    ("influxdb", 8086),
    ("neo4j", 7687),
];

/// Ports on which nobody speaks HTTP.
const NOT_HTTP: [u16; 37] = [
    21, 22, 25, 53, 110, 143, 389, 465, 554, 587, 636, 853, 993, 995, 1194, 1433, 1521, 1883, 1935, 2049, 2222, 3306,
    3478, 4222, 5060, 5222, 5432, 5672, 6379, 6667, 7687, 8554, 8883, 9042, 9092, 11211, 27017,
];

/// Decides everything that was left open.
pub(super) fn decide(drafts: &mut [(ServiceName, Draft)], sink: &Sink) {
    let run_to_end: Vec<ServiceName> = drafts
        .iter()
        .flat_map(|(_, d)| d.service.depends_on.iter())
        .filter(|(_, d)| d.condition == DependencyCondition::Completed)
        .map(|(name, _)| name.clone())
        .collect();
    links(drafts, sink);
    for (name, draft) in drafts.iter_mut() {
        main_port(draft);
        kind(draft, run_to_end.contains(name));
        care(draft);
        health(draft);
        instances(draft);
    }
    routes(drafts, sink);
}

/// A name that one service has for another is given to that other one: names are the callee's, and whoever may talk to
/// it can use them.
fn links(drafts: &mut [(ServiceName, Draft)], sink: &Sink) {
    let mut given: Vec<(String, ServiceName)> = Vec::new();
    for (callee, alias, at) in drafts.iter().flat_map(|(_, d)| d.links.clone()).collect::<Vec<_>>() {
        match given.iter().find(|(known, _)| *known == alias) {
            Some((_, other)) if *other != callee => {
                let message = format!("the name `{alias}` stands for `{other}` and for `{callee}`");
                let help = "a name leads to one service only; use the names of the services";
                sink.add(Finding::error("contradiction", at, message).help(help));
            }
            Some(_) => {}
            None => {
                if let Some((_, draft)) = drafts.iter_mut().find(|(name, _)| *name == callee) {
                    draft.service.aliases.insert(alias.clone());
                }
                given.push((alias, callee));
            }
        }
    }
}

/// The last part of an image's name, without registry, owner, tag and digest.
fn base_name(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

fn database(service: &Service) -> Option<u16> {
    let base = base_name(&service.image.name);
    DATABASES.iter().find(|(n, _)| *n == base).map(|(_, port)| *port)
}

fn main_port(draft: &mut Draft) {
    let service = &mut draft.service;
    let of_routes = service.routes.iter().map(|r| r.port).find(|p| *p > 0);
    let http = draft.published.iter().find(|p| speaks_http(p)).map(|p| p.target);
    let published = draft.published.iter().find(|p| !p.udp).map(|p| p.target);
    let tcp = service.ports.iter().find(|p| p.transport == Transport::Tcp).map(|p| p.port);
    let variable = service.environment.get("PORT").and_then(|p| p.parse().ok()).filter(|p| *p > 0);
    let known = database(service);
    service.port = service.port.or(of_routes).or(known).or(http).or(published).or(tcp).or(variable);
    let main = service.port.filter(|p| !service.ports.iter().any(|o| o.port == *p && o.transport == Transport::Tcp));
    if let Some(port) = main {
        service.ports.push(ServicePort { port, transport: Transport::Tcp, name: None });
        service.ports.sort();
    }
}

fn kind(draft: &mut Draft, runs_to_end: bool) {
    let service = &mut draft.service;
    let scheduled = service.job.as_ref().is_some_and(|j| j.start == JobStart::Schedule);
    if !draft.said.kind {
        service.kind = match () {
            () if scheduled => ServiceKind::Cron,
            () if service.job.is_some() || draft.said.job_mode || runs_to_end => ServiceKind::Job,
            () if database(service).is_some() => ServiceKind::Database,
            () if service.port.is_some() || !service.routes.is_empty() => ServiceKind::Web,
            () => ServiceKind::Worker,
        };
    }
    if !service.kind.is_standing() && service.job.is_none() {
        let start = if service.kind == ServiceKind::Cron { JobStart::Schedule } else { JobStart::Release };
        let copies = if draft.said.replicas.is_some() { service.replicas.max(1) } else { 1 };
        service.job = Some(Job { start, parallelism: copies, completions: copies, ..Job::default() });
    }
}

fn care(draft: &mut Draft) {
    let service = &mut draft.service;
    if !draft.said.care && service.kind.is_standing() && service.mounts.iter().any(|m| !m.read_only) {
        service.care = Care::Pet;
    }
}

fn health(draft: &mut Draft) {
    let service = &mut draft.service;
    let default = HealthCheck::default_for(service.kind);
    let check = &mut service.health;
    if !draft.said.health {
        check.protocol = default.protocol;
        check.settle_ms = default.settle_ms;
        if service.port.is_none() && check.command.is_some() {
            check.protocol = Protocol::Process;
        }
    }
    if check.protocol == Protocol::Process && check.command.is_none() {
        check.settle_ms = check.settle_ms.max(HealthCheck::default_for(ServiceKind::Worker).settle_ms);
    }
    if !service.kind.is_standing() {
        check.settle_ms = default.settle_ms;
    }
}

fn instances(draft: &mut Draft) {
    let service = &mut draft.service;
    if !service.kind.is_standing() {
        service.replicas = 0;
    } else if let Some(scale) = &service.scale {
        let least = scale.min.max(1);
        service.replicas =
            if draft.said.replicas.is_some() { service.replicas.clamp(scale.min, scale.max) } else { least };
    }
}

fn speaks_http(p: &Published) -> bool {
    match p.app_protocol.as_deref() {
        Some(word) => matches!(word, "http" | "https" | "h2c" | "http2" | "grpc" | "ws" | "wss"),
        None => !p.udp && !NOT_HTTP.contains(&p.target),
    }
}

fn protocol(p: &Published) -> RouteProtocol {
    match p.app_protocol.as_deref() {
        Some("grpc") => RouteProtocol::Grpc,
        Some("h2c" | "http2") => RouteProtocol::H2c,
        Some("https" | "wss") => RouteProtocol::Https,
        _ => RouteProtocol::Http,
    }
}

/// Published ports become routes and exposures; routes get their port.
fn routes(drafts: &mut [(ServiceName, Draft)], sink: &Sink) {
    let taken =
        drafts.iter().any(|(_, d)| d.service.routes.iter().any(|r| r.host == RouteHost::Environment && r.path == "/"));
    let mut front = if taken { None } else { front_service(drafts) };
    for (name, draft) in drafts.iter_mut() {
        let main = draft.service.port;
        for route in draft.service.routes.iter_mut().filter(|r| r.port == 0) {
            match main {
                Some(port) => route.port = port,
                None => {
                    let finding = Finding::error(
                        "missing-key",
                        draft.key_at,
                        format!("the service `{name}` has routes and no port"),
                    );
                    sink.add(finding.help("say `x-wharf: {port: …}` with the port it listens on"));
                    break;
                }
            }
        }
        let is_front = front.as_ref() == Some(name);
        if is_front {
            front = None;
        }
        publish(name, draft, is_front, sink);
    }
}

/// Whose published port answers for the environment's own domains: `web`, else who asks for port 80 or 443, else the first.
fn front_service(drafts: &[(ServiceName, Draft)]) -> Option<ServiceName> {
    let fits = |d: &Draft| !d.said.routes && d.service.kind == ServiceKind::Web && d.published.iter().any(speaks_http);
    let candidates = || drafts.iter().filter(|(_, d)| fits(d));
    let standard = |d: &Draft| d.published.iter().any(|p| speaks_http(p) && matches!(p.published, Some(80 | 443)));
    candidates()
        .find(|(n, _)| *n == ServiceName::web())
        .or_else(|| candidates().find(|(_, d)| standard(d)))
        .or_else(|| candidates().next())
        .map(|(n, _)| n.clone())
}

fn publish(name: &ServiceName, draft: &mut Draft, is_front: bool, sink: &Sink) {
    let mut hosts = vec![RouteHost::Service];
    if is_front {
        hosts.push(RouteHost::Environment);
    }
    for p in std::mem::take(&mut draft.published) {
        let service = &mut draft.service;
        let routed = service.routes.iter().any(|r| r.port == p.target);
        // A database's own port is for its protocol; another one is a page about it.
        let page = service.kind == ServiceKind::Database && service.port != Some(p.target);
        let http = speaks_http(&p) && (service.kind == ServiceKind::Web || page) && !draft.said.routes;
        if routed && !p.udp {
            continue;
        }
        match if http { hosts.pop() } else { None } {
            Some(host) => {
                let where_to = match host {
                    RouteHost::Environment => "the app's own domains".to_owned(),
                    _ => format!("a domain of `{name}`'s own"),
                };
                let message =
                    format!("the port {} is reached over {where_to}, not over a port of the machine", p.target);
                sink.add(
                    Finding::warning("other-meaning", p.at, message)
                        .help("say `x-wharf: {routes: […]}` to choose domains and paths"),
                );
                let path = "/".to_owned();
                service.routes.push(Route { host, path, strip_path: false, port: p.target, protocol: protocol(&p) });
            }
            None => {
                let transport = if p.udp { Transport::Udp } else { Transport::Tcp };
                let kind = if p.udp { "UDP" } else { "TCP" };
                let message = format!(
                    "the {kind} port {} is exposed by the ingress, on the port you wish for if it is free",
                    p.target
                );
                sink.add(
                    Finding::warning("other-meaning", p.at, message)
                        .help("other services of the stack reach it by name without being published"),
                );
                service.exposures.push(Exposure { port: p.target, transport, published: p.published });
            }
        }
    }
    draft.service.exposures.sort();
    draft.service.exposures.dedup();
}
