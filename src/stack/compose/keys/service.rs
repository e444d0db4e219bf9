//! The keys of a service, and of the mappings right inside it.

use super::Shape::{
    Any, Bool, Command, Duration, Either, Int, ListOf, NamesTo, Number, Of, OneOrMore, Pairs, Size, Text, Texts, Word,
};
use super::{DEPLOY, Key, Section, X_SERVICE, differs, idle, no, no_unless, yes};

/// Host namespaces are shared by all tenants of the machine.
const NAMESPACE: &str = "it would share a namespace of the machine, which belongs to all tenants";
/// Values of a namespace key that mean: its own.
const OWN: &[&str] = &["private", ""];
const WINDOWS: &str = "it is for Windows containers; Wharf runs Linux containers";
const KERNEL: &str = "it tunes the machine's own scheduling, which belongs to all tenants";

pub(in crate::stack::compose) static SERVICE: Section = Section { name: "service", keys: SERVICE_KEYS };

static SERVICE_KEYS: &[Key] = &[
    // What it runs.
    yes("image", Text, "The image to run. With `build`, the name the built image gets.", "nginx:1.27"),
    yes("build", Either(&[Text, Of(&BUILD)]), "Builds the image from source: a folder, or a mapping.", "./api"),
    yes("command", Command, "Replaces the image's command.", "[serve, '--port', '80']"),
    yes("entrypoint", Command, "Replaces the image's entry point.", "[/start.sh]"),
    yes(
        "environment",
        Pairs,
        "Environment variables. A name without a value takes the app's configuration.",
        "{MODE: fast}",
    ),
    yes(
        "env_file",
        Either(&[Text, Texts, ListOf(&ENV_FILE)]),
        "Files of the source with environment variables; `environment` wins over them.",
        "[{path: nowhere.env, required: false}]",
    ),
    yes("user", Text, "User, and group after a colon.", "'1000:1000'"),
    yes("group_add", Texts, "Further groups of that user.", "[video]"),
    yes("working_dir", Text, "The directory commands start in.", "/srv"),
    yes("hostname", Text, "Host name inside the container.", "box"),
    yes("domainname", Text, "Domain name inside the container.", "example.org"),
    yes("tty", Bool, "Gives it a terminal.", "true"),
    yes("stdin_open", Bool, "Keeps its standard input open.", "true"),
    yes(
        "init",
        Bool,
        "A small init as process 1. It is there by default; `false` for images that bring their own.",
        "false",
    ),
    yes("read_only", Bool, "Makes its root file system read-only.", "true"),
    yes("stop_signal", Text, "The signal of the polite stop.", "SIGQUIT"),
    yes("stop_grace_period", Duration, "Time between the polite and the forceful stop: at most 1h.", "45s"),
    yes("platform", Text, "The platform the image must be for.", "linux/amd64"),
    yes("labels", Pairs, "Labels on its containers. They route nothing; see `x-wharf.routes`.", "{team: shop}"),
    idle("annotations", Pairs, "Containers carry no annotations here."),
    yes("label_file", OneOrMore, "Files of the source with labels.", "[]"),
    // Whom it needs.
    yes(
        "depends_on",
        Either(&[Texts, NamesTo(&DEPENDENCY)]),
        "Services that must be there first.",
        "{other: {condition: service_healthy}}",
    ),
    yes(
        "links",
        Texts,
        "Like `depends_on`, with a further name for the other one after a colon; all who may talk to it can use that name.",
        "['other:db']",
    ),
    no(
        "external_links",
        "containers outside the stack cannot be linked",
        "put the other one into the stack, or call it by its domain",
    ),
    yes("extends", Either(&[Text, Of(&EXTENDS)]), "Takes over what another service says.", "other"),
    yes("profiles", Texts, "It is part of the stack only when one of these is active.", "[]"),
    // How it is asked.
    yes("healthcheck", Of(&HEALTHCHECK), "A command that must succeed inside the container.", "{test: [CMD, 'true']}"),
    // Where it is reached.
    yes(
        "ports",
        Either(&[Texts, ListOf(&PORT)]),
        "A published port becomes a route of the ingress (HTTP) or an exposed port (TCP, UDP); nothing is bound on the machine itself.",
        "['8080:80']",
    ),
    yes("expose", Texts, "Ports it listens on, for other services.", "['3000']"),
    yes(
        "networks",
        Either(&[Texts, NamesTo(&ATTACHMENT)]),
        "Networks it joins. All services of a stack can reach each other; whoever shares no network is warned of it.",
        "[front]",
    ),
    no_unless(
        "network_mode",
        "it would put the container into another network than its environment's",
        "use `networks`; services reach each other by name",
        &["bridge", "default", ""],
    ),
    yes("extra_hosts", Pairs, "Names for fixed addresses.", "['api.local:10.1.2.3']"),
    yes("dns", OneOrMore, "Name servers for names the platform does not know.", "9.9.9.9"),
    yes("dns_search", OneOrMore, "Domains tried for short names.", "example.org"),
    yes("dns_opt", Texts, "Options of the resolver.", "['ndots:2']"),
    idle("mac_address", Text, "Addresses are given by the platform."),
    // Its data.
    yes(
        "volumes",
        Either(&[Texts, ListOf(&MOUNT)]),
        "Named volumes and file systems in memory. Nothing of the machine itself.",
        "['data:/data']",
    ),
    no("volumes_from", "it would mount volumes nobody named", "name the volumes under `volumes` of both services"),
    yes("tmpfs", OneOrMore, "File systems in memory.", "/run:size=64m"),
    yes("shm_size", Size, "The size of /dev/shm.", "256m"),
    yes("configs", Either(&[Texts, ListOf(&FILE_MOUNT)]), "Configs as files.", "[settings]"),
    yes(
        "secrets",
        Either(&[Texts, ListOf(&FILE_MOUNT)]),
        "Secrets as files, below /run/secrets unless said otherwise.",
        "[token]",
    ),
    // What it may use.
    yes("deploy", Of(&DEPLOY), "Replicas, resources, update and placement.", "{replicas: 2}"),
    yes("scale", Int, "The number of instances, as `deploy.replicas`.", "2"),
    yes("cpus", Number, "Processor cores, as `deploy.resources.limits.cpus`.", "0.5"),
    yes("mem_limit", Size, "Memory, as `deploy.resources.limits.memory`.", "256m"),
    yes("mem_reservation", Size, "Memory set aside, as `deploy.resources.reservations.memory`.", "128m"),
    yes("pids_limit", Int, "Processes and threads.", "100"),
    yes("ulimits", NamesTo(&ULIMIT), "Limits of the process.", "{nofile: 4096}"),
    yes("oom_score_adj", Int, "Preference to be killed when memory is short: 0 to 1000.", "200"),
    idle("memswap_limit", Size, "There is no swap on top of the memory limit."),
    idle("mem_swappiness", Int, "There is no swap on top of the memory limit."),
    no_unless(
        "oom_kill_disable",
        "a container that cannot be killed would stop the whole machine",
        "raise the memory limit",
        &["false"],
    ),
    idle("cpu_shares", Int, "Every service has a processor limit instead; see `deploy.resources`."),
    no("cpu_quota", KERNEL, "use `cpus`"),
    no("cpu_period", KERNEL, "use `cpus`"),
    no("cpu_rt_runtime", KERNEL, "use `cpus`"),
    no("cpu_rt_period", KERNEL, "use `cpus`"),
    no("cpu_count", WINDOWS, "use `cpus`"),
    no("cpu_percent", WINDOWS, "use `cpus`"),
    no("cpuset", "it picks cores of the machine, which belong to all tenants", "use `cpus`"),
    no("blkio_config", KERNEL, "leave it out"),
    no(
        "storage_opt",
        "it is passed to the engine's storage driver as it stands",
        "limit a volume with its `x-wharf.size`",
    ),
    // What it is allowed to do.
    yes("cap_drop", Texts, "Capabilities taken away beyond the platform's default.", "[CHOWN]"),
    yes("cap_add", Texts, "Capabilities given back, from a short list.", "[IPC_LOCK]"),
    yes(
        "sysctls",
        Pairs,
        "Kernel settings of the container's own network and message queues, from a short list.",
        "{net.core.somaxconn: 1024}",
    ),
    no_unless(
        "privileged",
        "a privileged container owns the machine, and with it all tenants",
        "name what it needs with `cap_add`; most images run without",
        &["false"],
    ),
    yes("security_opt", Texts, "Only `no-new-privileges:true`, which always holds.", "['no-new-privileges:true']"),
    no(
        "devices",
        "devices of the machine belong to all tenants",
        "leave it out; the platform gives no devices to apps",
    ),
    no("device_cgroup_rules", "devices of the machine belong to all tenants", "leave it out"),
    no("gpus", "the platform does not share out GPUs", "leave it out"),
    no_unless("pid", NAMESPACE, "leave it out: each container has its own", OWN),
    no_unless("ipc", NAMESPACE, "leave it out; for more shared memory use `shm_size`", OWN),
    no_unless("uts", NAMESPACE, "leave it out; use `hostname`", OWN),
    no_unless("userns_mode", NAMESPACE, "leave it out", OWN),
    no_unless("cgroup", NAMESPACE, "leave it out", &["private"]),
    no("cgroup_parent", "the platform decides in which control group a container counts", "use `deploy.resources`"),
    no_unless("runtime", "which runtime isolates tenants is not theirs to choose", "leave it out", &["runc"]),
    no("isolation", WINDOWS, "leave it out"),
    no("credential_spec", WINDOWS, "leave it out"),
    no_unless("use_api_socket", "the engine's socket owns the machine", "use Wharf's API with a token", &["false"]),
    // How it lives.
    yes(
        "restart",
        Word(&["no", "always", "on-failure", "unless-stopped"]),
        "When an ended instance is started again.",
        "on-failure",
    ),
    no(
        "post_start",
        "there are no hooks around a start",
        "put the command into the entry point, or use `x-wharf.release`",
    ),
    no("pre_stop", "there are no hooks around a stop", "handle `stop_signal` within `stop_grace_period`"),
    idle("pull_policy", Text, "Images are pinned by content when a revision is made; `build` and pull happen then."),
    idle("pull_refresh_after", Text, "Images are pinned by content when a revision is made."),
    differs(
        "container_name",
        Text,
        "Containers are named by the platform; the name only stays as one by which other services reach it.",
        "shop-db",
    ),
    idle("logging", Any, "Logs are always kept by the platform, with limits; see `wharf logs`."),
    idle("attach", Bool, "`wharf logs` shows all services or one."),
    idle("develop", Any, "It is for work on one's own machine."),
    no("provider", "other programs cannot provide services here", "use the catalog: `wharf catalog`"),
    no("models", "the platform runs no language models", "run the model as a service of the stack"),
    yes("x-wharf", Of(&X_SERVICE), "What Compose has no words for.", "{criticality: high}"),
];

