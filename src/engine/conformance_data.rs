//! The part of the conformance suite about data and about commands inside containers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::conformance::{Program, Subject, spec};
use super::{EngineError, ExecEnd, InstanceSpec, Owner, VolumeKey, VolumeMount};

fn mount(owner: &Owner, name: &str) -> VolumeMount {
    VolumeMount {
        volume: VolumeKey { environment: owner.environment.clone(), name: name.parse().unwrap() },
        labels: [("purpose".to_owned(), "test".to_owned())].into(),
        target: "/data".to_owned(),
        read_only: false,
        subpath: None,
        no_copy: false,
        shared_folder: None,
    }
}

pub(super) async fn volumes(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let mount = mount(&owner, "pg_data");
    let volume = mount.volume.clone();
    let with_volume = |service: &str| InstanceSpec {
        mounts: vec![mount.clone()],
        ..spec(subject, &owner, service, Program::Forever)
    };
    let first = engine.start(&with_volume("db")).await.unwrap();
    let seen = || async {
        let all = engine.volumes(true).await.unwrap();
        all.into_iter().filter(|v| v.owner == owner).collect::<Vec<_>>()
    };
    let there = seen().await;
    assert_eq!((there.len(), &there[0].volume), (1, &volume), "{there:?}");
    assert_ne!(there[0].in_use, Some(false));
    let refused = engine.remove_volume(&volume).await;
    assert!(matches!(refused, Err(EngineError::Refused(_))), "a volume in use stays: {refused:?}");
    engine.remove(&first).await.unwrap();
    assert_eq!(seen().await.len(), 1, "it outlives its containers");
    let second = engine.start(&with_volume("db")).await.unwrap();
    engine.remove(&second).await.unwrap();
    engine.remove_volume(&volume).await.unwrap();
    engine.remove_volume(&volume).await.unwrap();
    assert_eq!(seen().await, []);
}

/// Files are found in a container that has ended, and a shared folder is there for all.
pub(super) async fn paths(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let shared = VolumeMount {
        target: "/shared".to_owned(),
        labels: BTreeMap::new(),
        shared_folder: Some("all".to_owned()),
        ..mount(&owner, "shared")
    };
    let volume = shared.volume.clone();
    let spec = InstanceSpec { mounts: vec![shared], ..spec(subject, &owner, "paths", Program::Forever) };
    let id = engine.start(&spec).await.unwrap();
    assert!(engine.has_path(&id, "/shared/all").await.unwrap());
    assert!(!engine.has_path(&id, "/no/such/path").await.unwrap());
    engine.stop(&id, 1).await.unwrap();
    assert!(engine.has_path(&id, "/shared/all").await.unwrap(), "also when it has ended");
    engine.remove(&id).await.unwrap();
    assert!(matches!(engine.has_path(&id, "/shared/all").await, Err(EngineError::NotFound(_))));
    engine.remove_volume(&volume).await.unwrap();
}

pub(super) async fn exec(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let within = Duration::from_secs(20);
    let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let id = engine.start(&spec(subject, &owner, "checked", Program::Forever)).await.unwrap();
    let good = engine.exec(&id, &words(&["true"]), within).await.unwrap();
    assert!(matches!(good, ExecEnd::Exited { code: 0, .. }), "{good:?}");
    let bad = engine.exec(&id, &words(&["false"]), within).await.unwrap();
    assert!(matches!(bad, ExecEnd::Exited { code: 1, .. }), "{bad:?}");
    let missing = engine.exec(&id, &words(&["/no/such/program"]), within).await.unwrap();
    assert!(matches!(missing, ExecEnd::Exited { code: 126 | 127, .. }), "{missing:?}");
    let slow = engine.exec(&id, &words(&["sleep", "600"]), Duration::from_millis(300)).await.unwrap();
    assert_eq!(slow, ExecEnd::StillRunning);
    let next = engine.exec(&id, &words(&["true"]), within).await.unwrap();
    assert_eq!(next, ExecEnd::StillRunning, "no second one is begun beside it");
    engine.stop(&id, 1).await.unwrap();
    let stopped = engine.exec(&id, &words(&["true"]), within).await;
    assert!(matches!(stopped, Err(EngineError::NotFound(_))), "{stopped:?}");
}
