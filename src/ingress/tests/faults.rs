//! Each protecting function shown at work against upstreams that misbehave, with numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::harness::*;
use crate::ingress::reports::RouteReport;
use crate::ingress::snapshot::{
    ActiveCheck, Algorithm, Backend, Breaker, Concurrency, Criticality, Mirror, Outlier, RateKey, RateLimit, Retry,
    Route, WaitingRoom,
};

const BAD: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno";

fn get(id: &str, headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {id}.test\r\n{headers}\r\n")
}

/// Sends so many requests one after the other on one connection; their statuses.
async fn statuses(ingress: &Ingress, request: &str, n: usize) -> Vec<u16> {
    let (mut wire, mut statuses) = (ingress.connect().await, Vec::new());
    for _ in 0..n {
        wire.send(request).await;
        let Some((head, _)) = wire.message().await else { panic!("closed after {statuses:?}") };
        statuses.push(head[9..12].parse().unwrap());
        if header(&head, "connection") == Some("close") {
            wire = ingress.connect().await;
        }
    }
    statuses
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

async fn report(ingress: &Ingress, route: &str) -> RouteReport {
    ingress.client.route_stats(Some(route)).await.unwrap().remove(0)
}

/// Answers after a pause; `capacity` at a time, the others queue.
async fn worker(pause: Duration, capacity: usize) -> Server {
    let places = Arc::new(tokio::sync::Semaphore::new(capacity));
    Server::start(move |mut wire| {
        let places = Arc::clone(&places);
        async move {
            while wire.message().await.is_some() {
                let _place = places.acquire().await.unwrap();
                tokio::time::sleep(pause).await;
                wire.send(OK).await;
            }
        }
    })
    .await
}

/// Takes each request and closes without an answer; counts them.
async fn resetting() -> (Server, Arc<AtomicU32>) {
    let taken = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&taken);
    let server = Server::start(move |mut wire| {
        let counter = Arc::clone(&counter);
        async move {
            if wire.message().await.is_some() {
                counter.fetch_add(1, SeqCst);
            }
        }
    })
    .await;
    (server, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_half_the_instances_failing_few_errors_reach_clients() {
    let (good, bad) = (Server::answering(OK).await, Server::answering(BAD).await);
    let (good2, bad2) = (Server::answering(OK).await, Server::answering(BAD).await);
    // In turn, so that each has its share however fast it is.
    let mut all = route("a", &[good.address, bad.address, good2.address, bad2.address]);
    all.balance.algorithm = Algorithm::RoundRobin;
    let with = Ingress::start(vec![all.clone()]).await;
    let without = Ingress::start(vec![with_policy(all, |policy| policy.outlier = None)]).await;
    let unprotected = count(&statuses(&without, &get("a", ""), 400).await, 500);
    let protected = count(&statuses(&with, &get("a", ""), 400).await, 500);
    let ejections = report(&with, "a").await.events.ejections;
    assert!(unprotected > 100, "{unprotected} of 400");
    // Two instances, five failures in a row each.
    assert!(protected <= 20 && ejections == 2, "{protected} of 400 failed, {ejections} ejections");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_on_status_hide_a_failing_instance() {
    let (good, bad) = (Server::answering(OK).await, Server::answering(BAD).await);
    let mut route = with_policy(route("a", &[good.address, bad.address]), |policy| {
        policy.outlier = None;
        policy.retry = Retry { on_status: vec![500], ..Retry::default() };
    });
    route.balance.algorithm = Algorithm::RoundRobin;
    let ingress = Ingress::start(vec![route]).await;
    assert_eq!(count(&statuses(&ingress, &get("a", ""), 60).await, 200), 60);
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n";
    assert!(count(&statuses(&ingress, post, 60).await, 500) > 10, "a POST is never repeated");
    assert!(report(&ingress, "a").await.events.retries > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_storm_is_held_under_the_budget() {
    let ((one, first), (two, second)) = (resetting().await, resetting().await);
    let route = with_policy(route("a", &[one.address, two.address]), |policy| {
        policy.outlier = None;
        policy.retry = Retry { budget_min_per_sec: 0, ..Retry::default() };
    });
    let ingress = Ingress::start(vec![route]).await;
    assert_eq!(count(&statuses(&ingress, &get("a", ""), 500).await, 502), 500);
    let attempts = first.load(SeqCst) + second.load(SeqCst);
    let events = report(&ingress, "a").await.events;
    // 500 requests, and a fifth of them again.
    assert!((540..=620).contains(&attempts), "{attempts} attempts for 500 requests");
    assert!(events.retries <= 120 && events.retries_refused >= 380, "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_instance_costs_one_try_not_the_request() {
    let (fast, slow) = (Server::answering(OK).await, worker(Duration::from_secs(5), 100).await);
    let route = with_policy(route("a", &[slow.address, fast.address]), |policy| {
        policy.retry = Retry { per_try_timeout_ms: 100, ..Retry::default() };
        policy.outlier = Some(Outlier { consecutive_failures: 2, ..Outlier::default() });
    });
    let ingress = Ingress::start(vec![route]).await;
    let begun = Instant::now();
    assert_eq!(count(&statuses(&ingress, &get("a", ""), 60).await, 200), 60);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(report(&ingress, "a").await.events.ejections, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overall_time_limit_holds_over_all_tries() {
    let slow = [worker(Duration::from_secs(9), 9).await, worker(Duration::from_secs(9), 9).await];
    let route = with_policy(route("a", &[slow[0].address, slow[1].address]), |policy| policy.total_timeout_ms = 300);
    let ingress = Ingress::start(vec![route]).await;
    let begun = Instant::now();
    assert_eq!(statuses(&ingress, &get("a", ""), 1).await, [504]);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_spares_a_service_that_is_down() {
    let (server, taken) = resetting().await;
    let route = with_policy(route("a", &[server.address]), |policy| {
        policy.retries = 0;
        policy.breaker = Some(Breaker { min_requests: 10, open_ms: 60_000, ..Breaker::default() });
    });
    let ingress = Ingress::start(vec![route]).await;
    let statuses = statuses(&ingress, &get("a", ""), 100).await;
    let (failed, refused) = (count(&statuses, 502), count(&statuses, 503));
    assert_eq!((failed, refused, taken.load(SeqCst)), (10, 90, 10));
    let report = report(&ingress, "a").await;
    assert_eq!((report.breaker.unwrap().trips, report.events.broken), (1, 90));
}

/// Keeps `clients` connections busy until `enough` says so; how many requests got 200, and how many did not.
async fn drive(
    ingress: &Ingress,
    request: String,
    clients: usize,
    enough: impl Fn(usize) -> bool + Clone + Send + 'static,
) -> (usize, usize) {
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let (address, request, enough) = (ingress.address, request.clone(), enough.clone());
        running.spawn(async move {
            let (mut ok, mut other) = (0, 0);
            let mut wire = Wire::new(tokio::net::TcpStream::connect(address).await.unwrap());
            while !enough(ok) {
                wire.send(&request).await;
                let (head, _) = wire.message().await.unwrap();
                if head.starts_with("HTTP/1.1 200 ") {
                    ok += 1;
                } else {
                    other += 1;
                    // A client that is refused comes back a little later.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            (ok, other)
        });
    }
    let all = running.join_all().await;
    (all.iter().map(|(ok, _)| ok).sum(), all.iter().map(|(_, other)| other).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_saturation_the_critical_is_served_and_the_low_is_shed() {
    let server = worker(Duration::from_millis(10), 8).await;
    let limit = Concurrency { group: "shop".into(), adaptive: false, max: 10, ..Concurrency::default() };
    let of = |id: &str, criticality| Route {
        criticality,
        ..with_policy(route(id, &[server.address]), |policy| policy.concurrency = Some(limit.clone()))
    };
    let ingress = Ingress::start(vec![of("pay", Criticality::Critical), of("report", Criticality::Low)]).await;
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let low = drive(&ingress, get("report", ""), 40, move |_| seen.load(SeqCst));
    let critical = async {
        let served = drive(&ingress, get("pay", ""), 3, |ok| ok == 40).await;
        over.store(true, SeqCst);
        served
    };
    let ((low_ok, low_shed), (critical_ok, critical_shed)) = tokio::join!(low, critical);
    assert_eq!((critical_ok, critical_shed), (120, 0));
    assert!(low_ok > 0 && low_shed > low_ok, "{low_ok} low requests served, {low_shed} shed");
    assert_eq!(report(&ingress, "report").await.events.shed as usize, low_shed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_waiting_room_holds_requests_until_an_instance_comes() {
    let mut asleep = route("a", &[]);
    asleep.owner.service = "web".into();
    asleep.waiting_room = Some(WaitingRoom { max_waiting: 3, max_wait_ms: 20_000 });
    let ingress = Ingress::start(vec![asleep.clone()]).await;
    assert_eq!(ingress.client.demand(0, Duration::ZERO).await.unwrap().routes, []);
    let client = ingress.client.clone();
    let told = tokio::spawn(async move { client.demand(0, Duration::from_secs(20)).await.unwrap() });
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut wire = ingress.connect().await;
        wire.send(get("a", "")).await;
        waiting.push(wire);
    }
    let told = told.await.unwrap();
    assert_eq!((told.routes[0].route.as_str(), told.routes[0].service.as_str()), ("a", "web"));
    until_some(|| async {
        let demand = ingress.client.demand(0, Duration::ZERO).await.unwrap();
        (demand.routes.first()?.waiting == 3).then_some(())
    })
    .await;
    assert_eq!(statuses(&ingress, &get("a", ""), 1).await, [503], "the room is full");
    let server = Server::answering(OK).await;
    let mut awake = route("a", &[server.address]);
    awake.waiting_room.clone_from(&asleep.waiting_room);
    ingress.routes(2, vec![awake]).await;
    for wire in &mut waiting {
        assert_eq!(wire.message().await.unwrap().1, b"ok");
    }
    let events = report(&ingress, "a").await.events;
    assert_eq!((events.waited, events.waits_refused), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn active_checks_take_out_and_bring_back() {
    let sick = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&sick);
    let patient = Server::start(move |mut wire| {
        let state = Arc::clone(&state);
        async move {
            while let Some((head, _)) = wire.message().await {
                let is_sick = head.starts_with("GET /health ") && state.load(SeqCst);
                wire.send(if is_sick { BAD } else { OK }).await;
            }
        }
    })
    .await;
    let well = Server::answering(OK).await;
    let check = ActiveCheck { path: "/health".into(), interval_ms: 100, ..ActiveCheck::default() };
    let route = with_policy(route("a", &[patient.address, well.address]), |policy| policy.active_check = Some(check));
    let ingress = Ingress::start(vec![route]).await;
    let fails = |wanted: bool| {
        let (client, id) = (ingress.client.clone(), patient.address.to_string());
        move || {
            let (client, id) = (client.clone(), id.clone());
            async move {
                let status = client.status().await.unwrap();
                status.upstreams.iter().any(|one| one.id == id && one.checks_fail == wanted).then_some(())
            }
        }
    };
    until_some(fails(true)).await;
    let before = well.seen().iter().filter(|head| head.starts_with("GET / ")).count();
    statuses(&ingress, &get("a", ""), 40).await;
    assert_eq!(well.seen().iter().filter(|head| head.starts_with("GET / ")).count() - before, 40);
    sick.store(false, SeqCst);
    until_some(fails(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_gets_copies_and_never_delays() {
    let (main, shadow) = (Server::answering(OK).await, worker(Duration::from_secs(9), 100).await);
    let mut route = route("a", &[main.address, shadow.address]);
    route.upstreams[0].backend = "v1".into();
    route.upstreams[1].backend = "v2".into();
    route.backends = vec![
        Backend { id: "v1".into(), ..Backend::default() },
        Backend { id: "v2".into(), weight: 0, ..Backend::default() },
    ];
    route.mirror = Some(Mirror { backend: "v2".into(), max_in_flight: 10, ..Mirror::default() });
    let ingress = Ingress::start(vec![route]).await;
    let begun = Instant::now();
    assert_eq!(count(&statuses(&ingress, &get("a", ""), 50).await, 200), 50);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let events = report(&ingress, "a").await.events;
    assert_eq!((events.mirrored, events.mirrors_dropped), (10, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_of_their_rate_limit_and_keys_are_apart() {
    let server = Server::answering(OK).await;
    let limit = RateLimit {
        name: "plan".into(),
        requests: 3,
        window_ms: 3_600_000,
        burst: 3,
        key: RateKey::Header("x-api-key".into()),
    };
    let limited = with_policy(route("a", &[server.address]), |policy| policy.rate_limits = vec![limit]);
    let ingress = Ingress::start(vec![limited]).await;
    let mut wire = ingress.connect().await;
    for left in ["2", "1", "0"] {
        wire.send(get("a", "X-API-Key: one\r\n")).await;
        let (head, _) = wire.message().await.unwrap();
        assert_eq!(header(&head, "ratelimit-policy"), Some("\"plan\";q=3;w=3600"));
        assert!(header(&head, "ratelimit").unwrap().starts_with(&format!("\"plan\";r={left};t=")), "{head}");
    }
    assert_eq!(statuses(&ingress, &get("a", "X-API-Key: one\r\n"), 1).await, [429]);
    assert_eq!(statuses(&ingress, &get("a", "X-API-Key: two\r\n"), 1).await, [200]);
    ingress.client.purge("limits").await.unwrap();
    assert_eq!(statuses(&ingress, &get("a", "X-API-Key: one\r\n"), 1).await, [200]);
    assert_eq!(report(&ingress, "a").await.events.limited, 1);
}
