//! The keys of `deploy`.

use super::Shape::{Duration, Int, ListOf, Number, Of, Pairs, Size, Text, Texts, Word};
use super::{Section, idle, no, yes};

pub(in crate::stack::compose) static DEPLOY: Section = Section {
    name: "deploy",
    keys: &[
        yes("replicas", Int, "The number of instances.", "3"),
        yes("mode", Word(&["replicated", "replicated-job"]), "`replicated-job`: it runs to its end.", "replicated-job"),
        yes(
            "resources",
            Of(&RESOURCES),
            "What one instance may use, and what is set aside for it.",
            "{limits: {cpus: '0.5'}}",
        ),
        yes(
            "restart_policy",
            Of(&RESTART_POLICY),
            "When an ended instance is started again; wins over `restart`.",
            "{condition: on-failure}",
        ),
        yes(
            "update_config",
            Of(&UPDATE),
            "How a new revision takes over; `x-wharf.rollout` says more.",
            "{order: stop-first}",
        ),
        idle("rollback_config", Of(&UPDATE), "The way back goes as the way forward: `update_config`."),
        yes("placement", Of(&PLACEMENT), "On which nodes it may run.", "{max_replicas_per_node: 1}"),
        yes("labels", Pairs, "Labels on its containers, as `labels`.", "{team: shop}"),
        idle("endpoint_mode", Text, "The platform balances by itself."),
    ],
};

pub(in crate::stack::compose) static RESOURCES: Section = Section {
    name: "resources",
    keys: &[
        yes("limits", Of(&LIMITS), "What one instance may use.", "{memory: 256m}"),
        yes("reservations", Of(&RESERVATIONS), "What is set aside for each instance.", "{memory: 128m}"),
    ],
};

pub(in crate::stack::compose) static LIMITS: Section = Section {
    name: "resource_limits",
    keys: &[
        yes("cpus", Number, "Processor cores.", "'0.25'"),
        yes("memory", Size, "Memory.", "256m"),
        yes("pids", Int, "Processes and threads.", "100"),
    ],
};

pub(in crate::stack::compose) static RESERVATIONS: Section = Section {
    name: "resource_reservations",
    keys: &[
        yes("cpus", Number, "Processor cores.", "'0.25'"),
        yes("memory", Size, "Memory.", "128m"),
        no(
            "devices",
            "devices of the machine belong to all tenants",
            "leave it out; the platform gives no GPUs to apps",
        ),
        no("generic_resources", "the platform counts no resources of one's own", "use `placement.constraints`"),
    ],
};

pub(in crate::stack::compose) static RESTART_POLICY: Section = Section {
    name: "restart_policy",
    keys: &[
        yes("condition", Word(&["none", "on-failure", "any"]), "After which ends.", "on-failure"),
        yes("delay", Duration, "Time before the first restart.", "5s"),
        yes("max_attempts", Int, "Starts in a row after which it is given up.", "3"),
        yes("window", Duration, "Time it must stay up to count as started.", "2m"),
    ],
};

pub(in crate::stack::compose) static UPDATE: Section = Section {
    name: "update_config",
    keys: &[
        yes("parallelism", Int, "Instances changed at a time; 0: all.", "2"),
        yes("delay", Duration, "Time between two batches.", "10s"),
        yes(
            "order",
            Word(&["start-first", "stop-first"]),
            "Which goes first. Here the new one, unless it writes to a volume.",
            "stop-first",
        ),
        yes("monitor", Duration, "Time a new instance must stay healthy to count.", "30s"),
        yes(
            "failure_action",
            Word(&["rollback", "pause"]),
            "What happens when the new version fails. Here: rollback.",
            "pause",
        ),
        idle("max_failure_ratio", Number, "No new instance may fail."),
    ],
};

pub(in crate::stack::compose) static PLACEMENT: Section = Section {
    name: "placement",
    keys: &[
        yes("constraints", Texts, "All of these must hold for a node.", "['node.labels.disk == ssd']"),
        yes(
            "preferences",
            ListOf(&PREFERENCE),
            "Over which property of the nodes instances are spread.",
            "[{spread: node.labels.zone}]",
        ),
        yes("max_replicas_per_node", Int, "Instances one node may have.", "1"),
    ],
};

pub(in crate::stack::compose) static PREFERENCE: Section =
    Section { name: "placement_preference", keys: &[yes("spread", Text, "The property.", "node.labels.zone")] };
