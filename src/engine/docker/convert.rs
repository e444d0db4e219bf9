//! From a specification to the container Docker is asked for, and back from what Docker says. Pure.
//!
//! The container is written from scratch out of closed types; nothing a tenant wrote passes through to Docker
//! except the command, the environment and the names that were validated before.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState as DockerState, ContainerStateStatusEnum,
    EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    NetworkingConfig, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::labels::{self, Installation};
use crate::engine::{ContainerState, InstanceSpec, Observed, Role, VolumeKey, VolumeMount};
use crate::kernel::clock::Timestamp;
use crate::stack::model::{Container, Tmpfs, Ulimit};

/// The capabilities an ordinary image needs while it starts as root and drops to its user; all others are dropped.
pub(super) const CAPABILITIES: [&str; 7] = [
    "CHOWN",            // entry points hand data folders to the app's user
    "DAC_OVERRIDE",     // root inside reads and writes files of the app's user
    "FOWNER",           // ... and changes their modes
    "KILL",             // a supervisor signals workers that run as another user
    "NET_BIND_SERVICE", // images that listen on 80 or 443
    "SETGID",           // dropping to the app's group
    "SETUID",           // dropping to the app's user
];

/// Open files of one process, soft and hard. Below the hard limit of daemons that may not raise limits.
const OPEN_FILES: i64 = 16_384;
/// Log size kept by Docker per container: 3 files of 10 MB.
const LOG_MAX_SIZE: &str = "10m";
const LOG_MAX_FILES: &str = "3";
const MIB: i64 = 1024 * 1024;
/// The scheduler period over which the CPU quota counts, in microseconds (Docker's own default).
const CPU_PERIOD_US: i64 = 100_000;
/// The smallest quota the kernel takes, in microseconds.
const CPU_QUOTA_MIN_US: i64 = 1_000;

/// The container's name: derived from its identity alone, so that asking twice cannot make two.
pub(super) fn container_name(installation: &Installation, spec: &InstanceSpec) -> String {
    let key = &spec.key;
    let mut name = format!(
        "wharf-{}.{}.{}.v{}.g{}.{}",
        installation.as_str(),
        key.service,
        key.slot,
        key.revision,
        key.generation,
        key.environment
    );
    if spec.role == Role::Task {
        name.push_str(".task");
        if let Some(operation) = &spec.operation {
            name.push('.');
            name.push_str(operation.as_str());
        }
    }
    name
}

/// The body of the request that makes the container.
pub(super) fn container_body(installation: &Installation, spec: &InstanceSpec, attached: bool) -> ContainerCreateBody {
    let endpoint = EndpointSettings { aliases: Some(spec.aliases.clone()), ..Default::default() };
    let told = &spec.container;
    ContainerCreateBody {
        hostname: Some(spec.hostname.clone()),
        domainname: told.domainname.clone(),
        user: told.user.clone(),
        working_dir: told.working_dir.clone(),
        stop_signal: told.stop_signal.clone(),
        // The platform asks by itself, at its own pace; an image's own check beside that would only cost.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        env: Some(spec.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        labels: Some(labels::of_instance(installation, spec)),
        stop_timeout: Some(i64::from(spec.stop_grace_seconds)),
        tty: Some(spec.tty),
        attach_stdin: Some(attached),
        attach_stdout: Some(attached),
        attach_stderr: Some(attached),
        open_stdin: Some(attached || told.stdin_open),
        stdin_once: Some(attached),
        host_config: Some(host_config(spec)),
        networking_config: Some(NetworkingConfig { endpoints_config: Some([(spec.network.clone(), endpoint)].into()) }),
        volumes: Some(volatile_folders(spec)).filter(|v| !v.is_empty()),
        ..Default::default()
    }
}

/// The folders of files in a container whose root cannot be written to: Docker puts files only where it may write, so
/// each becomes a volume without a name, filled with what the image has there, that goes with the container.
fn volatile_folders(spec: &InstanceSpec) -> Vec<String> {
    if !spec.container.read_only {
        return Vec::new();
    }
    let folders: BTreeSet<&str> = spec.files.iter().map(|f| folder(&f.path)).collect();
    let mounted = |path: &str| spec.mounts.iter().any(|m| m.target.trim_end_matches('/') == path);
    folders.into_iter().filter(|f| !mounted(f)).map(str::to_owned).collect()
}

/// The folder a file of a container stands in, without a slash at its end but for the root.
pub(super) fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

