//! A server on a free port, and git clients that know nothing of this machine's configuration.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use wharf::git::{Git, Limits, Settings, http};
use wharf::kernel::random::Random;

use crate::backend::TestBackend;

/// No single step of a test takes longer, on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running room with a place for clones.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) backend: TestBackend,
    pub(crate) git: Git,
    pub(crate) http: std::net::SocketAddr,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["data", "run", "home"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let backend = TestBackend::default();
        let settings = Settings {
            data: dir.path().join("data"),
            run: dir.path().join("run"),
            executable: PathBuf::from(env!("CARGO_BIN_EXE_wharf")),
            limits,
        };
        let git = Git::start(settings, Arc::new(backend.clone()), Random::system()).await.expect("the room opens");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let http = listener.local_addr().expect("an address");
        let router = http::router(git.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { dir, backend, git, http }
    }

    /// The address of a repository for this person.
    pub(crate) fn url(&self, person: &str, repository: &str) -> String {
        format!("http://{person}:{person}-token@{}/git/{repository}", self.http)
    }

    /// A new working copy with one commit on `main`, and `wharf` as its remote (acme/shop, as ann).
    pub(crate) async fn shop(&self) -> Clone {
        let clone = self.empty("shop").await;
        clone.commit("index.html", "<h1>shop</h1>").await;
        clone.git(&["remote", "add", "wharf", &self.url("ann", "acme/shop.git")]).await.ok();
        clone
    }

    /// A new working copy without commits.
    pub(crate) async fn empty(&self, name: &str) -> Clone {
        let path = tempfile::Builder::new().prefix(name).tempdir_in(self.dir.path()).expect("a directory").keep();
        let clone = self.at(path);
        clone.git(&["init", "--quiet", "--initial-branch=main", "."]).await.ok();
        clone
    }

    /// A working copy that is there already.
    pub(crate) fn at(&self, path: PathBuf) -> Clone {
        Clone { path, home: self.dir.path().join("home") }
    }

    /// `git clone` into a new directory.
    pub(crate) async fn clone(&self, name: &str, arguments: &[&str]) -> (Done, Clone) {
        let parent = self.at(self.dir.path().to_path_buf());
        let mut all = vec!["clone", "--quiet"];
        all.extend(arguments);
        all.push(name);
        let done = parent.git(&all).await;
        (done, self.at(self.dir.path().join(name)))
    }

    /// The bare repository on the server; there must be exactly one.
    pub(crate) fn bare(&self) -> PathBuf {
        let mut found = std::fs::read_dir(self.dir.path().join("data/git"))
            .expect("the directory")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "git"));
        let first = found.next().expect("a repository");
        assert!(found.next().is_none(), "one repository");
        first
    }

    /// What a reference of the server's repository points at.
    pub(crate) async fn server_ref(&self, name: &str) -> Option<String> {
        let bare = self.at(self.bare());
        let done = bare.git(&["rev-parse", "--verify", "--quiet", name]).await;
        (done.code == 0).then(|| done.out.trim().to_owned())
    }
}

/// A working copy.
#[derive(Debug)]
pub(crate) struct Clone {
    pub(crate) path: PathBuf,
    home: PathBuf,
}

/// What a client has printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// The client succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }

    /// The client failed and said all of this.
    #[track_caller]
    pub(crate) fn refused(self, sentences: &[&str]) -> Self {
        assert_ne!(self.code, 0, "{}\n{}", self.out, self.err);
        self.says(sentences)
    }

    /// The client said all of this on standard error.
    #[track_caller]
    pub(crate) fn says(self, sentences: &[&str]) -> Self {
        for sentence in sentences {
            assert!(self.err.contains(sentence), "`{sentence}` is not in:\n{}", self.err);
        }
        self
    }
}

impl Clone {
    /// A git command in this working copy, with a closed environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.path).env_clear();
        command.env("PATH", std::env::var_os("PATH").expect("a PATH")).env("HOME", &self.home);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ann Example").env(format!("GIT_{role}_EMAIL"), "ann@example.org");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) async fn git(&self, arguments: &[&str]) -> Done {
        finish(self.command(arguments)).await
    }

    /// Writes a file and commits it.
    pub(crate) async fn commit(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.path.join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, content).expect("a file");
        self.git(&["add", "-A"]).await.ok();
        self.git(&["commit", "--quiet", "-m", &format!("add {file}\n\nbody")]).await.ok();
    }

    pub(crate) async fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).await.ok().out.trim().to_owned()
    }

    /// `git push wharf …`.
    pub(crate) async fn push(&self, arguments: &[&str]) -> Done {
        let mut all = vec!["push", "wharf"];
        all.extend(arguments);
        self.git(&all).await
    }
}

/// Runs a client to its end.
pub(crate) async fn finish(mut command: Command) -> Done {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("git ends in time").expect("git runs");
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Polls until it holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// Processes of this server's hook or git that work in this directory.
pub(crate) fn processes_in(directory: &Path) -> usize {
    let name = directory.as_os_str().as_encoded_bytes();
    std::fs::read_dir("/proc")
        .expect("proc")
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| line.windows(name.len()).any(|window| window == name))
        .count()
}
