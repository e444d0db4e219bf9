//! The security defaults, read back from a running container.

use super::{Lab, with_docker};
use crate::engine::conformance::{self, Program};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, InstanceSpec, LogQuery};
use futures_util::StreamExt;

/// The effective capabilities of root inside, as the kernel prints them: the bits of the short list.
const EFFECTIVE: &str = "CapEff:\t00000000000004eb";

async fn output_of(lab: &Lab, script: &str) -> String {
    let owner = conformance::owner();
    lab.engine.ensure_network(&conformance::network_of(&owner), &owner).await.unwrap();
    let command = ["sh", "-c", script].map(str::to_owned).into();
    let spec = InstanceSpec { command: Some(command), ..conformance::spec(lab, &owner, "probe", Program::Ends) };
    let id = lab.engine.start(&spec).await.unwrap();
    lab.engine.wait(&id).await.unwrap();
    let lines: Vec<_> = lab.engine.logs(&id, LogQuery::default()).await.unwrap().collect().await;
    lines.into_iter().map(|line| line.unwrap().line + "\n").collect()
}

#[tokio::test]
async fn the_kernel_confirms_the_confinement() {
    with_docker(|lab| async move {
        let text =
            output_of(&lab, "cat /proc/self/status; ulimit -n; hostname; echo port $PORT; cat /proc/1/comm").await;
        for expected in
            ["NoNewPrivs:\t1", "Seccomp:\t2", EFFECTIVE, "\n16384\n", "\nprobe-1\n", "\nport 8080\n", "init"]
        {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn docker_confirms_the_limits() {
    with_docker(|lab| async move {
        let owner = conformance::owner();
        lab.engine.ensure_network(&conformance::network_of(&owner), &owner).await.unwrap();
        let id = lab.engine.start(&conformance::spec(&*lab, &owner, "web", Program::Forever)).await.unwrap();
        let inspect = lab.engine.inspect_own(&id).await.unwrap();
        let host = inspect.host_config.unwrap();
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!((host.cpu_quota, host.cpu_period, host.pids_limit), (Some(50_000), Some(100_000), Some(64)));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!((host.privileged, host.init, host.publish_all_ports), (Some(false), Some(true), Some(false)));
        assert_eq!(
            (host.pid_mode.as_deref(), host.uts_mode.as_deref(), host.userns_mode.as_deref()),
            (Some(""), Some(""), Some(""))
        );
        assert_eq!((host.binds, inspect.mounts), (None, Some(vec![])));
        let networks = inspect.network_settings.unwrap().networks.unwrap();
        assert_eq!(networks.into_keys().collect::<Vec<_>>(), [conformance::network_of(&owner)]);
    })
    .await;
}

#[tokio::test]
async fn files_of_the_installation_are_there_before_the_program_starts() {
    with_docker(|lab| async move {
        let owner = conformance::owner();
        let engine = DockerEngine::new(DockerEngine::DEFAULT_SOCKET, lab.engine.installation.clone())
            .with_file("/etc/wharf/ca-certificates.crt", b"a company's own\n".to_vec());
        engine.ensure_network(&conformance::network_of(&owner), &owner).await.unwrap();
        let command = ["cat", "/etc/wharf/ca-certificates.crt"].map(str::to_owned).into();
        let spec = InstanceSpec { command: Some(command), ..conformance::task(&*lab, &owner, "reads", Program::Ends) };
        let id = engine.start(&spec).await.unwrap();
        assert_eq!(engine.wait(&id).await.unwrap(), 0);
        let lines: Vec<_> = engine.logs(&id, LogQuery::default()).await.unwrap().map(Result::unwrap).collect().await;
        assert_eq!(lines.iter().map(|l| l.line.as_str()).collect::<Vec<_>>(), ["a company's own"]);
    })
    .await;
}
