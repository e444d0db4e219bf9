//! Working copies, and pushing from them with the real git.

use std::path::PathBuf;
use std::process::Command;

use crate::apps::Files;
use crate::command::{Done, done};
use crate::harness::{TENANT, World};

/// A working copy of an app.
pub(crate) struct Repo<'a> {
    pub(crate) world: &'a World,
    pub(crate) app: String,
    pub(crate) dir: PathBuf,
}

impl Repo<'_> {
    /// Writes the files and commits everything.
    pub(crate) fn commit(&self, files: &Files) {
        for (path, text) in files {
            let path = self.dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]).ok();
        let person = ["-c", "user.email=ann@example.com", "-c", "user.name=Ann"];
        self.git(&[&person[..], &["commit", "--quiet", "--allow-empty", "-m", "a version"]].concat()).ok();
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> Done {
        done(self.git_command(arguments), "")
    }

    pub(crate) fn git_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        self.world.clean(&mut command);
        command.args(arguments).current_dir(&self.dir);
        command
    }

    pub(crate) fn url(&self, token: &str) -> String {
        format!("http://git:{token}@wharf.localhost:{}/git/{TENANT}/{}.git", self.world.http, self.app)
    }

    /// `git push` over HTTP.
    pub(crate) fn push(&self) -> Done {
        self.git(&["push", &self.url(&self.world.token), "main"])
    }

    /// Commits these files and pushes them.
    pub(crate) fn push_files(&self, files: &Files) -> Done {
        self.commit(files);
        self.push()
    }

    /// Where the app's `main` is on the server.
    pub(crate) fn remote_main(&self) -> String {
        let listed = self.git(&["ls-remote", &self.url(&self.world.token), "refs/heads/main"]).ok().out;
        listed.split_whitespace().next().unwrap_or_default().to_owned()
    }
}
