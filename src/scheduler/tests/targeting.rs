//! A canary's share and its targeting, from the planner's decision through a real ingress to the instances.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::fixtures::{environment, owner, service, stack_of};
use crate::engine::{ContainerState, Observed, Role};
use crate::ingress::snapshot::{Route, Snapshot};
use crate::ingress::{Client, IngressConfig, run};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::DomainId;
use crate::kernel::random::Random;
use crate::scheduler::desired::Wish;
use crate::scheduler::model::{Desired, DesiredEnvironment, Release, Share, Target, Version, Wanted, version_of};
use crate::scheduler::routes::routes;
use crate::stack::ServiceKind;
use crate::stack::model::Targeting;
use crate::tenancy::model::Domain;

const OLD: Version = Version { revision: 1, generation: 1 };
const NEW: Version = Version { revision: 2, generation: 2 };
/// Old instances; there is one new one.
const OLD_INSTANCES: u32 = 3;
const REQUESTS: usize = 600;
const PATIENCE: Duration = Duration::from_secs(20);

/// An instance that answers each request with its version. All have one port, each an address of its own.
async fn serve(listener: TcpListener, body: &'static str) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        tokio::spawn(async move {
            let mut seen = Vec::new();
            let mut buffer = [0; 2048];
            while let Ok(n) = stream.read(&mut buffer).await
                && n > 0
            {
                seen.extend_from_slice(&buffer[..n]);
                while let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
                    seen.drain(..end + 4);
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// Both versions of one service with their instances, and the routes to them with this share.
async fn table(share: Share) -> Vec<Route> {
    let (id, owner) = owner(1);
    let first = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    let mut listeners = vec![(first, "new")];
    for n in 0..OLD_INSTANCES {
        let address = format!("127.0.0.{}:{port}", n + 3);
        listeners.push((TcpListener::bind(address).await.unwrap(), "old"));
    }
    let release = |version| {
        let mut web = service(ServiceKind::Web, OLD_INSTANCES);
        web.port = Some(port);
        Release { version, config_version: 0, stack: stack_of([("web", web)]).into(), kept: BTreeMap::new() }
    };
    let mut desired = DesiredEnvironment::new(owner.clone(), Wanted::Run, Some(release(OLD)));
    desired.target = Some(Target { release: release(NEW), since: Timestamp(0), progress: Default::default() });
    let mut containers = Vec::new();
    for (n, (listener, name)) in listeners.into_iter().enumerate() {
        let release = release(if name == "new" { NEW } else { OLD });
        let slot = u32::try_from(n).unwrap().max(1);
        containers.push(Observed {
            id: format!("c{n}"),
            key: release.key(&id, &"web".parse().unwrap(), slot),
            owner: owner.clone(),
            role: Role::Instance,
            state: ContainerState::Running { started_at: Timestamp(0) },
            restarts: 0,
            address: Some(listener.local_addr().unwrap().ip()),
            image: String::new(),
            operation: None,
        });
        tokio::spawn(serve(listener, name));
    }
    assert_eq!(containers.iter().filter(|c| version_of(&c.key) == NEW).count(), 1);
    let domain = Domain {
        id: DomainId::new(Timestamp(0), &Random::seeded(1)),
        environment_id: id.clone(),
        host: "shop.localhost".parse().unwrap(),
        service: "web".parse().unwrap(),
        is_default: true,
    };
    let wish = Wish {
        desired: Desired { environments: [(id.clone(), desired)].into(), ..Desired::default() },
        environments: [(id.clone(), environment(&owner))].into(),
        domains: vec![domain],
        ..Wish::default()
    };
    let joined = containers.iter().map(|c| c.id.clone()).collect();
    let shares = [((id, "web".parse().unwrap()), share)].into();
    routes(&[], &wish, &containers, &joined, &shares)
}

/// A real ingress with these routes.
async fn ingress(dir: &std::path::Path, routes: Vec<Route>) -> SocketAddr {
    let config = IngressConfig {
        run_dir: dir.join("run"),
        data_dir: dir.join("data"),
        http: vec!["127.0.0.1:0".parse().unwrap()],
        workers: 1,
        ..IngressConfig::default()
    };
    let client = Client::new(dir.join("run/ingress.sock"));
    tokio::spawn(run(config, std::future::pending()));
    let snapshot = Snapshot { boot: "test".to_owned(), generation: 1, routes, version: 1, ..Snapshot::default() };
    let ready = async {
        while client.put_snapshot(&snapshot).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        client.status().await.unwrap().listening[0]
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the ingress takes the table")
}

/// Which version answers each of so many requests with this header line.
async fn ask(address: SocketAddr, header: &str, requests: usize) -> (usize, usize) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut old, mut new) = (0, 0);
    for _ in 0..requests {
        let request = format!("GET / HTTP/1.1\r\nHost: shop.localhost\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 2048];
        while !(answer.ends_with(b"old") || answer.ends_with(b"new")) {
            let n = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer").unwrap();
            assert!(n > 0, "cut off after {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..n]);
        }
        if answer.ends_with(b"new") { new += 1 } else { old += 1 }
    }
    (old, new)
}

fn share(percent: u8, targeting: Option<Targeting>) -> Share {
    Share { version: NEW, percent, targeting }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_exactly_its_share_however_many_instances_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let address = ingress(dir.path(), table(share(25, None)).await).await;
    let (_, new) = ask(address, "", REQUESTS).await;
    // Six standard deviations around a quarter of 600.
    assert!((87..=213).contains(&new), "{new} of {REQUESTS}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_the_header_go_to_the_canary_whatever_its_share() {
    let dir = tempfile::tempdir().unwrap();
    let header = Targeting::Header { name: "x-canary".to_owned(), value: Some("yes".to_owned()) };
    let address = ingress(dir.path(), table(share(0, Some(header))).await).await;
    assert_eq!(ask(address, "", 100).await, (100, 0), "a share of nothing");
    assert_eq!(ask(address, "X-Canary: yes\r\n", 100).await, (0, 100));
    assert_eq!(ask(address, "X-Canary: no\r\n", 100).await, (100, 0), "another value");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_the_cookie_go_to_the_canary_whatever_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let cookie = Targeting::Cookie { name: "beta".to_owned(), value: None };
    let address = ingress(dir.path(), table(share(0, Some(cookie))).await).await;
    assert_eq!(ask(address, "Cookie: a=b; beta=1\r\n", 100).await, (0, 100));
    assert_eq!(ask(address, "Cookie: alpha=1\r\n", 100).await, (100, 0));
}
