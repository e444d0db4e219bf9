//! Builds on the real builder.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::StreamExt;

use super::{BASE, Lab, with_docker};
use crate::engine::{BuildEvent, BuildRequest, Engine, EngineError, conformance};
use crate::kernel::clock::Clock;
use crate::kernel::id::OperationId;
use crate::kernel::random::Random;

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn request(lab: &Lab, dockerfile: &str) -> BuildRequest {
    let context = Bytes::from(tar_of(&[("Dockerfile", dockerfile.as_bytes()), ("hello.txt", b"hello")]));
    BuildRequest {
        owner: conformance::owner(),
        operation: OperationId::new(Clock::system().now(), &Random::system()),
        context: futures_util::stream::iter([Ok(context)]).boxed(),
        dockerfile: "Dockerfile".to_owned(),
        tag: format!("wharf-test/{}:1", lab.engine.installation.as_str()),
        build_args: BTreeMap::new(),
        target: None,
        labels: BTreeMap::new(),
        pull: false,
        extra_hosts: Vec::new(),
        secrets: BTreeMap::new(),
        no_cache: false,
        memory_mib: 512,
        cpu_millis: 1000,
        disk_mib: 1024,
        deadline_seconds: 120,
    }
}

async fn outcome(lab: &Lab, request: BuildRequest) -> (Vec<BuildEvent>, Option<EngineError>) {
    let mut stream = lab.engine.build(request).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(e) => return (events, Some(e)),
        }
    }
    (events, None)
}

#[tokio::test]
async fn a_build_streams_its_steps_and_ends_with_the_image() {
    with_docker(|lab| async move {
        let text = format!(
            "FROM {BASE}\nARG WHO\nCOPY hello.txt /\nRUN echo salt {} && printf 'to %s' \"$WHO\" && cat /hello.txt\nEXPOSE 8080 53/udp\nENV A=b\nUSER 1000\n",
            lab.engine.installation.as_str()
        );
        let mut request = request(&lab, &text);
        request.build_args.insert("WHO".to_owned(), "all".to_owned());
        let owner = request.owner.clone();
        let (events, error) = outcome(&lab, request).await;
        assert!(error.is_none(), "{error:?}\n{events:?}");
        let step = |part: &str| events.iter().any(|e| matches!(e, BuildEvent::Step(s) if s.contains(part)));
        assert!(step("FROM") && step("COPY hello.txt /") && step("RUN echo salt"), "{events:?}");
        assert!(events.contains(&BuildEvent::Output("to allhello".to_owned())), "{events:?}");
        let Some(BuildEvent::Built(id)) = events.last() else { panic!("{events:?}") };
        let facts = lab.engine.inspect_image(id).await.unwrap();
        assert_eq!((&facts.id, facts.exposed_ports.as_slice(), facts.user.as_str()), (id, &[8080][..], "1000"));
        assert_eq!(facts.environment.get("A").map(String::as_str), Some("b"));
        let images = lab.engine.images().await.unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].environment.as_ref(), Some(&owner.environment));
        assert!(images[0].size_bytes > 0 && images[0].tags.len() == 1, "{images:?}");
    })
    .await;
}

#[tokio::test]
async fn secrets_reach_the_step_and_not_the_image() {
    with_docker(|lab| async move {
        let text = format!(
            "FROM {BASE}\nRUN --mount=type=secret,id=wharf-ca,target=/ca.pem sh -c 'echo {}; cat /ca.pem' \nRUN test ! -s /ca.pem && echo gone\n",
            lab.engine.installation.as_str()
        );
        let mut request = request(&lab, &text);
        request.secrets.insert("wharf-ca".to_owned(), b"the bundle\n".to_vec());
        let (events, error) = outcome(&lab, request).await;
        assert!(error.is_none(), "{error:?}\n{events:?}");
        assert!(events.contains(&BuildEvent::Output("the bundle".to_owned())), "{events:?}");
        assert!(events.contains(&BuildEvent::Output("gone".to_owned())), "{events:?}");
    })
    .await;
}