pub(in crate::stack::compose) static BUILD: Section = Section { name: "build", keys: BUILD_KEYS };

static BUILD_KEYS: &[Key] = &[
    yes("context", Text, "The folder of the source that is sent to the builder.", "./api"),
    yes("dockerfile", Text, "The Dockerfile, relative to the context.", "Dockerfile.prod"),
    yes("dockerfile_inline", Text, "The text of the Dockerfile itself.", "FROM alpine"),
    yes("args", Pairs, "Build arguments.", "{VERSION: '2'}"),
    yes("target", Text, "The stage to build.", "runtime"),
    yes("labels", Pairs, "Labels of the image.", "{team: shop}"),
    yes("no_cache", Bool, "Builds without the cache.", "true"),
    yes("pull", Bool, "Asks for newer base images.", "true"),
    yes(
        "secrets",
        Either(&[Texts, ListOf(&FILE_MOUNT)]),
        "Secrets that `RUN --mount=type=secret` may read.",
        "[token]",
    ),
    yes("extra_hosts", Pairs, "Names for fixed addresses while building.", "['a.local:10.0.0.1']"),
    idle("cache_from", Texts, "The platform keeps a cache for each app."),
    idle("cache_to", Texts, "The platform keeps a cache for each app."),
    idle("tags", Texts, "Images are named and pinned by the platform."),
    idle("shm_size", Size, "Builds have limits of their own."),
    idle("ulimits", Any, "Builds have limits of their own."),
    differs("platforms", Texts, "The image is built for the platform of the nodes only.", "[linux/amd64]"),
    no("additional_contexts", "a build gets one context", "put the files below `context`"),
    no("ssh", "keys of the machine are not lent to builds", "use a secret: `RUN --mount=type=secret`"),
    no_unless("network", "builds run in a confined network", "leave it out", &["default", "bridge", ""]),
    no_unless("privileged", "builds are confined", "leave it out", &["false"]),
    no("entitlements", "builds are confined", "leave it out"),
    no("isolation", WINDOWS, "leave it out"),
];

