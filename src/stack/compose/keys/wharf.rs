//! The keys of `x-wharf` on the stack, on a service and on a volume; traffic and objectives.

use super::Shape::{Bool, Command, Duration, Either, Int, ListOf, NamesTo, Number, Of, Pairs, Size, Text, Texts, Word};
use super::{Section, X_BACKUP, X_JOB, X_RELEASE, X_ROLLOUT, X_SCALE, X_SCHEDULE, X_WORKFLOW, yes};

pub(in crate::stack::compose) static X_STACK: Section = Section {
    name: "x_stack",
    keys: &[
        yes("name", Text, "What the architecture is called.", "Shop"),
        yes("version", Text, "Its version as its authors count.", "'2.1'"),
        yes("description", Text, "What it is for.", "A small shop."),
        yes(
            "inputs",
            NamesTo(&X_INPUT),
            "Variables that are asked for when it is installed.",
            "{ADMIN: {required: true}}",
        ),
        yes(
            "workflows",
            NamesTo(&X_WORKFLOW),
            "Jobs in an order.",
            "{nightly: {steps: {dump: {service: s, command: dump}}}}",
        ),
    ],
};

pub(in crate::stack::compose) static X_VOLUME: Section =
    Section { name: "x_volume", keys: &[yes("size", Size, "How much it may hold.", "10g")] };

pub(in crate::stack::compose) static X_INPUT: Section = Section {
    name: "x_input",
    keys: &[
        yes("label", Text, "What a form shows beside the field.", "Administrator"),
        yes("description", Text, "A longer explanation.", "Who may do everything."),
        yes("default", Text, "The value when none is given.", "admin"),
        yes("required", Bool, "Whether a value must be given.", "true"),
        yes("secret", Bool, "Whether it is kept as a secret.", "true"),
        yes("generate", Either(&[Word(GENERATORS), Of(&X_GENERATE)]), "Makes a value when none is given.", "hex"),
        yes("choices", Texts, "The values that may be chosen.", "[small, large]"),
    ],
};

pub(in crate::stack::compose) const GENERATORS: &[&str] = &["password", "hex", "base64"];

pub(in crate::stack::compose) static X_GENERATE: Section = Section {
    name: "x_generate",
    keys: &[
        yes("kind", Word(GENERATORS), "Which characters.", "hex"),
        yes("length", Int, "How many: 1 to 256, otherwise 32.", "64"),
    ],
};

pub(in crate::stack::compose) static X_SERVICE: Section = Section {
    name: "x_service",
    keys: &[
        yes(
            "kind",
            Word(&["web", "worker", "job", "cron", "database"]),
            "What kind of work it does; otherwise it follows from the rest.",
            "worker",
        ),
        yes("care", Word(&["pet", "cattle"]), "Whether a lost instance must be saved, or is replaced.", "pet"),
        yes("criticality", Word(&["critical", "high", "normal", "low"]), "How much hurts when it is down.", "high"),
        yes("port", Int, "The main port it listens on.", "3000"),
        yes(
            "routes",
            Either(&[Texts, ListOf(&X_ROUTE)]),
            "HTTP requests of the outside that come to it.",
            "[{path: /api, port: 3000}]",
        ),
        yes(
            "health",
            Either(&[Text, Of(&X_HEALTH)]),
            "How it is asked from outside: a path, or a mapping.",
            "/healthz",
        ),
        yes(
            "scale",
            Of(&X_SCALE),
            "Between how many instances it scales, and by what.",
            "{min: 1, max: 5, target: {concurrency: 20}}",
        ),
        yes("rollout", Of(&X_ROLLOUT), "How a new revision takes over.", "{strategy: blue-green}"),
        yes("slo", Of(&X_SLO), "What its callers may expect.", "{availability: 99.9%}"),
        yes("limits", Of(&X_LIMITS), "What its routes let in.", "{concurrency: 100}"),
        yes("resilience", Of(&X_RESILIENCE), "How calls to it are kept from failing.", "{retries: {attempts: 2}}"),
        yes(
            "release",
            Either(&[Command, Of(&X_RELEASE)]),
            "A command run once before a new revision takes traffic.",
            "[migrate]",
        ),
        yes("schedule", Either(&[Text, Of(&X_SCHEDULE)]), "Makes it a cron service: when it runs.", "'@daily'"),
        yes("job", Of(&X_JOB), "Makes it a job: how it runs to its end.", "{start: manual}"),
        yes("backup", Of(&X_BACKUP), "How its data is saved.", "{schedule: '@daily', keep: 7}"),
        yes(
            "secret_env",
            Pairs,
            "Environment variables whose values are secrets of the stack: `NAME: secret`.",
            "{TOKEN: token}",
        ),
    ],
};

