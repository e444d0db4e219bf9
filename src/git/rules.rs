//! What a push means: pure decisions on the reference updates and options git hands to the hook.

use super::hook_protocol::RefUpdate;

/// Branches that may become the deploy branch by being pushed first.
const DEPLOY_BRANCHES: [&str; 2] = ["main", "master"];
const KNOWN_OPTIONS: &str = "`skip-deploy` (store the code, do not deploy it) and `no-cache` (build without caches)";

/// What is known of the repository before the push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeployBranch {
    /// It is settled: set by the app's owner, or pushed before.
    Settled(String),
    /// Nothing was pushed yet.
    Open,
}

/// What to do with a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Deploy this commit; the push is accepted if that succeeds.
    Deploy { branch: String, commit: String, previous: Option<String>, no_cache: bool },
    /// Accept it and deploy nothing; the lines say why.
    Store(Vec<String>),
    /// Reject all of it.
    Refuse(Vec<String>),
}

fn refuse<const N: usize>(lines: [String; N]) -> Verdict {
    Verdict::Refuse(lines.to_vec())
}

/// Decides on one push.
pub(super) fn decide(updates: &[RefUpdate], options: &[String], deploy: &DeployBranch) -> Verdict {
    let (mut skip_deploy, mut no_cache) = (false, false);
    for option in options {
        match option.as_str() {
            "skip-deploy" => skip_deploy = true,
            "no-cache" => no_cache = true,
            other => {
                return refuse([
                    format!("The push option `{other}` is not known to Wharf."),
                    format!("Known are {KNOWN_OPTIONS}."),
                ]);
            }
        }
    }
    let mut branches = Vec::new();
    for update in updates {
        match update.name.split_at_checked("refs/heads/".len()) {
            Some(("refs/heads/", branch)) => branches.push((branch, update)),
            _ if update.name.starts_with("refs/tags/") => {}
            _ => {
                return refuse([
                    format!("Wharf keeps branches and tags only; `{}` is neither.", update.name),
                    "Push the branch you want to deploy: git push wharf main".to_owned(),
                ]);
            }
        }
    }
    match branches.as_slice() {
        [] => Verdict::Store(vec!["Tags stored. Wharf deploys branches, so nothing was deployed.".to_owned()]),
        [(branch, update)] => one_branch(branch, update, deploy, skip_deploy, no_cache),
        several => several_branches(several.iter().map(|(branch, _)| *branch), deploy),
    }
}

fn one_branch(branch: &str, update: &RefUpdate, deploy: &DeployBranch, skip_deploy: bool, no_cache: bool) -> Verdict {
    let deploys = match deploy {
        DeployBranch::Settled(name) => name == branch,
        DeployBranch::Open => DEPLOY_BRANCHES.contains(&branch),
    };
    if !deploys {
        return wrong_branch(branch, update, deploy);
    }
    let Some(commit) = update.new_id() else {
        return refuse([
            format!("`{branch}` is the branch Wharf deploys; it cannot be deleted."),
            "To take the app down, run: wharf stop. To remove it with all its data: wharf destroy".to_owned(),
        ]);
    };
    if skip_deploy {
        return Verdict::Store(vec![
            format!("Stored {} on {branch}; not deployed (push option skip-deploy).", short(commit)),
            "It goes live with the next commit you push without skip-deploy.".to_owned(),
        ]);
    }
    Verdict::Deploy {
        branch: branch.to_owned(),
        commit: commit.to_owned(),
        previous: update.old_id().map(str::to_owned),
        no_cache,
    }
}

fn wrong_branch(branch: &str, update: &RefUpdate, deploy: &DeployBranch) -> Verdict {
    // A branch that stopped being the deploy branch may still be there; it can be cleaned away.
    if update.new_id().is_none() {
        return Verdict::Store(vec![format!("Branch `{branch}` deleted; nothing was deployed.")]);
    }
    match deploy {
        DeployBranch::Settled(name) => refuse([format!("Wharf deploys `{name}`; run: git push wharf {branch}:{name}")]),
        DeployBranch::Open => refuse([
            format!("Wharf deploys `main` (or `master`), and `{branch}` is neither."),
            format!("Wharf deploys `main`; run: git push wharf {branch}:main"),
        ]),
    }
}

fn several_branches<'a>(branches: impl Iterator<Item = &'a str>, deploy: &DeployBranch) -> Verdict {
    let names: Vec<&str> = branches.collect();
    let target = match deploy {
        DeployBranch::Settled(name) => name.as_str(),
        DeployBranch::Open => "main",
    };
    let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > 5 { ", …" } else { "" };
    refuse([
        format!("This push has {} branches ({shown}{more}), and Wharf deploys one.", names.len()),
        format!("Push only that one: git push wharf {target}"),
    ])
}

/// The first characters of a hash, as people quote it.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
