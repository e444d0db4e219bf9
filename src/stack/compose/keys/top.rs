//! The keys at the top of a file, and of the resources that stand there.

use super::Shape::{Any, Bool, Either, ListOf, NamesTo, Of, OneOrMore, Pairs, Text, Texts};
use super::{SERVICE, Section, X_STACK, X_VOLUME, differs, idle, no, no_unless, yes};

pub(in crate::stack::compose) static TOP: Section = Section {
    name: "compose",
    keys: &[
        yes("services", NamesTo(&SERVICE), "The services by name.", "{other: {image: nginx}}"),
        yes("name", Text, "What the architecture is called.", "shop"),
        idle("version", Text, "Compose files have had no versions since 2020."),
        yes("include", Either(&[Texts, ListOf(&INCLUDE)]), "Further files whose services belong to the stack.", "[]"),
        yes("volumes", NamesTo(&VOLUME), "Volumes of the environment.", "{data: {}}"),
        yes(
            "networks",
            NamesTo(&NETWORK),
            "Groups of services. All services of a stack can reach each other.",
            "{front: {}}",
        ),
        yes("configs", NamesTo(&CONFIG), "Files with plain content.", "{settings: {content: 'a=b'}}"),
        yes("secrets", NamesTo(&SECRET), "Secrets of the environment.", "{token: {environment: TOKEN}}"),
        no("models", "the platform runs no language models", "run the model as a service of the stack"),
        yes("x-wharf", Of(&X_STACK), "Version, inputs and workflows of the architecture.", "{version: '2.1'}"),
    ],
};

pub(in crate::stack::compose) static INCLUDE: Section = Section {
    name: "include",
    keys: &[
        yes("path", OneOrMore, "The file, or the file and what overrides it.", "more.yaml"),
        yes("project_directory", Text, "The folder its paths are relative to.", "sub"),
        yes("env_file", OneOrMore, "Files with variables for it.", "sub/.env"),
    ],
};

pub(in crate::stack::compose) static VOLUME: Section = Section {
    name: "volume",
    keys: &[
        no_unless(
            "driver",
            "only the platform's own volumes can be owned, counted and saved",
            "leave it out",
            &["local", ""],
        ),
        no(
            "driver_opts",
            "they could mount any place of the machine or the network",
            "leave it out; use a named volume and copy the data into it",
        ),
        differs(
            "external",
            Bool,
            "The environment's own volume of this name is used, and made when it is not there.",
            "true",
        ),
        idle("name", Text, "Volumes belong to their environment; names cannot meet."),
        yes("labels", Pairs, "Labels of the volume.", "{team: shop}"),
        yes("x-wharf", Of(&X_VOLUME), "How much it may hold.", "{size: 10g}"),
    ],
};

pub(in crate::stack::compose) static NETWORK: Section = Section {
    name: "network",
    keys: &[
        differs("internal", Bool, "Services can reach the outside all the same.", "true"),
        no_unless(
            "driver",
            "environments have one network, made by the platform",
            "leave it out; a network here is a group of services that may talk",
            &["bridge", "overlay", "default", ""],
        ),
        no("driver_opts", "they are passed to the engine's network driver as they stand", "leave it out"),
        differs(
            "external",
            Bool,
            "There is nothing outside the environment to join; it is a network of the stack.",
            "true",
        ),
        idle("name", Text, "Networks belong to their environment; names cannot meet."),
        idle("attachable", Bool, "Nothing outside the stack can join."),
        idle("ipam", Any, "Addresses are given by the platform."),
        idle("enable_ipv4", Bool, "Addresses are given by the platform."),
        idle("enable_ipv6", Bool, "Addresses are given by the platform."),
        idle("labels", Pairs, "A network is no object of its own here."),
    ],
};

pub(in crate::stack::compose) static CONFIG: Section = Section {
    name: "config",
    keys: &[
        yes("content", Text, "The text itself.", "'a=b'"),
        yes("file", Text, "A file of the source.", "app.conf"),
        yes(
            "environment",
            Text,
            "A variable of the configuration whose value is the content; it is kept as a secret.",
            "SETTINGS",
        ),
        no_unless(
            "external",
            "there are no configs outside the stack",
            "put the text under `content`, or the file into the source",
            &["false"],
        ),
        idle("name", Text, "Configs belong to their stack; names cannot meet."),
        idle("labels", Pairs, "A config is no object of its own here."),
        no("template_driver", "contents are taken as they stand", "use variables in `content`"),
    ],
};

pub(in crate::stack::compose) static SECRET: Section = Section {
    name: "secret",
    keys: &[
        yes("environment", Text, "The variable of the app's configuration that holds it.", "TOKEN"),
        yes("file", Text, "A file of the source; its content is kept encrypted.", "token.txt"),
        differs("external", Bool, "The value is the configuration variable of this name: `wharf config set`.", "true"),
        yes("name", Text, "With `external`: the name of the variable.", "API_TOKEN"),
        idle("labels", Pairs, "A secret is no object of its own here."),
        no("driver", "secrets are kept by the platform", "leave it out"),
        no("driver_opts", "secrets are kept by the platform", "leave it out"),
        no("template_driver", "secrets are taken as they stand", "leave it out"),
    ],
};
