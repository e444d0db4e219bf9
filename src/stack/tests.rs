use std::collections::BTreeSet;

use super::diff::{Difference, Effect, Resources, diff, goes_on};
use super::model::*;
use super::*;
use crate::kernel::name::ServiceName;

fn web(image: &str) -> Service {
    Service {
        environment: [("PORT".to_owned(), "8080".to_owned())].into(),
        port: Some(8080),
        ..Service::new(ServiceKind::Web, ImageRef { name: "shop".to_owned(), id: image.to_owned() })
    }
}

fn stack(services: &[(&str, Service)]) -> Stack {
    let services = services.iter().map(|(n, s)| (n.parse().expect("a name"), s.clone())).collect();
    Stack { services, ..Stack::default() }
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

/// Two stacks as their manifests give them.
fn from_text(text: &str) -> Stack {
    let files = super::compose::InMemory::single("compose.yaml", text);
    let outcome = super::compose::parse(&files, &super::compose::Request::default());
    outcome.manifest.unwrap_or_else(|| panic!("{:?}", outcome.findings)).stack
}

#[test]
fn a_plan_says_what_restarts_and_what_it_needs() {
    let old = from_text(
        "services:
  web: {image: 'shop:1', expose: ['80'], environment: {A: '1', SECRET: one}, deploy: {replicas: 2}}
  api: {image: 'shop:1', x-wharf: {port: 80, routes: [/api]}}
  db: {image: postgres, volumes: ['data:/data']}
  gone: {image: 'shop:1'}
volumes: {data: {}}
x-wharf: {version: '1'}
",
    );
    let new = from_text(
        "services:
  web: {image: 'shop:2', expose: ['80'], environment: {SECRET: two}, deploy: {replicas: 3}, mem_limit: 1g}
  api: {image: 'shop:1', x-wharf: {port: 80, routes: [/v2], criticality: high, scale: {max: 4}}}
  db: {image: postgres, volumes: ['data:/data', 'more:/more'], configs: [c]}
  fresh: {image: 'shop:1', x-wharf: {schedule: '@daily'}}
volumes: {data: {x-wharf: {size: 1g}}, more: {}}
configs: {c: {content: x}}
x-wharf: {version: '2'}
",
    );
    let free = Resources { cpu_millis: 8_000, memory_mib: 2_000 };
    let plan = Difference::between(Some(&old), &new, &BTreeSet::new(), Some(free));
    insta::assert_snapshot!(plan.render(), @r"
    ~ api (is routed anew)
        route (all domains)/v2 to port 80 is added
        route (all domains)/api to port 80 is removed
        scaling none → 1-4
        criticality normal → high
    ~ db (restarts)
        volume more at /more
        file /c changes
    + fresh (starts)
        is added
    ~ web (restarts)
        image shop:1 → shop:2
        environment A is removed
        environment SECRET changes
        replicas 2 → 3
        limits change: memory 512 → 1024 MiB
    - gone (stops)
        is removed
    ~ stack
        volume more is added
        volume data no size → 1024 MiB
        version 1 → 2
    memory: 2560 → 4096 MiB, 1024 more on the way, 2000 free
    processor: 5000 → 5000 millicores, 1000 more on the way, 8000 free
    this does not fit: lower limits or replicas, or add a node
    ");
    assert_eq!(plan.demand.fits, Some(false));
    let json = serde_json::to_value(&plan).expect("JSON");
    assert_eq!(json["services"]["web"], "restart");
    assert_eq!(json["changes"][0]["aspect"], "routes");
    assert!(!json.to_string().contains("two"), "values are never shown");
    assert!(Difference::between(Some(&new), &new, &BTreeSet::new(), None).is_empty());
    assert_eq!(Difference::between(None, &new, &BTreeSet::new(), None).services.values().max(), Some(&Effect::Start));
}

/// What an installation stored before the manifest could say more; its text and hash must stay what they were.
const FIRST_FORM: &str = r#"{"services":{"web":{"kind":"web","image":{"name":"shop","id":"sha256:aa"},"environment":{"PORT":"8080"},"port":8080,"health":{"protocol":"tcp","interval_ms":5000,"timeout_ms":2000,"failures":3,"start_deadline_ms":60000,"settle_ms":500},"replicas":1,"limits":{"cpu_millis":1000,"memory_mib":512,"pids":512},"stop_grace_seconds":10}}}"#;

#[test]
fn stored_revisions_keep_their_json_and_their_hash() {
    let stored: Stack = serde_json::from_str(FIRST_FORM).expect("the first form is read");
    assert_eq!(stored, stack(&[("web", web("sha256:aa"))]));
    assert_eq!(serde_json::to_string(&stored).expect("to JSON"), FIRST_FORM);
    assert_eq!(stored.hash(3), "c61dc5c835b3738556cff4fb7b3c3b933fe26031b451942eb916beffaa8a7335");
}

#[test]
fn a_full_service_survives_its_json() {
    let mut service = web("sha256:aa");
    service.care = Care::Pet;
    service.criticality = Criticality::Critical;
    service.depends_on = [("db".parse().expect("a name"), dependency(DependencyCondition::Healthy))].into();
    service.routes = vec![Route {
        host: RouteHost::Domain("shop.example.org".parse().expect("a host")),
        path: "/".to_owned(),
        strip_path: false,
        port: 8080,
        protocol: RouteProtocol::Grpc,
    }];
    service.rollout = Rollout {
        strategy: Strategy::Canary,
        steps: vec![Step { weight: 10, pause: Pause { seconds: Some(60), ..Pause::default() } }],
        targeting: Some(Targeting::Header { name: "x-canary".to_owned(), value: None }),
        max_surge: Some(Amount::Percent(25)),
        ..Rollout::default()
    };
    service.scale = Some(Scale {
        min: 0,
        max: 5,
        metrics: vec![Metric::Concurrency(20), Metric::Query { query: "queue".to_owned(), target_permille: 1500 }],
        schedule: Vec::new(),
        cooldown_seconds: None,
        idle_seconds: Some(300),
    });
    let a = stack(&[("web", service)]);
    let json = serde_json::to_string(&a).expect("to JSON");
    assert_eq!(serde_json::from_str::<Stack>(&json).expect("from JSON"), a);
}

fn dependency(condition: DependencyCondition) -> Dependency {
    Dependency { condition, optional: false, restart: false }
}

fn needing(needs: &[&str]) -> Service {
    let depends_on = needs.iter().map(|n| (n.parse().expect("a name"), dependency(DependencyCondition::Started)));
    Service { depends_on: depends_on.collect(), ..web("sha256:aa") }
}

fn names(waves: Vec<Vec<crate::kernel::name::ServiceName>>) -> Vec<String> {
    waves.into_iter().map(|w| w.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn services_start_after_what_they_need_and_stop_before_it() {
    let shop = stack(&[
        ("web", needing(&["api", "cache"])),
        ("api", needing(&["db"])),
        ("db", needing(&[])),
        ("cache", needing(&["elsewhere"])),
    ]);
    assert_eq!(names(graph::start_order(&shop)), ["cache db", "api", "web"]);
    assert_eq!(names(graph::stop_order(&shop)), ["web", "api", "cache db"]);
    assert_eq!(graph::cycles(&shop), Vec::<Vec<_>>::new());
    let on_db = graph::dependents(&shop, &"db".parse().expect("a name"));
    assert_eq!(on_db.iter().map(ToString::to_string).collect::<Vec<_>>(), ["api", "web"]);
}

#[test]
fn a_circle_is_named_and_does_not_make_the_order_endless() {
    let knot = stack(&[
        ("a", needing(&["b"])),
        ("b", needing(&["c"])),
        ("c", needing(&["a"])),
        ("d", needing(&["a"])),
        ("e", needing(&["e"])),
        ("f", needing(&[])),
    ]);
    assert_eq!(names(graph::cycles(&knot)), ["a b c", "e"]);
    assert_eq!(names(graph::start_order(&knot)), ["f", "a b c d e"]);
}

#[test]
fn a_critical_service_on_a_less_critical_one_is_found() {
    let mut web = needing(&["db"]);
    web.criticality = Criticality::Critical;
    let weak = graph::weak_dependencies(&stack(&[("web", web), ("db", needing(&[]))]));
    assert_eq!(weak.len(), 1);
    assert_eq!((weak[0].on.as_str(), weak[0].on_criticality), ("db", Criticality::Normal));
}

#[test]
fn release_commands_come_in_start_order() {
    let release = |c: &str| Some(Release { command: vec![c.to_owned()], deadline_seconds: 60 });
    let (mut a, mut b) = (needing(&["b"]), needing(&[]));
    (a.release, b.release) = (release("second"), release("first"));
    let commands: Vec<String> =
        stack(&[("a", a), ("b", b)]).release_commands().into_iter().flat_map(|r| r.command).collect();
    assert_eq!(commands, ["first", "second"]);
}

#[test]
fn references_are_filled_once_and_only_those_that_are_listed() {
    let name = |n: &str| -> crate::kernel::name::VariableName { n.parse().expect("a name") };
    let mut service = web("sha256:aa");
    service.references = [name("PASSWORD")].into();
    service.environment.insert("URL".to_owned(), "db://u:${{PASSWORD}}@db/${{OTHER}}${{".to_owned());
    service.command = Some(vec!["redis-server".to_owned(), "--requirepass".to_owned(), "${{PASSWORD}}".to_owned()]);
    let filled = service.fill(&|_| Some("${{PASSWORD}}!".to_owned())).expect("it has a value");
    assert_eq!(filled.environment["URL"], "db://u:${{PASSWORD}}!@db/${{OTHER}}${{");
    assert_eq!(filled.command.expect("a command")[2], "${{PASSWORD}}!");
    assert_eq!(service.fill(&|_| None), Err(name("PASSWORD")));
}

#[test]
fn networks_decide_who_may_talk() {
    let within = |n: &[&str]| {
        let networks = n.iter().map(|n| (n.parse().expect("a name"), Attachment::default())).collect();
        Service { networks, ..needing(&[]) }
    };
    let s = stack(&[
        ("web", within(&["front"])),
        ("api", within(&["front", "back"])),
        ("db", within(&["back"])),
        ("any", within(&[])),
        ("other", within(&["default"])),
    ]);
    let talk = |a: &str, b: &str| s.may_talk(&a.parse().expect("a name"), &b.parse().expect("a name"));
    assert!(talk("web", "api") && talk("api", "db") && talk("any", "other"));
    assert!(!talk("web", "db") && !talk("any", "db"));
}

#[test]
fn amounts_round_in_the_direction_that_keeps_service() {
    assert_eq!((Amount::Percent(25).of_up(10), Amount::Percent(25).of_down(10)), (3, 2));
    assert_eq!((Amount::Count(3).of_up(2), Amount::Count(3).of_down(2)), (3, 2));
}

/// What is said to restart does, and nothing else.
#[test]
fn instances_go_on_exactly_when_no_restart_is_announced() {
    let text = |service: &str, more: &str| {
        format!(
            "services:\n  web: {{image: 'shop:1', expose: ['80']{service}}}\n  db: {{image: postgres}}\nvolumes: {{data: {{}}}}\nconfigs: {{c: {{content: {more}}}}}\n"
        )
    };
    let web: ServiceName = "web".parse().expect("a name");
    let old = from_text(&text("", "x"));
    let mut checked = 0;
    for (service, restarts) in [
        ("", false),
        (", environment: {A: '1'}", true),
        (", command: run", true),
        (", user: '1000'", true),
        (", volumes: ['data:/data']", true),
        (", configs: [c]", true),
        (", mem_limit: 1g", true),
        (", stop_grace_period: 60s", true),
        (", healthcheck: {test: [CMD, 'true']}", true),
        (", container_name: shop", true),
        (", deploy: {replicas: 3}", false),
        (", depends_on: [db]", false),
        (", restart: 'no'", false),
        (", x-wharf: {criticality: high}", false),
        (", x-wharf: {routes: [/v2]}", false),
        (", x-wharf: {scale: {max: 4}}", false),
        (", x-wharf: {rollout: {strategy: blue-green}}", false),
        (", x-wharf: {limits: {rate: 5/s}}", false),
        (", x-wharf: {resilience: {retries: {attempts: 1}}}", false),
        (", x-wharf: {slo: {availability: 99.9%}}", false),
        (", x-wharf: {release: [migrate]}", false),
    ] {
        let new = from_text(&text(service, "x"));
        let plan = Difference::between(Some(&old), &new, &BTreeSet::new(), None);
        let announced = plan.services.get(&web).is_some_and(|effect| *effect >= Effect::Restart);
        assert_eq!((announced, goes_on(&old, &new, &web, &BTreeSet::new())), (restarts, !restarts), "{service}");
        assert_eq!(plan.services.contains_key(&web), !service.is_empty(), "{service} is told");
        checked += 1;
    }
    assert_eq!(checked, 21);
}

#[test]
fn only_services_that_read_a_variable_restart_when_it_changes() {
    let mut old =
        from_text("services: {web: {image: 'shop:1', expose: ['80']}, api: {image: 'shop:1', expose: ['80']}}");
    old.origin = Origin::Manifest;
    let (web, api): (ServiceName, ServiceName) = ("web".parse().expect("a name"), "api".parse().expect("a name"));
    let reference = "PASSWORD".parse().expect("a name");
    old.services.get_mut(&web).expect("there").references = [reference].into();
    let changed: BTreeSet<String> = ["PASSWORD".to_owned()].into();
    assert!(!goes_on(&old, &old, &web, &changed));
    assert!(goes_on(&old, &old, &api, &changed));
    let plan = Difference::between(Some(&old), &old, &changed, None);
    assert_eq!(plan.changes.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["configuration PASSWORD changes"]);
    // An app without a manifest gets all of its configuration.
    let app = Stack { origin: Origin::App, ..old };
    assert!(!goes_on(&app, &app, &api, &changed));
}