#[tokio::test]
async fn a_failing_step_is_named() {
    with_docker(|lab| async move {
        let (events, error) = outcome(&lab, request(&lab, &format!("FROM {BASE}\nRUN echo before; exit 3\n"))).await;
        let Some(EngineError::BuildFailed(text)) = error else { panic!("{error:?} {events:?}") };
        assert!(text.contains("RUN echo before; exit 3") && text.contains("exit code: 3"), "{text}");
        let (_, error) = outcome(&lab, request(&lab, "NONSENSE\n")).await;
        assert!(matches!(&error, Some(EngineError::BuildFailed(t)) if t.contains("NONSENSE")), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_build_past_its_deadline_is_stopped() {
    with_docker(|lab| async move {
        let text = format!("FROM {BASE}\nRUN echo {}; sleep 600\n", lab.engine.installation.as_str());
        let mut request = request(&lab, &text);
        request.deadline_seconds = 3;
        let (_, error) = outcome(&lab, request).await;
        assert!(matches!(error, Some(EngineError::TimedOut { seconds: 3, .. })), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_broken_context_is_told() {
    with_docker(|lab| async move {
        let mut request = request(&lab, "FROM scratch\n");
        request.context = futures_util::stream::iter([Err(EngineError::Refused("disk on fire".to_owned()))]).boxed();
        let (_, error) = outcome(&lab, request).await;
        assert!(matches!(&error, Some(EngineError::BuildFailed(t)) if t.contains("disk on fire")), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_build_that_fills_the_disk_is_stopped_and_told() {
    with_docker(|lab| async move {
        let salt = lab.engine.installation.as_str();
        let cache = format!("--mount=type=cache,id={salt},target=/c");
        // Two steps of 40 MiB each, the second one into a cache: neither alone passes the limit.
        let text = format!(
            "FROM {BASE}\nRUN echo {salt}; head -c 40M /dev/urandom > /a; sleep 3\nRUN {cache} head -c 40M /dev/urandom > /c/b; sleep 600\n"
        );
        let mut request = request(&lab, &text);
        request.disk_mib = 64;
        let (events, error) = outcome(&lab, request).await;
        let Some(EngineError::BuildFailed(text)) = error else { panic!("{error:?} {events:?}") };
        assert!(text.contains("64 MiB is what a build may write"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_step_that_eats_memory_is_killed_and_told() {
    with_docker(|lab| async move {
        let text = format!(
            "FROM {BASE}\nRUN echo {}; perl -e '$x = \"x\" x (1 << 30); sleep 600'\n",
            lab.engine.installation.as_str()
        );
        let (events, error) = outcome(&lab, request(&lab, &text)).await;
        let Some(EngineError::BuildFailed(text)) = error else { panic!("{error:?} {events:?}") };
        assert!(text.contains("used more memory than a build may"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn dropping_the_stream_stops_the_step() {
    with_docker(|lab| async move {
        let marker = format!("marker-{}", lab.engine.installation.as_str());
        let script = r#"["perl", "-e", "$| = 1; print qq(ready\\n); sleep 600", "#;
        let text = format!("FROM {BASE}\nRUN {script}\"{marker}\"]\n");
        let mut stream = lab.engine.build(request(&lab, &text)).await.unwrap();
        while stream.next().await.expect("more").unwrap() != BuildEvent::Output("ready".to_owned()) {}
        assert!(runs(&marker), "the step runs on this machine");
        drop(stream);
        let gone = async {
            while runs(&marker) {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("the step is stopped");
    })
    .await;
}

/// Whether a process of this machine has the word as its last argument.
fn runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line.strip_suffix(b"\0").is_some_and(|l| l.ends_with(word.as_bytes())))
}

#[tokio::test]
async fn a_root_file_system_becomes_an_image() {
    with_docker(|lab| async move {
        let tag = format!("wharf-test/{}:base", lab.engine.installation.as_str());
        let tar = tar_of(&[("bin/app", b"not a program")]);
        let entrypoint = vec!["/bin/app".to_owned(), "with \"quotes\"".to_owned()];
        let id = lab.engine.import_image(&tag, tar, entrypoint.clone()).await.unwrap();
        assert_eq!(lab.engine.inspect_image(&tag).await.unwrap().id, id);
        let inspect = lab.engine.client().await.unwrap().inspect_image(&id).await.unwrap();
        assert_eq!(inspect.config.unwrap().entrypoint, Some(entrypoint));
        assert_eq!(lab.engine.images().await.unwrap()[0].tags, std::slice::from_ref(&tag));
        lab.engine.remove_image(&id).await.unwrap();
        lab.engine.remove_image(&id).await.unwrap();
        assert!(matches!(lab.engine.inspect_image(&tag).await, Err(EngineError::NotFound(_))));
        // An image that somebody else made is left alone.
        assert!(matches!(lab.engine.remove_image(&lab.image).await, Err(EngineError::Refused(_))));
    })
    .await;
}

#[tokio::test]
async fn an_image_in_use_stays() {
    with_docker(|lab| async move {
        let text = format!("FROM {BASE}\nLABEL salt={}\n", lab.engine.installation.as_str());
        let (events, error) = outcome(&lab, request(&lab, &text)).await;
        let Some(BuildEvent::Built(id)) = events.last() else { panic!("{error:?} {events:?}") };
        let owner = conformance::owner();
        lab.engine.ensure_network(&conformance::network_of(&owner), &owner).await.unwrap();
        let spec = conformance::spec(&*lab, &owner, "web", conformance::Program::Forever);
        let container = lab.engine.start(&crate::engine::InstanceSpec { image: id.clone(), ..spec }).await.unwrap();
        lab.engine.remove_image(id).await.unwrap();
        assert_eq!(lab.engine.images().await.unwrap()[0].tags.len(), 1, "it keeps its name, too");
        lab.engine.remove(&container).await.unwrap();
        lab.engine.remove_image(id).await.unwrap();
        assert_eq!(lab.engine.images().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_is_said() {
    with_docker(|lab| async move {
        let name = "registry.invalid/wharf-test/none:1";
        let error = lab.engine.ensure_image(name).await.unwrap_err();
        let EngineError::ImageMissing { image, reason } = &error else { panic!("{error}") };
        assert_eq!(image, name);
        assert!(reason.contains("cannot be reached"), "{reason}");
    })
    .await;
}
