//! The keys of `x-wharf` that say how a service changes, scales, runs to its end and is saved.

use super::Shape::{Bool, Command, Duration, Either, Int, ListOf, NamesTo, Of, Pairs, Text, Texts, Word};
use super::{Section, yes};

pub(in crate::stack::compose) static X_SCALE: Section = Section {
    name: "x_scale",
    keys: &[
        yes("min", Int, "At least so many; 0: to zero and woken by the first request.", "0"),
        yes("max", Int, "At most so many.", "10"),
        yes("target", Of(&X_TARGET), "What is kept near its target.", "{cpu: 70%}"),
        yes("schedule", ListOf(&X_SCALE_SCHEDULE), "Bounds from a time on.", "[{at: '0 8 * * 1-5', min: 3}]"),
        yes("cooldown", Duration, "Time without need before an instance goes.", "2m"),
        yes("idle", Duration, "Time without a request before the last one goes.", "15m"),
    ],
};

pub(in crate::stack::compose) static X_TARGET: Section = Section {
    name: "x_target",
    keys: &[
        yes("concurrency", Int, "Requests under way at the same time, per instance.", "20"),
        yes("rps", Int, "Requests per second, per instance.", "50"),
        yes("latency", Duration, "The 95th percentile.", "200ms"),
        yes("cpu", Text, "Per cent of the processor limit.", "70%"),
        yes("memory", Text, "Per cent of the memory limit.", "80%"),
        yes("query", Of(&X_QUERY), "A metric query.", "{query: queue_length, per_instance: 10}"),
    ],
};

pub(in crate::stack::compose) static X_QUERY: Section = Section {
    name: "x_query",
    keys: &[
        yes("query", Text, "The query.", "queue_length"),
        yes("per_instance", Text, "Its value per instance.", "12.5"),
    ],
};

pub(in crate::stack::compose) static X_SCALE_SCHEDULE: Section = Section {
    name: "x_scale_schedule",
    keys: &[
        yes("at", Text, "When the bounds begin to hold.", "'0 8 * * 1-5'"),
        yes("zone", Text, "The time zone; otherwise UTC.", "Europe/Berlin"),
        yes("min", Int, "The lower bound.", "3"),
        yes("max", Int, "The upper bound; otherwise the service's.", "4"),
        yes("note", Text, "What it is for.", "office hours"),
    ],
};

pub(in crate::stack::compose) static X_ROLLOUT: Section = Section {
    name: "x_rollout",
    keys: &[
        yes("strategy", Word(&["rolling", "blue-green", "canary", "recreate"]), "The plan of it.", "blue-green"),
        yes("order", Word(&["start-first", "stop-first"]), "Which goes first, when rolling.", "stop-first"),
        yes("max_surge", Text, "Instances beyond the wanted number: a number or per cent.", "25%"),
        yes("max_unavailable", Text, "Instances below the wanted number: a number or per cent.", "1"),
        yes("delay", Duration, "Time between two batches.", "10s"),
        yes("min_healthy", Duration, "Time a new instance must stay healthy to count.", "30s"),
        yes(
            "steps",
            ListOf(&X_STEP),
            "Shares of the traffic, in their order (canary).",
            "[{weight: 10, pause: {time: 5m}}]",
        ),
        yes("target", Of(&X_TARGETING), "Requests that go to the canary in any case.", "{header: x-canary}"),
        yes("analysis", Of(&X_ANALYSIS), "How old and new are compared.", "{error_rate: 1%}"),
        yes("keep_warm", Duration, "How long the old one is kept running afterwards.", "30m"),
        yes("on_failure", Word(&["rollback", "pause"]), "What happens when the new one fails.", "pause"),
        yes("deadline", Duration, "Time without progress after which it has failed.", "20m"),
    ],
};

pub(in crate::stack::compose) static X_STEP: Section = Section {
    name: "x_step",
    keys: &[
        yes("weight", Text, "Per cent of the requests.", "25%"),
        yes("pause", Of(&X_PAUSE), "What must pass before the next step.", "{requests: 500}"),
    ],
};

pub(in crate::stack::compose) static X_PAUSE: Section = Section {
    name: "x_pause",
    keys: &[
        yes("time", Duration, "So long.", "10m"),
        yes("requests", Int, "So many requests answered by the new one.", "500"),
        yes("manual", Bool, "A person says go on.", "true"),
    ],
};

pub(in crate::stack::compose) static X_TARGETING: Section = Section {
    name: "x_targeting",
    keys: &[
        yes("header", Text, "A header.", "x-canary"),
        yes("cookie", Text, "A cookie.", "canary"),
        yes("value", Text, "Its value; otherwise any.", "always"),
    ],
};