pub(in crate::stack::compose) static ENV_FILE: Section = Section {
    name: "env_file",
    keys: &[
        yes("path", Text, "The file.", "nowhere.env"),
        yes("required", Bool, "Whether it must exist.", "false"),
        yes("format", Word(&["raw"]), "`raw`: quotes and dollar signs stay as they are.", "raw"),
    ],
};

pub(in crate::stack::compose) static EXTENDS: Section = Section {
    name: "extends",
    keys: &[
        yes("service", Text, "The service.", "other"),
        yes("file", Text, "The file it stands in; absent: this one.", "common.yaml"),
    ],
};

pub(in crate::stack::compose) static DEPENDENCY: Section = Section {
    name: "dependency",
    keys: &[
        yes(
            "condition",
            Word(&["service_started", "service_healthy", "service_completed_successfully"]),
            "How far the other one must be.",
            "service_healthy",
        ),
        yes("required", Bool, "`false`: start without it when it is not in the stack.", "false"),
        yes("restart", Bool, "Restarts this one when the other one is.", "true"),
    ],
};

pub(in crate::stack::compose) static HEALTHCHECK: Section = Section {
    name: "healthcheck",
    keys: &[
        yes("test", Command, "`[CMD, …]`, `[CMD-SHELL, line]`, a line, or `[NONE]`.", "[CMD, 'true']"),
        yes("interval", Duration, "Time between two checks.", "7s"),
        yes("timeout", Duration, "Time one check may take.", "3s"),
        yes("retries", Int, "Failures in a row that count as ill.", "9"),
        yes("start_period", Duration, "Time to the first success in which failures do not count.", "90s"),
        yes("start_interval", Duration, "Time between two checks in that time.", "1s"),
        yes("disable", Bool, "The process must only stay up.", "true"),
    ],
};