pub(in crate::stack::compose) static X_ROUTE: Section = Section {
    name: "x_route",
    keys: &[
        yes(
            "domain",
            Text,
            "The domain. Absent or `default`: all of the environment's; `service`: one of its own.",
            "api.example.org",
        ),
        yes("path", Text, "Paths that begin with this.", "/v1"),
        yes("strip_path", Bool, "Takes the prefix off before the service sees it.", "true"),
        yes("port", Int, "The port of the service; otherwise its main one.", "3000"),
        yes("protocol", Word(&["http", "h2c", "grpc"]), "What the service speaks there.", "grpc"),
    ],
};

pub(in crate::stack::compose) static X_HEALTH: Section = Section {
    name: "x_health",
    keys: &[
        yes("path", Text, "Asked by HTTP; must be answered with 2xx or 3xx.", "/healthz"),
        yes("tcp", Bool, "A connection must be accepted.", "true"),
        yes("command", Command, "Must succeed inside the container.", "[check]"),
        yes("port", Int, "The port asked; otherwise the main one.", "9000"),
        yes("interval", Duration, "Time between two checks.", "7s"),
        yes("timeout", Duration, "Time one check may take.", "3s"),
        yes("retries", Int, "Failures in a row that count as ill.", "9"),
        yes("start_period", Duration, "Time to the first success.", "2m"),
        yes("settle", Duration, "Time it must stay well before it gets traffic.", "4s"),
    ],
};

pub(in crate::stack::compose) static X_SLO: Section = Section {
    name: "x_slo",
    keys: &[
        yes("availability", Text, "Share of good requests.", "99.9%"),
        yes("latency", Of(&X_LATENCY), "How fast they are.", "{share: 95%, within: 300ms}"),
        yes("window", Duration, "Over which time the error budget counts.", "7d"),
    ],
};

pub(in crate::stack::compose) static X_LATENCY: Section = Section {
    name: "x_latency",
    keys: &[yes("share", Text, "Share of the requests.", "99%"), yes("within", Duration, "How fast.", "250ms")],
};

pub(in crate::stack::compose) static X_LIMITS: Section = Section {
    name: "x_limits",
    keys: &[
        yes("rate", Either(&[Text, Of(&X_RATE)]), "Requests per time: `100/s`, `5/m`, or a mapping.", "100/s"),
        yes("concurrency", Int, "Requests under way at the same time, per instance.", "50"),
        yes("body", Size, "How large a request body may be.", "10m"),
        yes("timeouts", Of(&X_TIMEOUTS), "How long the ingress waits.", "{request: 30s}"),
    ],
};

pub(in crate::stack::compose) static X_RATE: Section = Section {
    name: "x_rate",
    keys: &[
        yes("requests", Int, "So many …", "100"),
        yes("per", Duration, "… in so long.", "10s"),
        yes("burst", Int, "So many may come at once.", "200"),
        yes(
            "key",
            Text,
            "Counted apart for each `address`, for the whole `route`, or by `header:NAME`.",
            "header:x-api-key",
        ),
    ],
};

pub(in crate::stack::compose) static X_TIMEOUTS: Section = Section {
    name: "x_timeouts",
    keys: &[
        yes("connect", Duration, "Until a connection stands.", "2s"),
        yes("request", Duration, "Until an answer begins.", "30s"),
        yes("idle", Duration, "Without a byte.", "5m"),
    ],
};

pub(in crate::stack::compose) static X_RESILIENCE: Section = Section {
    name: "x_resilience",
    keys: &[
        yes("retries", Of(&X_RETRIES), "Repeats of requests that may be repeated.", "{attempts: 2}"),
        yes("breaker", Of(&X_BREAKER), "Refuses at once while it fails.", "{errors: 50%}"),
        yes("outlier", Of(&X_OUTLIER), "Leaves out instances that fail more than others.", "{failures: 5}"),
    ],
};

pub(in crate::stack::compose) static X_RETRIES: Section = Section {
    name: "x_retries",
    keys: &[
        yes("attempts", Int, "Tries beyond the first: 1 to 10.", "3"),
        yes("budget", Number, "Repeats as per cent of all requests.", "10"),
        yes("try_timeout", Duration, "Time one try may take.", "5s"),
    ],
};

pub(in crate::stack::compose) static X_BREAKER: Section = Section {
    name: "x_breaker",
    keys: &[
        yes("errors", Text, "Share of failures at which it opens.", "40%"),
        yes("min_requests", Int, "Requests before it may open.", "50"),
        yes("window", Duration, "The time looked at.", "30s"),
        yes("open", Duration, "How long it stays open.", "15s"),
    ],
};

pub(in crate::stack::compose) static X_OUTLIER: Section = Section {
    name: "x_outlier",
    keys: &[
        yes("failures", Int, "Failures in a row.", "7"),
        yes("eject", Duration, "How long it is left out the first time.", "1m"),
        yes("max", Text, "Share of the instances that may be left out.", "30%"),
    ],
};
