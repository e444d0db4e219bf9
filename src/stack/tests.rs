use super::diff::diff;
use super::*;

fn web(image: &str) -> Service {
    Service {
        kind: ServiceKind::Web,
        image: ImageRef { name: "shop".to_owned(), id: image.to_owned() },
        entrypoint: None,
        command: None,
        environment: [("PORT".to_owned(), "8080".to_owned())].into(),
        port: Some(8080),
        health: HealthCheck::default_for(ServiceKind::Web),
        replicas: 1,
        limits: Limits::default(),
        stop_grace_seconds: 10,
    }
}

fn stack(services: &[(&str, Service)]) -> Stack {
    let services = services.iter().map(|(n, s)| (n.parse().expect("a name"), s.clone())).collect();
    Stack { services, release: None }
}

#[test]
fn the_hash_depends_on_content_and_configuration_only() {
    let a = stack(&[("web", web("sha256:aa")), ("api", web("sha256:bb"))]);
    let b = stack(&[("api", web("sha256:bb")), ("web", web("sha256:aa"))]);
    assert_eq!(a.hash(1), b.hash(1));
    assert_ne!(a.hash(1), a.hash(2));
    assert_ne!(a.hash(1), stack(&[("web", web("sha256:aa"))]).hash(1));
}

#[test]
fn a_stack_survives_its_json() {
    let a = stack(&[("web", web("sha256:aa"))]);
    let json = serde_json::to_string(&a).expect("to JSON");
    assert_eq!(serde_json::from_str::<Stack>(&json).expect("from JSON"), a);
    assert!(serde_json::from_str::<Stack>(r#"{"services":{},"privileged":true}"#).is_err());
}

#[test]
fn the_difference_names_what_changed() {
    let old = stack(&[("web", web("sha256:aaaaaaaaaaaaaaaa")), ("gone", web("sha256:bb"))]);
    let mut changed = web("sha256:cccccccccccccccc");
    changed.replicas = 3;
    changed.port = Some(9000);
    changed.environment.insert("PORT".to_owned(), "9000".to_owned());
    let new = stack(&[("web", changed), ("fresh", web("sha256:dd"))]);
    let said: Vec<String> = diff(&old, &new).into_iter().map(|c| format!("{} {}", c.subject, c.text)).collect();
    assert_eq!(
        said,
        [
            "fresh is added",
            "web image aaaaaaaaaaaa → cccccccccccc",
            "web environment PORT changes",
            "web port 8080 → 9000",
            "web replicas 1 → 3",
            "gone is removed",
        ]
    );
    assert!(diff(&new, &new).is_empty());
}