pub(in crate::stack::compose) static PORT: Section = Section {
    name: "port",
    keys: &[
        yes("target", Int, "The port inside the container.", "80"),
        yes("published", Text, "The port outside; it makes a route or an exposure.", "'8080'"),
        yes("protocol", Word(&["tcp", "udp"]), "What carries the bytes.", "udp"),
        yes("app_protocol", Text, "`http`, `h2c`, `grpc` make a route; any other word an exposure.", "grpc"),
        yes("name", Text, "What it is for.", "web"),
        yes("host_ip", Text, "A loopback address: the port is not published. Others make no difference.", "127.0.0.1"),
        idle("mode", Text, "All ports are reached over the ingress."),
    ],
};

pub(in crate::stack::compose) static MOUNT: Section = Section {
    name: "mount",
    keys: &[
        yes("type", Word(&["volume", "tmpfs"]), "A named volume, or a file system in memory.", "volume"),
        yes("source", Text, "The volume; absent: one of the service's own.", "data"),
        yes("target", Text, "Where it is inside the container.", "/data"),
        yes("read_only", Bool, "Whether it cannot be written to.", "true"),
        yes("volume", Of(&MOUNT_VOLUME), "Details of a volume.", "{nocopy: true}"),
        yes("tmpfs", Of(&MOUNT_TMPFS), "Details of a file system in memory.", "{size: 64m}"),
        idle("consistency", Text, "It is for other systems."),
        idle("bind", Any, "It is for bind mounts, which are refused."),
        idle("image", Any, "It is for image mounts, which are refused."),
    ],
};

pub(in crate::stack::compose) static MOUNT_VOLUME: Section = Section {
    name: "mount_volume",
    keys: &[
        yes("nocopy", Bool, "Leaves an empty volume empty, instead of filling it from the image.", "true"),
        yes("subpath", Text, "Only this folder of the volume.", "uploads"),
        idle("labels", Pairs, "Labels belong to the volume itself."),
    ],
};

pub(in crate::stack::compose) static MOUNT_TMPFS: Section = Section {
    name: "mount_tmpfs",
    keys: &[yes("size", Size, "How much it may hold.", "64m"), yes("mode", Text, "Its permissions.", "'0755'")],
};

pub(in crate::stack::compose) static FILE_MOUNT: Section = Section {
    name: "file_mount",
    keys: &[
        yes("source", Text, "The config or secret.", "settings"),
        yes("target", Text, "Where it is inside the container.", "/etc/app.conf"),
        yes("uid", Int, "Its owner, by number.", "'1000'"),
        yes("gid", Int, "Its group, by number.", "'1000'"),
        yes("mode", Text, "Its permissions.", "'0400'"),
    ],
};

pub(in crate::stack::compose) static ATTACHMENT: Section = Section {
    name: "attachment",
    keys: &[
        yes("aliases", Texts, "Further names of the service there.", "[db]"),
        idle("ipv4_address", Text, "Addresses are given by the platform; services reach each other by name."),
        idle("ipv6_address", Text, "Addresses are given by the platform; services reach each other by name."),
        idle("link_local_ips", Texts, "Addresses are given by the platform."),
        idle("mac_address", Text, "Addresses are given by the platform."),
        idle("interface_name", Text, "A container has one interface."),
        idle("priority", Int, "A container has one interface."),
        idle("gw_priority", Int, "A container has one interface."),
        no("driver_opts", "it is passed to the engine's network driver as it stands", "leave it out"),
    ],
};

pub(in crate::stack::compose) static ULIMIT: Section = Section {
    name: "ulimit",
    keys: &[yes("soft", Int, "What holds.", "1024"), yes("hard", Int, "As far as the process may raise it.", "2048")],
};
