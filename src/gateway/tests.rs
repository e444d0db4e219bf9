//! Layers and changes.

use serde_json::json;

use super::model::{Platform, Settings};
use super::patch::{apply, passwords};
use super::store::{Everything, OfApp};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::random::Random;

fn settings(value: serde_json::Value) -> Settings {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_host_goes_before_its_app_and_an_app_before_the_platform() {
    let environment = EnvironmentId::new(Timestamp(1), &Random::seeded(1));
    let host = "shop.example.com".parse().unwrap();
    let of_app = OfApp {
        app: settings(
            json!({"allow": ["10.0.0.0/8"], "response_headers": {"x-a": "app", "x-b": "app"}, "sticky": true}),
        ),
        hosts: [("shop.example.com".parse().unwrap(), settings(json!({"response_headers": {"x-b": "host"}})))].into(),
    };
    let defaults = settings(json!({"compression": false, "allow": ["192.0.2.1"], "response_headers": {"x-c": "all"}}));
    let all = Everything {
        platform: Platform { defaults: defaults.clone(), ..Platform::default() },
        apps: [(environment.clone(), of_app)].into(),
    };
    let want = settings(json!({
        "allow": ["10.0.0.0/8"], "sticky": true, "compression": false,
        "response_headers": {"x-a": "app", "x-b": "host", "x-c": "all"},
    }));
    assert_eq!(all.on(&environment, &host), want);
    let other = EnvironmentId::new(Timestamp(2), &Random::seeded(2));
    assert_eq!(all.on(&other, &host), defaults);
}

#[test]
fn a_change_names_what_it_sets_and_takes_away() {
    let before = settings(json!({"deny": ["10.0.0.1"], "request_headers": {"x-a": "1", "x-b": "2"}}));
    let change = json!({"deny": null, "request_headers": {"x-a": null, "x-c": "3"}, "maintenance": {}});
    let want = settings(json!({"request_headers": {"x-b": "2", "x-c": "3"}, "maintenance": {"message": ""}}));
    assert_eq!(apply(&before, change), Ok(want.clone()));
    assert_eq!(apply(&want, json!({"maintenance": null, "request_headers": null})), Ok(Settings::default()));
    for (change, field) in [
        (json!({"rate_limit": {"requests": "many", "per_seconds": 1}}), "rate_limit.requests"),
        (json!({"rate_limt": {}}), "rate_limt"),
        (json!({"robots": "maybe"}), "robots"),
        (json!([]), "body"),
    ] {
        let refused = apply(&before, change).unwrap_err();
        assert!(refused.field == field || refused.sentence.contains(field), "{refused:?}");
    }
}

#[test]
fn passwords_are_taken_and_hashes_are_not() {
    let mut change = json!({"basic_auth": {"users": {"ann": {"password": "long enough"}, "bob": null}}});
    let found = passwords(&mut change).unwrap();
    assert_eq!(
        found.iter().map(|(name, _, password)| (&**name, &**password)).collect::<Vec<_>>(),
        [("ann", "long enough")]
    );
    for users in [
        json!({"ann": {"hash": "$argon2id$v=19$m=4194304,t=99,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"}}),
        json!({"ann": {"password": "short"}}),
        json!({"a:b": {"password": "long enough"}}),
        json!({"": {"password": "long enough"}}),
        json!({"ann": {}}),
    ] {
        let mut change = json!({"basic_auth": {"users": users}});
        assert!(passwords(&mut change).is_err(), "{change}");
    }
    assert_eq!(passwords(&mut json!({"robots": "deny"})).unwrap().len(), 0);
}

#[test]
fn what_is_shown_holds_no_hash() {
    let kept = settings(json!({"basic_auth": {"users": {"ann": {"hash": "$argon2id$x"}}}}));
    assert_eq!(serde_json::to_value(kept.shown()).unwrap(), json!({"basic_auth": {"users": {"ann": {}}}}));
}
