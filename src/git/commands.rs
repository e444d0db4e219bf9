//! Argument vectors of every `git` this room runs, as values. The configuration travels on the command line, so
//! that it is the one of the running version and nothing on the machine (`/etc/gitconfig`, `$HOME`) has a say.

use std::path::{Path, PathBuf};

use crate::kernel::process::Command;

/// The two programs that talk to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Clone and fetch.
    UploadPack,
    /// Push.
    ReceivePack,
}

impl Service {
    /// The name in URLs and on SSH command lines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    fn subcommand(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// HTTP, first request: print the references and end.
    Advertise,
    /// HTTP, second request: one exchange.
    Rpc,
    /// SSH: both in one connection.
    Duplex,
}

/// `git` with a closed environment, trusted with this repository only.
fn git(repository: &Path) -> Command {
    let mut safe = std::ffi::OsString::from("safe.directory=");
    safe.push(repository);
    Command::new("git")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .arg("-c")
        .arg(safe)
}

fn configure<'a>(command: Command, settings: impl IntoIterator<Item = &'a str>) -> Command {
    settings.into_iter().fold(command, |command, setting| command.arg("-c").arg(setting))
}

/// Settings of both services. `gc.auto=0`: housekeeping runs in `maintenance.rs`, never inside a push.
/// `refs/wharf/` is Wharf's own and is neither shown nor writable.
const SERVICE_SETTINGS: [&str; 3] = ["gc.auto=0", "maintenance.auto=false", "transfer.hideRefs=refs/wharf"];

/// Settings of a push.
/// - `shallowUpdate`: a push from a shallow clone (the default of many CI systems) is taken; the repository then is
///   shallow too, and a later push from a full clone still works.
/// - `fsckObjects`: malformed objects are refused; the three kinds of harmless damage that old public histories
///   really have are let through.
/// - `unpackLimit=1`: every push stays one pack, so that housekeeping has one figure to watch.
/// - forced pushes are normal on a deploy branch; deletions are the hook's business.
const RECEIVE_SETTINGS: [&str; 11] = [
    "receive.advertisePushOptions=true",
    "receive.shallowUpdate=true",
    "receive.fsckObjects=true",
    "receive.fsck.badTimezone=ignore",
    "receive.fsck.missingSpaceBeforeDate=ignore",
    "receive.fsck.zeroPaddedFilemode=ignore",
    "receive.denyNonFastForwards=false",
    "receive.denyDeletes=false",
    "receive.autogc=false",
    "receive.unpackLimit=1",
    "receive.keepAlive=5",
];

/// What a push needs to know besides the repository.
#[derive(Debug, Clone)]
pub(super) struct PushSettings {
    /// The directory that holds nothing but `pre-receive`.
    pub hooks: PathBuf,
    /// Largest pack, in bytes.
    pub max_input: u64,
}

/// `git upload-pack`; `protocol` is the client's `Git-Protocol`, already checked.
pub(super) fn upload_pack(repository: &Path, mode: Mode, protocol: Option<&str>) -> Command {
    let mut command = configure(git(repository), SERVICE_SETTINGS);
    command = configure(command, ["uploadpack.allowFilter=true"]);
    if let Some(protocol) = protocol {
        command = command.env("GIT_PROTOCOL", protocol);
    }
    service(command, Service::UploadPack, mode, repository)
}

/// `git receive-pack`.
pub(super) fn receive_pack(repository: &Path, mode: Mode, settings: &PushSettings) -> Command {
    let mut hooks = std::ffi::OsString::from("core.hooksPath=");
    hooks.push(&settings.hooks);
    let command = configure(git(repository), SERVICE_SETTINGS);
    let command = configure(command, RECEIVE_SETTINGS).arg("-c").arg(hooks);
    let command = command.arg("-c").arg(format!("receive.maxInputSize={}", settings.max_input));
    service(command, Service::ReceivePack, mode, repository)
}

fn service(command: Command, service: Service, mode: Mode, repository: &Path) -> Command {
    let command = command.arg(service.subcommand());
    let command = match mode {
        Mode::Advertise => command.args(["--stateless-rpc", "--advertise-refs"]),
        Mode::Rpc => command.arg("--stateless-rpc"),
        Mode::Duplex => command,
    };
    command.arg(repository)
}

/// Makes an empty bare repository without hooks or samples.
pub(super) fn init(directory: &Path) -> Command {
    git(directory).args(["init", "--quiet", "--bare", "--template=", "--initial-branch=main"]).arg(directory)
}

/// A view of a repository from inside a push: the new objects lie in a quarantine directory until it is accepted.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The repository.
    pub repository: PathBuf,
    /// The quarantine directory's name, checked.
    pub quarantine: Option<String>,
}

impl View {
    fn git(&self) -> Command {
        let objects = self.repository.join("objects");
        let command = git(&self.repository).env("GIT_DIR", self.repository.as_os_str());
        match &self.quarantine {
            None => command,
            Some(name) => command
                .env("GIT_OBJECT_DIRECTORY", objects.join(name).as_os_str())
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.as_os_str()),
        }
    }

    /// The raw commit object.
    pub(super) fn commit(&self, id: &str) -> Command {
        self.git().args(["cat-file", "commit"]).arg(id)
    }

    /// Every entry of the commit's tree with mode, kind, hash, size and path, separated by NUL.
    pub(super) fn tree(&self, commit: &str) -> Command {
        self.git().args(["ls-tree", "-r", "-l", "-z", "--full-tree"]).arg(commit)
    }

    /// Reads hashes on its input and prints the objects.
    pub(super) fn objects(&self) -> Command {
        self.git().args(["cat-file", "--batch"])
    }

    /// The files of the commit as tar, with the modes 0644 and 0755.
    pub(super) fn archive(&self, commit: &str) -> Command {
        self.git().args(["-c", "tar.umask=0022", "archive", "--format=tar"]).arg(commit)
    }

    /// The branch `HEAD` names, whether it exists or not.
    pub(super) fn head(&self) -> Command {
        self.git().args(["symbolic-ref", "HEAD"])
    }

    /// The names of all branches.
    pub(super) fn branches(&self) -> Command {
        self.git().args(["for-each-ref", "--format=%(refname)", "refs/heads/"])
    }

    /// Points `HEAD` at a branch, so that a clone checks it out.
    pub(super) fn set_head(&self, branch: &str) -> Command {
        self.git().args(["symbolic-ref", "HEAD"]).arg(format!("refs/heads/{branch}"))
    }

    /// Packs everything into one pack and drops what nothing has reached for a day.
    pub(super) fn collect_garbage(&self) -> Command {
        self.git().args(["gc", "--quiet", "--prune=1.day.ago"])
    }
}

/// Asks for git's version.
pub(super) fn version() -> Command {
    Command::new("git").arg("--version")
}
