//! Strategies through the whole control loop: the weights the ingress is told, a person's promotion, the way back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::fixtures::stack_of;
use super::platform::Platform;
use crate::releases::{Attempt, Progress, store as releases};
use crate::stack::model::{Pause, Rollout, Step, Strategy};
use crate::stack::{Service, Stack};

fn web(p: &Platform, rollout: Rollout, revision: u32) -> Stack {
    let environment = BTreeMap::from([("REVISION".to_owned(), revision.to_string())]);
    stack_of([("web", Service { rollout, environment, ..p.web(2) })])
}

/// The weight of each backend in the newest table, with the number of its instances; no name when all are equal.
fn weights(p: &Platform) -> Vec<(String, u32, usize)> {
    let routes = p.tables.newest().map(|s| s.routes).unwrap_or_default();
    let Some(route) = routes.iter().find(|r| !r.upstreams.is_empty()) else { return Vec::new() };
    if route.backends.is_empty() {
        return vec![(String::new(), 0, route.upstreams.len())];
    }
    let count = |id: &str| route.upstreams.iter().filter(|u| u.backend == id).count();
    route.backends.iter().map(|b| (b.id.clone(), b.weight, count(&b.id))).collect()
}

#[tokio::test]
async fn a_canary_gets_its_share_and_waits_for_a_person() {
    let p = Platform::new().await;
    let step = Step { weight: 20, pause: Pause { manual: true, ..Pause::default() } };
    let canary = || Rollout { strategy: Strategy::Canary, steps: vec![step.clone()], ..Rollout::default() };
    let first = p.deploy(&web(&p, canary(), 1)).await;
    p.live(first).await;
    let second = p.deploy(&web(&p, canary(), 2)).await;
    let fifth = [("stable".to_owned(), 80, 2), ("canary".to_owned(), 20, 1)];
    p.until("a fifth of the traffic", || weights(&p) == fifth).await;
    let environment = p.owner.environment.clone();
    let report = p.scheduler.report(&environment).unwrap();
    let rollout = report.rollout.clone().expect("it is on its way");
    assert_eq!((rollout.services[0].step, rollout.services[0].percent), (Some(1), Some(20)));
    let asked = "web: step 1 of 1, v2 has 20 % of the requests; somebody must let it go on: wharf rollout promote";
    p.until("it says whom it waits for", || {
        p.scheduler.report(&environment).is_some_and(|r| r.waits.iter().any(|w| w == asked))
    })
    .await;
    let mut tx = p.store.write().await.unwrap();
    let now = report.rollout.as_ref().map_or_else(Default::default, |r| r.since);
    let change = |progress: &mut Progress| progress.promote(false, now);
    let done = releases::change_progress(&mut tx, &p.tenant, &environment, second, change).await.unwrap();
    assert_eq!(done, Some(Ok(())));
    tx.commit().await.unwrap();
    p.scheduler.nudge();
    p.live(second).await;
    p.settled().await;
    assert_eq!(weights(&p), [(String::new(), 0, 2)]);
}

#[tokio::test]
async fn the_way_back_to_a_warm_release_takes_an_instant_and_its_own_instances() {
    let p = Platform::new().await;
    let blue = || Rollout { strategy: Strategy::BlueGreen, ..Rollout::default() };
    let first = p.deploy(&web(&p, blue(), 1)).await;
    p.live(first).await;
    let before = p.tables.upstreams();
    let second = p.deploy(&web(&p, blue(), 2)).await;
    p.live(second).await;
    p.settled().await;
    assert_eq!(p.engine.count(), 4, "the old set is kept");
    let environment = p.owner.environment.clone();
    let row = releases::desired(&p.store, &p.tenant, &environment).await.unwrap().unwrap();
    let warm = row.warm.expect("it is kept for a way back");
    assert_eq!(warm.attempt, first);
    let begun = Instant::now();
    let mut tx = p.store.write().await.unwrap();
    let progress = Progress::begin("ann", "rollback", true);
    let back: Attempt =
        releases::set_warm_target(&mut tx, &p.tenant, &environment, &warm, &progress, warm.until).await.unwrap();
    tx.commit().await.unwrap();
    p.scheduler.nudge();
    p.live(back).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(p.tables.upstreams(), before, "the very instances that served before");
    let life = p.scheduler.report(&environment).and_then(|r| r.services.into_iter().find_map(|s| s.life));
    assert!(life.is_some());
}