/// Limits and confinement. What is not named here stays at Docker's default: its seccomp profile, its AppArmor
/// profile where the kernel has it, no bind mounts, no devices, namespaces of its own.
fn host_config(spec: &InstanceSpec) -> HostConfig {
    let (limits, told) = (&spec.limits, &spec.container);
    let memory = i64::from(limits.memory_mib) * MIB;
    let texts = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    HostConfig {
        network_mode: Some(spec.network.clone()),
        memory: Some(memory),
        // The same figure for memory and memory with swap: no swap on top.
        memory_swap: Some(memory),
        // A quota, not `NanoCpus`: that is refused on machines with fewer cores than the limit.
        cpu_period: Some(CPU_PERIOD_US),
        cpu_quota: Some((i64::from(limits.cpu_millis) * CPU_PERIOD_US / 1000).max(CPU_QUOTA_MIN_US)),
        pids_limit: Some(i64::from(limits.pids)),
        ulimits: Some(ulimits(told)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(capabilities(told)),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        // A small init as process 1 reaps zombies and passes signals on to apps that expect no such duty.
        init: Some(told.init.unwrap_or(true)),
        readonly_rootfs: told.read_only.then_some(true),
        mounts: Some(spec.mounts.iter().map(mount).collect()).filter(|m: &Vec<Mount>| !m.is_empty()),
        tmpfs: Some(told.tmpfs.iter().map(tmpfs).collect()).filter(|t: &HashMap<_, _>| !t.is_empty()),
        shm_size: told.shm_mib.map(|mib| i64::from(mib) * MIB),
        group_add: texts(&told.groups),
        extra_hosts: Some(told.extra_hosts.iter().map(|h| format!("{}:{}", h.name, h.address)).collect())
            .filter(|h: &Vec<_>| !h.is_empty()),
        dns: Some(told.dns.iter().map(ToString::to_string).collect()).filter(|d: &Vec<_>| !d.is_empty()),
        dns_search: texts(&told.dns_search),
        dns_options: texts(&told.dns_options),
        sysctls: Some(told.sysctls.clone().into_iter().collect()).filter(|s: &HashMap<_, _>| !s.is_empty()),
        oom_score_adj: (told.oom_score_adj > 0).then(|| i64::from(told.oom_score_adj)),
        // The planner does the upkeep; two keepers would fight.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(log_options()) }),
        ..Default::default()
    }
}

/// The platform's short list, with what the service adds and takes away.
fn capabilities(told: &Container) -> Vec<String> {
    let mut all: BTreeSet<String> = match told.cap_drop.contains("ALL") {
        true => BTreeSet::new(),
        false => CAPABILITIES.map(str::to_owned).into_iter().filter(|c| !told.cap_drop.contains(c)).collect(),
    };
    all.extend(told.cap_add.iter().cloned());
    all.into_iter().collect()
}

fn ulimits(told: &Container) -> Vec<ResourcesUlimits> {
    let mut all = told.ulimits.clone();
    all.entry("nofile".to_owned()).or_insert(Ulimit { soft: OPEN_FILES, hard: OPEN_FILES });
    let one = |(name, limit): (String, Ulimit)| ResourcesUlimits {
        name: Some(name),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    all.into_iter().map(one).collect()
}

/// The name of a volume in Docker.
pub(super) fn volume_name(volume: &VolumeKey) -> String {
    format!("wharf-{}.{}", volume.environment, volume.name)
}

fn mount(mount: &VolumeMount) -> Mount {
    Mount {
        target: Some(mount.target.clone()),
        source: Some(volume_name(&mount.volume)),
        typ: Some(MountType::VOLUME),
        read_only: Some(mount.read_only),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(mount.no_copy),
            subpath: mount.subpath.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn tmpfs(tmpfs: &Tmpfs) -> (String, String) {
    let mut options = vec!["rw".to_owned(), "nosuid".to_owned(), "nodev".to_owned()];
    options.extend(tmpfs.size_mib.map(|mib| format!("size={mib}m")));
    options.push(format!("mode={:o}", tmpfs.mode.map_or(0o1777, |m| m.bits())));
    (tmpfs.target.clone(), options.join(","))
}

fn log_options() -> HashMap<String, String> {
    [("max-size", LOG_MAX_SIZE), ("max-file", LOG_MAX_FILES)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// What an inspected container is to the planner; `None` when its labels are not whole.
pub(super) fn observed(inspect: &ContainerInspectResponse, restarts: u32) -> Option<Observed> {
    let labels = inspect.config.as_ref()?.labels.as_ref()?;
    let identity = labels::parse(labels)?;
    let state = container_state(inspect.state.as_ref()?);
    let address = match state {
        ContainerState::Running { .. } => address(inspect),
        _ => None,
    };
    Some(Observed {
        id: inspect.id.clone()?,
        key: identity.key,
        owner: identity.owner,
        role: identity.role,
        state,
        restarts,
        address,
        image: inspect.image.clone().unwrap_or_default(),
        operation: identity.operation,
    })
}

/// Docker's state in the words of the planner. A paused container is running as far as we are concerned.
pub(super) fn container_state(state: &DockerState) -> ContainerState {
    use ContainerStateStatusEnum as Status;
    let time = |text: &Option<String>| text.as_deref().and_then(timestamp).unwrap_or_default();
    match state.status {
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING) => {
            ContainerState::Running { started_at: time(&state.started_at) }
        }
        Some(Status::EXITED | Status::DEAD | Status::REMOVING | Status::STOPPING) => ContainerState::Exited {
            code: state.exit_code.unwrap_or_default(),
            oom_killed: state.oom_killed.unwrap_or_default(),
            finished_at: time(&state.finished_at),
        },
        _ => ContainerState::Created,
    }
}

fn address(inspect: &ContainerInspectResponse) -> Option<IpAddr> {
    let networks = inspect.network_settings.as_ref()?.networks.as_ref()?;
    let mut names: Vec<_> = networks.keys().collect();
    names.sort();
    names.into_iter().find_map(|name| networks[name].ip_address.as_deref()?.parse().ok())
}

/// A moment from RFC 3339 text; `None` for Docker's zero time and for anything else that is no moment.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    (moment.as_millisecond() > 0).then(|| Timestamp(moment.as_millisecond()))
}
