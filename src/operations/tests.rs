use std::time::Duration;

use futures_util::StreamExt;

use super::*;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{ProjectId, TenantId};
use crate::tenancy::store::{members, projects};

struct World {
    _dir: tempfile::TempDir,
    store: Store,
    clock: Clock,
    operations: Operations,
    tenant: Tenant,
    environment: EnvironmentId,
}

async fn world() -> World {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&dir.path().join("wharf.db")).await.expect("opens");
    let (clock, random) = (Clock::fake(Timestamp(1_000_000)), Random::seeded(3));
    let id = TenantId::new(clock.now(), &random);
    let tenant = Tenant::platform(id.clone());
    let (project, environment) = (ProjectId::new(clock.now(), &random), EnvironmentId::new(clock.now(), &random));
    let mut tx = store.write().await.expect("begins");
    let slug = "acme".parse().expect("a name");
    let new = members::NewTenant { id: &id, slug: &slug, name: "Acme", is_primary: true, sealed_key: b"x" };
    members::create_tenant(&mut tx, new, clock.now()).await.expect("tenant");
    projects::create_project(&mut tx, &tenant, &project, &"shop".parse().expect("a name"), clock.now())
        .await
        .expect("project");
    let production = "production".parse().expect("a name");
    projects::create_environment(&mut tx, &tenant, &project, &environment, &production, clock.now())
        .await
        .expect("environment");
    tx.commit().await.expect("commits");
    let operations = Operations::new(store.clone(), clock.clone(), random);
    World { _dir: dir, store, clock, operations, tenant, environment }
}

fn deploy(world: &World) -> NewOperation {
    NewOperation {
        environment: world.environment.clone(),
        kind: Kind::Deploy,
        exclusive: true,
        phase: "build",
        actor: "ann@example.com".to_owned(),
        cause: "push".to_owned(),
        input: "{}".to_owned(),
        revision: None,
        deadline_seconds: 600,
    }
}

async fn begin(world: &World) -> Result<Operation, BeginError> {
    let mut tx = world.store.write().await.expect("begins");
    let operation = world.operations.begin(&mut tx, &world.tenant, deploy(world)).await?;
    tx.commit().await.expect("commits");
    Ok(operation)
}

#[tokio::test]
async fn a_second_change_is_told_who_is_at_it_and_a_foreign_tenant_sees_nothing() {
    let world = world().await;
    let first = begin(&world).await.expect("begins");
    world.clock.advance_ms(12_000);
    let Err(BeginError::Busy(active)) = begin(&world).await else { panic!("the second must be refused") };
    assert_eq!(active.describe(world.clock.now()), "deploy by ann@example.com, for 12 s (build)");
    let stranger = Tenant::platform(TenantId::new(world.clock.now(), &Random::seeded(9)));
    assert_eq!(world.operations.get(&stranger, &first.id).await.expect("reads"), None);
    world.operations.finish(&first.id, State::Succeeded, "v1 is live").await.expect("ends");
    begin(&world).await.expect("free again");
}

#[tokio::test]
async fn a_follower_sees_every_line_once_then_the_end_and_can_come_back() {
    let world = world().await;
    let operation = begin(&world).await.expect("begins");
    let token = world.operations.start(&operation).await.expect("starts");
    assert!(!token.is_cancelled());
    let log = world.operations.log(&operation.id);
    log.step("Building").await;
    let follower = tokio::spawn({
        let stream = world.operations.follow(&world.tenant, &operation.id, 0);
        async move { stream.map(|i| i.expect("reads")).collect::<Vec<_>>().await }
    });
    log.output("one\ntwo").await;
    world.operations.finish(&operation.id, State::Failed, "no such file").await.expect("ends");
    let seen = tokio::time::timeout(Duration::from_secs(10), follower).await.expect("in time").expect("joins");
    let texts: Vec<String> = seen
        .iter()
        .map(|i| match i {
            FollowItem::Line(l) => format!("{} {} {}", l.seq, l.kind.as_str(), l.line),
            FollowItem::End(o) => format!("end {} {}", o.state.as_str(), o.summary.clone().unwrap_or_default()),
        })
        .collect();
    assert_eq!(texts, ["1 step Building", "2 output one", "3 output two", "end failed no such file"]);
    let rest = world.operations.follow(&world.tenant, &operation.id, 2).count().await;
    assert_eq!(rest, 2);
    // A second end changes nothing.
    world.operations.finish(&operation.id, State::Succeeded, "late").await.expect("is ignored");
    assert_eq!(world.operations.wait(&world.tenant, &operation.id).await.expect("ended").state, State::Failed);
}

#[tokio::test]
async fn what_passes_its_deadline_is_stopped_then_failed_with_the_reason() {
    let world = world().await;
    let operation = begin(&world).await.expect("begins");
    let token = world.operations.start(&operation).await.expect("starts");
    assert_eq!(world.operations.enforce_deadlines().await.expect("runs"), 0);
    world.clock.advance_ms(600_001);
    assert_eq!(world.operations.enforce_deadlines().await.expect("runs"), 1);
    assert!(token.is_cancelled(), "the driver is told first");
    world.clock.advance_ms(model::CANCEL_GRACE_MS);
    world.operations.enforce_deadlines().await.expect("runs");
    let ended = world.operations.wait(&world.tenant, &operation.id).await.expect("ended");
    assert_eq!(ended.summary.as_deref(), Some("not done within its deadline of 10 min; it was in the phase `build`"));
}

#[tokio::test]
async fn operations_of_a_run_that_crashed_are_found() {
    let world = world().await;
    let operation = begin(&world).await.expect("begins");
    assert!(world.operations.abandoned().await.expect("reads").is_empty());
    let next_boot = Operations::new(world.store.clone(), world.clock.clone(), Random::seeded(77));
    let found = next_boot.abandoned().await.expect("reads");
    assert_eq!(found.iter().map(|o| &o.id).collect::<Vec<_>>(), [&operation.id]);
    next_boot.start(&operation).await.expect("is taken over");
    assert!(next_boot.abandoned().await.expect("reads").is_empty());
}
