use super::hook_protocol::RefUpdate;
use super::path::RepoPath;
use super::rules::{DeployBranch, Verdict, decide};
use crate::tenancy::ssh_keys::{KeyError, parse_public_key};

const NONE: &str = "0000000000000000000000000000000000000000";
const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";

fn update(old: &str, new: &str, name: &str) -> RefUpdate {
    RefUpdate { old: old.to_owned(), new: new.to_owned(), name: name.to_owned() }
}

/// The verdict in one line.
fn judge(updates: &[RefUpdate], options: &[&str], settled: Option<&str>) -> String {
    let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
    let branch = settled.map_or(DeployBranch::Open, |name| DeployBranch::Settled(name.to_owned()));
    match decide(updates, &options, &branch) {
        Verdict::Deploy { branch, commit, previous, no_cache } => {
            format!(
                "deploy {branch} {} after {}{}",
                &commit[..3],
                previous.map_or("nothing".into(), |p| p[..3].to_owned()),
                if no_cache { " no-cache" } else { "" }
            )
        }
        Verdict::Store(lines) => format!("store: {}", lines[0]),
        Verdict::Refuse(lines) => format!("refuse: {}", lines.join(" ")),
    }
}

#[test]
fn the_deploy_branch_deploys_and_others_are_told_how() {
    let main = update(NONE, NEW, "refs/heads/main");
    assert_eq!(judge(&[main], &[], None), "deploy main 222 after nothing");
    let master = update(OLD, NEW, "refs/heads/master");
    assert_eq!(
        judge(std::slice::from_ref(&master), &["no-cache"], Some("master")),
        "deploy master 222 after 111 no-cache"
    );
    assert_eq!(
        judge(&[master], &[], Some("release")),
        "refuse: Wharf deploys `release`; run: git push wharf master:release"
    );
    let feature = update(NONE, NEW, "refs/heads/feature/x");
    assert_eq!(
        judge(&[feature], &[], None),
        "refuse: Wharf deploys `main` (or `master`), and `feature/x` is neither. \
         Wharf deploys `main`; run: git push wharf feature/x:main"
    );
}

#[test]
fn what_is_not_one_branch_is_stored_or_refused() {
    let tag = update(NONE, NEW, "refs/tags/v1");
    assert!(judge(std::slice::from_ref(&tag), &[], None).starts_with("store: Tags stored."));
    let main = update(OLD, NEW, "refs/heads/main");
    assert_eq!(judge(&[tag, main.clone()], &[], Some("main")), "deploy main 222 after 111");
    assert!(
        judge(std::slice::from_ref(&main), &["skip-deploy"], Some("main")).starts_with("store: Stored 2222222 on main")
    );
    assert!(
        judge(&[update(OLD, NONE, "refs/heads/main")], &[], Some("main")).starts_with("refuse: `main` is the branch")
    );
    assert!(
        judge(&[update(OLD, NONE, "refs/heads/old")], &[], Some("main")).starts_with("store: Branch `old` deleted")
    );
    let other = update(NONE, NEW, "refs/heads/b");
    assert!(judge(&[main.clone(), other], &[], Some("main")).starts_with("refuse: This push has 2 branches (main, b)"));
    assert!(judge(&[update(NONE, NEW, "refs/notes/n")], &[], Some("main")).contains("`refs/notes/n` is neither"));
    assert!(judge(&[main], &["fast"], Some("main")).starts_with("refuse: The push option `fast` is not known"));
}

#[test]
fn repository_paths_hold_only_valid_names() {
    let shop = RepoPath::parse("acme/shop.git").unwrap();
    assert_eq!(shop.to_string(), "acme/shop.git");
    assert_eq!(RepoPath::parse("/git/acme/shop"), Some(shop.clone()));
    assert_eq!(RepoPath::from_segments("acme", "shop.git", None), Some(shop));
    let staging = RepoPath::parse("acme/shop/staging.git").unwrap();
    assert_eq!(staging.to_string(), "acme/shop/staging.git");
    for bad in
        ["", "shop", "a/../b", "acme/shop/x/y", "//acme/shop", "acme/-x", "acme/sh op", "Acme/shop", "acme/shop.git/"]
    {
        assert_eq!(RepoPath::parse(bad), None, "{bad}");
    }
}

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

#[test]
fn public_keys_are_read_and_written_in_one_form() {
    let key = parse_public_key(&format!("  {ED25519}   ann@laptop \n")).unwrap();
    assert_eq!(key.algorithm, "ssh-ed25519");
    assert_eq!(key.comment, "ann@laptop");
    assert_eq!(key.line, format!("{ED25519} ann@laptop"));
    assert!(key.fingerprint.starts_with("SHA256:") && key.fingerprint.len() == 50, "{}", key.fingerprint);
    assert_eq!(parse_public_key(ED25519).unwrap().fingerprint, key.fingerprint);
    assert_eq!(parse_public_key(&key.line), Ok(key));
}

#[test]
fn what_is_no_good_key_is_refused_with_advice() {
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
    assert_eq!(parse_public_key(private), Err(KeyError::Private));
    assert!(KeyError::Private.to_string().contains("must stay on your machine"));
    assert_eq!(parse_public_key(" \n"), Err(KeyError::Empty));
    assert_eq!(parse_public_key(&format!("{ED25519}\n{ED25519}")), Err(KeyError::SeveralLines));
    assert_eq!(parse_public_key("ssh-dss AAAAB3NzaC1kc3MAAACB"), Err(KeyError::Algorithm("DSA".to_owned())));
    for bad in ["hello", &ED25519[..50], "command=\"id\" ssh-ed25519 AAAA"] {
        assert!(matches!(parse_public_key(bad), Err(KeyError::Malformed(_))), "{bad}");
    }
    assert!(matches!(parse_public_key("---- BEGIN SSH2 PUBLIC KEY ----"), Err(KeyError::Malformed(_))));
}
