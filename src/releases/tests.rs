use super::store;
use super::{Desired, NewRevision};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, ProjectId, TenantId};
use crate::kernel::random::Random;
use crate::stack::Stack;
use crate::store::Store;
use crate::tenancy::access::Tenant;
use crate::tenancy::store::{members, projects};

#[tokio::test]
async fn a_failed_target_gives_way_to_what_serves_and_keeps_its_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Store::open(&dir.path().join("wharf.db")).await.expect("opens");
    let (now, random) = (Timestamp(1), Random::seeded(5));
    let (id, project, env) =
        (TenantId::new(now, &random), ProjectId::new(now, &random), EnvironmentId::new(now, &random));
    let (tenant, stranger) = (Tenant::platform(id.clone()), Tenant::platform(TenantId::new(now, &random)));
    let mut tx = db.write().await.expect("begins");
    let slug = "acme".parse().expect("a name");
    let new = members::NewTenant { id: &id, slug: &slug, name: "Acme", is_primary: true, sealed_key: b"x" };
    members::create_tenant(&mut tx, new, now).await.expect("tenant");
    projects::create_project(&mut tx, &tenant, &project, &"shop".parse().expect("name"), now).await.expect("project");
    projects::create_environment(&mut tx, &tenant, &project, &env, &"production".parse().expect("name"), now)
        .await
        .expect("env");
    let stack = Stack::default();
    for expected in 1..=2 {
        let new = NewRevision {
            environment: &env,
            stack: &stack,
            config_version: 0,
            source_commit: None,
            author: "ann",
            message: "m",
        };
        assert_eq!(store::insert(&mut tx, &tenant, new, now, &random).await.expect("inserts"), expected);
    }
    let how = (&super::Kept::new(), &super::Progress::default());
    let first = store::set_target(&mut tx, &tenant, &env, 1, how, now).await.expect("targets");
    assert!(store::mark_serving(&mut tx, &tenant, &env, first, None).await.expect("serves"));
    let second = store::set_target(&mut tx, &tenant, &env, 2, how, now).await.expect("targets");
    assert_eq!((first.generation, second.generation), (1, 2));
    assert!(!store::mark_serving(&mut tx, &tenant, &env, first, None).await.expect("is out of date"));
    assert!(!store::fail_target(&mut tx, &stranger, &env, second, "x").await.expect("is not theirs"));
    assert!(store::fail_target(&mut tx, &tenant, &env, second, "exited with code 1").await.expect("gives up"));
    store::forget(&mut tx, &tenant, &env, 1).await.expect("keeps what serves");
    tx.commit().await.expect("commits");

    let desired = store::desired(&db, &tenant, &env).await.expect("reads");
    assert_eq!(
        desired,
        Some(Desired {
            target: Some((first, now)),
            target_kept: super::Kept::new(),
            progress: super::Progress::default(),
            serving: Some(first),
            serving_kept: super::Kept::new(),
            warm: None,
            stopped: false,
            destroyed: false
        })
    );
    assert_eq!(store::desired(&db, &stranger, &env).await.expect("reads"), None);
    let all = store::list(&db, &tenant, &env, 10).await.expect("lists");
    let said: Vec<_> = all.iter().map(|s| (s.revision.number, s.failed_reason.as_deref())).collect();
    assert_eq!(said, [(2, Some("exited with code 1")), (1, None)]);
    assert_eq!(all[0].revision.hash, stack.hash(0));
}

#[tokio::test]
async fn two_admissions_never_take_the_same_room() {
    use crate::stack::quota::{Amounts, Quota};
    let dir = tempfile::tempdir().expect("a folder");
    let db = Store::open(&dir.path().join("wharf.db")).await.expect("opens");
    let (now, random) = (Timestamp(1), Random::seeded(5));
    let (id, project) = (TenantId::new(now, &random), ProjectId::new(now, &random));
    let tenant = Tenant::platform(id.clone());
    let mut tx = db.write().await.expect("begins");
    let slug = "acme".parse().expect("a name");
    let new = members::NewTenant { id: &id, slug: &slug, name: "Acme", is_primary: true, sealed_key: b"x" };
    members::create_tenant(&mut tx, new, now).await.expect("tenant");
    projects::create_project(&mut tx, &tenant, &project, &"shop".parse().expect("name"), now).await.expect("project");
    let environments: Vec<EnvironmentId> = (0..8).map(|_| EnvironmentId::new(now, &random)).collect();
    for (n, env) in environments.iter().enumerate() {
        let name = format!("env-{n}").parse().expect("name");
        projects::create_environment(&mut tx, &tenant, &project, env, &name, now).await.expect("env");
    }
    let whole = Quota { instances: Some(5), ..Quota::default() };
    store::set_quota(&mut tx, &tenant, None, whole).await.expect("sets");
    let own = Quota { memory_mib: Some(4_096), ..Quota::default() };
    store::set_quota(&mut tx, &tenant, Some(&project), own).await.expect("sets");
    tx.commit().await.expect("commits");
    let quotas = store::every_quota(&db).await.expect("reads");
    assert_eq!((quotas.tenants.get(&id), quotas.projects.get(&project)), (Some(&whole), Some(&own)));

    let two = Amounts { instances: 2, cpu_millis: 0, memory_mib: 1_024 };
    let admissions = environments.iter().map(|env| async {
        let mut tx = db.write().await.expect("begins");
        let admitted = store::reserve(&mut tx, &tenant, env, two).await.expect("works");
        if admitted.is_ok() {
            tx.commit().await.expect("commits");
        }
        admitted
    });
    let admitted = futures_util::future::join_all(admissions).await;
    assert_eq!(admitted.iter().filter(|a| a.is_ok()).count(), 2, "{admitted:?}");
    let refused = admitted.into_iter().find_map(Result::err).expect("some are refused").to_string();
    assert_eq!(refused, "the organisation may use 5 instances: 4 are taken, and 2 more are needed");
    // What an environment has already is its own: it may have another amount.
    let mut tx = db.write().await.expect("begins");
    let first = &environments[0];
    let three = Amounts { instances: 3, cpu_millis: 0, memory_mib: 3_072 };
    assert!(store::reserve(&mut tx, &tenant, first, three).await.expect("works").is_ok());
    let more = Amounts { memory_mib: 3_073, ..three };
    let refused = store::reserve(&mut tx, &tenant, first, more).await.expect("works").expect_err("too much");
    assert_eq!(refused.to_string(), "the project may use 4096 MiB of memory: 1024 are taken, and 3073 more are needed");
}