pub(in crate::stack::compose) static X_ANALYSIS: Section = Section {
    name: "x_analysis",
    keys: &[
        yes("error_rate", Text, "How much higher the share of errors may be.", "2%"),
        yes("latency", Text, "How much slower the 95th percentile may be, of the old one's.", "130%"),
        yes("min_requests", Int, "Requests each must have answered first.", "200"),
        yes("window", Duration, "The time looked at.", "2m"),
        yes("failures", Int, "Bad verdicts in a row that end it.", "3"),
    ],
};

pub(in crate::stack::compose) static X_RELEASE: Section = Section {
    name: "x_release",
    keys: &[
        yes("command", Command, "The command.", "[migrate]"),
        yes("deadline", Duration, "How long it may take.", "5m"),
    ],
};

const MISFIRE: &[&str] = &["skip", "once"];
const OVERLAP: &[&str] = &["skip", "replace", "allow"];

pub(in crate::stack::compose) static X_SCHEDULE: Section = Section {
    name: "x_schedule",
    keys: &[
        yes("cron", Text, "Minute, hour, day, month, weekday; or `@hourly`, `@daily`, …", "'15 3 * * *'"),
        yes("zone", Text, "The time zone; otherwise UTC.", "Europe/Berlin"),
        yes("misfire", Word(MISFIRE), "A run whose time passed unseen.", "once"),
        yes("overlap", Word(OVERLAP), "A run whose time comes while the last one runs.", "replace"),
    ],
};

pub(in crate::stack::compose) static X_JOB: Section = Section {
    name: "x_job",
    keys: &[
        yes("start", Word(&["release", "manual"]), "Each new revision, or on request.", "manual"),
        yes("parallelism", Int, "Containers at the same time.", "2"),
        yes("completions", Int, "Containers that must succeed.", "4"),
        yes("retries", Int, "Repeats of what failed.", "3"),
        yes("retry_delay", Duration, "Time before the first repeat; doubles.", "10s"),
        yes("deadline", Duration, "How long a run may take.", "30m"),
        yes("history", Int, "Past runs that are kept.", "5"),
    ],
};

pub(in crate::stack::compose) static X_BACKUP: Section = Section {
    name: "x_backup",
    keys: &[
        yes("schedule", Text, "When.", "'@daily'"),
        yes("zone", Text, "The time zone; otherwise UTC.", "Europe/Berlin"),
        yes("keep", Int, "How many are kept.", "14"),
        yes(
            "command",
            Command,
            "Writes a dump to its standard output; otherwise the volumes' files are saved.",
            "[dump]",
        ),
        yes("volumes", Texts, "Which volumes; otherwise all of the service's.", "[data]"),
    ],
};

pub(in crate::stack::compose) static X_WORKFLOW: Section = Section {
    name: "x_workflow",
    keys: &[
        yes("description", Text, "What it does.", "Nightly work"),
        yes("schedule", Either(&[Text, Of(&X_SCHEDULE)]), "When it starts by itself.", "'@daily'"),
        yes("history", Int, "Past runs that are kept.", "5"),
        yes("parameters", NamesTo(&X_PARAMETER), "What steps see as environment variables.", "{DAY: {default: today}}"),
        yes("steps", NamesTo(&X_WORKFLOW_STEP), "The steps.", "{dump: {service: s}}"),
        yes("deadline", Duration, "How long a run may take.", "2h"),
    ],
};

pub(in crate::stack::compose) static X_PARAMETER: Section = Section {
    name: "x_parameter",
    keys: &[
        yes("default", Text, "The value when none is given.", "today"),
        yes("description", Text, "What it is for.", "Which day"),
    ],
};

pub(in crate::stack::compose) static X_WORKFLOW_STEP: Section = Section {
    name: "x_workflow_step",
    keys: &[
        yes("service", Text, "Whose image, environment and limits.", "s"),
        yes("command", Command, "The command; otherwise the service's.", "[dump]"),
        yes("needs", Texts, "Steps that must have ended first, with success unless `when` says otherwise.", "[first]"),
        yes("for_each", Texts, "Runs once for each, with the value in `WHARF_ITEM`.", "[a, b]"),
        yes(
            "when",
            Text,
            "`on_success`, `on_failure` or `always`: how what it needs must have ended; and `NAME == text` or `NAME != text` for a parameter.",
            "on_failure and DAY == today",
        ),
        yes("environment", Pairs, "Further environment.", "{MODE: fast}"),
        yes("retries", Int, "Repeats of what failed.", "2"),
        yes("retry_delay", Duration, "Time before the first repeat; doubles.", "10s"),
        yes("deadline", Duration, "How long it may take.", "10m"),
        yes("artifacts", Texts, "Files it leaves in `WHARF_ARTIFACTS` for later steps.", "[out.sql]"),
        yes("allow_failure", Bool, "The workflow goes on when it fails.", "true"),
    ],
};
