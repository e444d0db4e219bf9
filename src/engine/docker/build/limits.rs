//! Holds build steps to their share of CPU and memory.
//!
//! Docker's API has no such knob for BuildKit, so the limits are written where they take effect: into the cgroup the
//! steps run in. With the `cgroupfs` driver all steps of all builds share `docker/buildkit`, so the figures hold for
//! builds together; with the `systemd` driver each step has a scope of its own and gets the figures for itself.
//! A limit stays in place after the build, until the next build sets its own.
//! Needs root on Docker's machine; without it builds run unlimited and a warning is logged once per build.
//! Not covered: what the builder itself does (`COPY`, exporting), which is bound by disk rather than by memory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the kernel shows its control groups.
pub(super) const ROOT: &str = "/sys/fs/cgroup";
/// How soon a step that has just started is limited.
const INTERVAL: Duration = Duration::from_millis(100);
/// The period over which the CPU quota counts, in microseconds.
const PERIOD_US: u64 = 100_000;
/// BuildKit's ids of steps have 25 characters; Docker's ids of containers have 64.
const STEP_ID_LENGTH: usize = 25;

/// Applies the limits to every step that starts. Never ends; it is raced against the build.
pub(super) async fn enforce(cpu_millis: u32, memory_mib: u32) {
    let files = Limits { cpu_millis: cpu_millis.into(), memory_bytes: u64::from(memory_mib) * 1024 * 1024 };
    let mut warned = false;
    loop {
        if let Err(error) = apply(Path::new(ROOT), &files).await
            && !warned
        {
            tracing::warn!(%error, "build steps cannot be limited in CPU and memory; is Wharf running as root?");
            warned = true;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    cpu_millis: u64,
    memory_bytes: u64,
}

async fn apply(root: &Path, limits: &Limits) -> io::Result<()> {
    let unified = exists(&root.join("cgroup.controllers")).await;
    if !unified {
        let (cpu, memory) = (root.join("cpu/docker"), root.join("memory/docker"));
        if exists(&cpu).await && exists(&memory).await {
            return apply_v1(&made(&cpu).await?, &made(&memory).await?, limits).await;
        }
        return Ok(());
    }
    let docker = root.join("docker");
    if exists(&docker).await {
        apply_v2(&made(&docker).await?, limits).await?;
    }
    for scope in step_scopes(&root.join("system.slice")).await? {
        apply_v2(&scope, limits).await?;
    }
    Ok(())
}

/// The group for all steps, made before the first step so that it starts out limited.
async fn made(docker: &Path) -> io::Result<PathBuf> {
    let group = docker.join("buildkit");
    match tokio::fs::create_dir(&group).await {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(group),
    }
}

async fn apply_v1(cpu: &Path, memory: &Path, limits: &Limits) -> io::Result<()> {
    set(&cpu.join("cpu.cfs_period_us"), PERIOD_US).await?;
    set(&cpu.join("cpu.cfs_quota_us"), limits.cpu_millis * PERIOD_US / 1000).await?;
    // Memory with swap may never be the smaller one, so the order depends on the direction: try both.
    let (plain, with_swap) = (memory.join("memory.limit_in_bytes"), memory.join("memory.memsw.limit_in_bytes"));
    let first = set(&plain, limits.memory_bytes).await;
    if exists(&with_swap).await {
        set(&with_swap, limits.memory_bytes).await?;
    }
    match first {
        Ok(()) => Ok(()),
        Err(_) => set(&plain, limits.memory_bytes).await,
    }
}

async fn apply_v2(group: &Path, limits: &Limits) -> io::Result<()> {
    let quota = limits.cpu_millis * PERIOD_US / 1000;
    let values = [
        ("cpu.max", format!("{quota} {PERIOD_US}")),
        ("memory.max", limits.memory_bytes.to_string()),
        ("memory.swap.max", "0".to_owned()),
    ];
    for (file, value) in values {
        match set(&group.join(file), value).await {
            // The step has ended meanwhile, or the kernel has no swap accounting.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// The scopes of running steps, when systemd keeps the groups: `docker-<25 characters>.scope`.
async fn step_scopes(slice: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = match tokio::fs::read_dir(slice).await {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut scopes = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        if name.to_str().is_some_and(is_step_scope) {
            scopes.push(entry.path());
        }
    }
    Ok(scopes)
}

/// One process of each running step, by the same groups; empty where none runs or none can be seen.
pub(super) fn step_processes(root: &Path) -> Vec<u32> {
    let groups = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    let is_scope = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(is_step_scope);
    groups(root.join("memory/docker/buildkit"))
        .chain(groups(root.join("docker/buildkit")))
        .chain(groups(root.join("system.slice")).filter(is_scope))
        .filter_map(|group| std::fs::read_to_string(group.join("cgroup.procs")).ok())
        .filter_map(|processes| processes.lines().next()?.parse().ok())
        .collect()
}

/// `docker-<25 characters>.scope`
fn is_step_scope(name: &str) -> bool {
    name.strip_prefix("docker-").and_then(|n| n.strip_suffix(".scope")).is_some_and(|id| id.len() == STEP_ID_LENGTH)
}

/// Writes a value unless it is there already.
async fn set(file: &Path, value: impl ToString) -> io::Result<()> {
    let value = value.to_string();
    if tokio::fs::read_to_string(file).await?.trim() == value {
        return Ok(());
    }
    tokio::fs::write(file, value).await
}

async fn exists(path: &Path) -> bool {
    tokio::fs::try_exists(path).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { cpu_millis: 1500, memory_bytes: 64 << 20 };

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "max\n").unwrap();
        }
        root
    }

    fn read(root: &tempfile::TempDir, file: &str) -> String {
        std::fs::read_to_string(root.path().join(file)).unwrap()
    }

    #[tokio::test]
    async fn limits_the_group_of_all_steps() {
        let root = tree(&[
            "cpu/docker/buildkit/cpu.cfs_period_us",
            "cpu/docker/buildkit/cpu.cfs_quota_us",
            "memory/docker/buildkit/memory.limit_in_bytes",
        ]);
        apply(root.path(), &LIMITS).await.unwrap();
        assert_eq!(read(&root, "cpu/docker/buildkit/cpu.cfs_quota_us"), "150000");
        assert_eq!(read(&root, "memory/docker/buildkit/memory.limit_in_bytes"), "67108864");
    }

    #[tokio::test]
    async fn limits_steps_and_never_containers() {
        let step = format!("system.slice/docker-{}.scope", "a".repeat(25));
        let container = format!("system.slice/docker-{}.scope/memory.max", "a".repeat(64));
        let files = [format!("{step}/cpu.max"), format!("{step}/memory.max"), container.clone()];
        let root =
            tree(&["cgroup.controllers", &files[0], &files[1], &files[2], "system.slice/docker.service/memory.max"]);
        apply(root.path(), &LIMITS).await.unwrap();
        assert_eq!((read(&root, &files[0]).as_str(), read(&root, &files[1]).as_str()), ("150000 100000", "67108864"));
        assert_eq!(
            (read(&root, &container).as_str(), read(&root, "system.slice/docker.service/memory.max").as_str()),
            ("max\n", "max\n")
        );
    }

    #[test]
    fn finds_a_process_of_each_step() {
        let scope = format!("system.slice/docker-{}.scope/cgroup.procs", "a".repeat(25));
        let container = format!("system.slice/docker-{}.scope/cgroup.procs", "b".repeat(64));
        let root =
            tree(&["memory/docker/buildkit/s/cgroup.procs", "docker/buildkit/t/cgroup.procs", &scope, &container]);
        for (file, text) in [("memory/docker/buildkit/s", "7\n8\n"), ("docker/buildkit/t", "")] {
            std::fs::write(root.path().join(file).join("cgroup.procs"), text).unwrap();
        }
        std::fs::write(root.path().join(scope), "9\n").unwrap();
        std::fs::write(root.path().join(container), "10\n").unwrap();
        assert_eq!(step_processes(root.path()), [7, 9]);
    }

    #[tokio::test]
    async fn a_machine_without_docker_groups_is_fine() {
        apply(tree(&["memory/x"]).path(), &LIMITS).await.unwrap();
        apply(tree(&["cgroup.controllers"]).path(), &LIMITS).await.unwrap();
    }
}
