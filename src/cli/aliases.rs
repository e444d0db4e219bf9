//! The spellings people know from Heroku and Dokku (`apps:create`, `config:set`), and short ones of our own.

/// First words that stand for others.
const WORDS: [(&str, &[&str]); 16] = [
    ("create", &["apps", "create"]),
    ("destroy", &["apps", "destroy"]),
    ("info", &["status"]),
    ("apps:list", &["apps"]),
    ("config:get", &["config", "get"]),
    ("config:set", &["config", "set"]),
    ("config:unset", &["config", "unset"]),
    ("scale", &["ps", "scale"]),
    ("restart", &["ps", "restart"]),
    ("stop", &["ps", "stop"]),
    ("start", &["ps", "start"]),
    ("releases:rollback", &["rollback"]),
    ("access:add", &["members", "add"]),
    ("access:remove", &["members", "remove"]),
    ("access", &["members"]),
    ("auth:whoami", &["whoami"]),
];

/// Commands whose bare form lists, as people expect of `wharf apps`.
const LISTS: [&str; 14] = [
    "apps",
    "ps",
    "config",
    "domains",
    "certs",
    "gateway",
    "maintenance",
    "ops",
    "jobs",
    "workflows",
    "tokens",
    "keys",
    "members",
    "tenants",
];

/// The command line with aliases spelled out.
pub(super) fn expand(mut args: Vec<String>) -> Vec<String> {
    let Some(at) = args.iter().skip(1).position(|a| !a.starts_with('-')).map(|i| i + 1) else { return args };
    // A value of a global option is not a command.
    if at > 1 && matches!(args[at - 1].as_str(), "-a" | "--app" | "-t" | "--tenant" | "--url") {
        let rest = expand_from(args.split_off(at + 1));
        args.extend(rest);
        return args;
    }
    let rest = expand_from(args.split_off(at));
    args.extend(rest);
    args
}

fn expand_from(mut args: Vec<String>) -> Vec<String> {
    let Some(first) = args.first().cloned() else { return args };
    if let Some((_, words)) = WORDS.iter().find(|(w, _)| *w == first) {
        args.splice(0..1, words.iter().map(ToString::to_string));
    } else if let Some((group, verb)) = first.split_once(':') {
        args.splice(0..1, [group.to_owned(), verb.to_owned()]);
    }
    let bare = args.get(1).is_none_or(|next| next.starts_with('-') && next != "-h" && next != "--help");
    if bare && LISTS.contains(&args[0].as_str()) {
        args.insert(1, "list".to_owned());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::expand;

    fn said(text: &str) -> String {
        expand(text.split(' ').map(str::to_owned).collect()).join(" ")
    }

    #[test]
    fn known_spellings_are_understood() {
        assert_eq!(said("wharf apps:create shop"), "wharf apps create shop");
        assert_eq!(said("wharf config:set A=1"), "wharf config set A=1");
        assert_eq!(said("wharf ps:scale web=2"), "wharf ps scale web=2");
        assert_eq!(said("wharf apps"), "wharf apps list");
        assert_eq!(said("wharf config --json"), "wharf config list --json");
        assert_eq!(said("wharf config --help"), "wharf config --help");
        assert_eq!(said("wharf -a shop ps"), "wharf -a shop ps list");
        assert_eq!(said("wharf run -- rake db:migrate"), "wharf run -- rake db:migrate");
        assert_eq!(said("wharf releases:rollback 3"), "wharf rollback 3");
    }
}
