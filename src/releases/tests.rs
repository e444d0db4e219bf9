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
