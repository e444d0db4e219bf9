//! The room's running part: repositories, the hook's socket, limits, and the two conversations every transport has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::net::UnixListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backend::{Denied, GitBackend, Principal, Repo};
use super::commands::{self, Mode};
use super::exchange::{self, Chunk, End, Exchange, Input};
use super::hook_protocol::{SOCKET_VARIABLE, TOKEN_VARIABLE};
use super::hook_server;
use super::maintenance;
use super::pktline;
use super::registry::{Registry, Session};
use super::repositories::Repositories;
use super::uploads::Uploads;
use crate::kernel::error::chain;
use crate::kernel::id::EnvironmentId;
use crate::kernel::process::{Command, ProcessError};
use crate::kernel::random::Random;

/// Limits of the room. The defaults suit one machine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest pack of one push, in bytes.
    pub max_pack_bytes: u64,
    /// Packs of one repository before they are made into one; each push leaves one, and many make reading slow.
    pub packs: usize,
    /// Clones and fetches at the same time.
    pub fetches: usize,
    /// Pushes at the same time; one lasts as long as its build and deploy.
    pub pushes: usize,
    /// Connections over SSH at the same time.
    pub ssh_connections: usize,
    /// How long a request waits for its turn before it is sent away.
    pub turn: Duration,
    /// End of a clone or fetch.
    pub fetch_deadline: Duration,
    /// End of a push, upload and build and deploy together.
    pub push_deadline: Duration,
    /// How long a client may fall silent while it uploads over HTTP.
    pub input_idle: Duration,
    /// How long an SSH client may take to authenticate.
    pub ssh_login: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pack_bytes: 2 * 1024 * 1024 * 1024,
            packs: 32,
            fetches: 16,
            pushes: 32,
            ssh_connections: 64,
            turn: Duration::from_secs(10),
            fetch_deadline: Duration::from_secs(3600),
            push_deadline: Duration::from_secs(2 * 3600),
            input_idle: Duration::from_secs(120),
            ssh_login: Duration::from_secs(30),
        }
    }
}

/// Where things lie and how much is allowed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data directory; `git/`, `git-hooks/` and the SSH host key go there.
    pub data: PathBuf,
    /// The directory of runtime sockets; `git-hook.sock` goes there.
    pub run: PathBuf,
    /// This very program; the hook is a link to it.
    pub executable: PathBuf,
    /// The limits.
    pub limits: Limits,
}

/// Why the room could not be opened.
#[derive(Debug, Error)]
pub enum StartError {
    /// The program is missing.
    #[error("`git push` needs the program `git` on this machine; install it (apt-get install git)")]
    NoGit(#[source] ProcessError),
    /// The directories could not be made.
    #[error("the git repositories cannot be opened: {0}")]
    Repositories(String),
    /// The hook's socket could not be made.
    #[error("cannot listen on {path}")]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The SSH host key could not be read or made.
    #[error("the SSH host key {path} cannot be used: {reason}")]
    HostKey { path: PathBuf, reason: String },
}

/// The git room. Clones share it.
#[derive(Clone)]
pub struct Git(Arc<Inner>);

struct Inner {
    backend: Arc<dyn GitBackend>,
    repositories: Repositories,
    registry: Registry,
    uploads: Uploads,
    random: Random,
    settings: Settings,
    socket: PathBuf,
    fetches: Arc<Semaphore>,
    pushes: Arc<Semaphore>,
    housekeeping: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The moment's capacity is used up.
#[derive(Debug, Error)]
#[error("this server is busy with other git clients; try again in a moment")]
pub(super) struct Crowded;

impl Git {
    /// Opens the room: checks that git is there, makes the directories and the hook, and listens for hooks.
    ///
    /// # Errors
    /// Each says what is missing and where.
    pub async fn start(settings: Settings, backend: Arc<dyn GitBackend>, random: Random) -> Result<Self, StartError> {
        commands::version().run().await.map_err(StartError::NoGit)?;
        let repositories = Repositories::open(&settings.data, &settings.executable)
            .map_err(|e| StartError::Repositories(chain(&e)))?;
        let socket = settings.run.join("git-hook.sock");
        // The hook runs in the repository, so a relative path would lead it astray.
        let socket = std::path::absolute(&socket).map_err(|source| StartError::Socket { path: socket, source })?;
        let listener =
            hook_server::bind(&socket).map_err(|source| StartError::Socket { path: socket.clone(), source })?;
        let git = Self(Arc::new(Inner {
            backend,
            repositories,
            registry: Registry::default(),
            uploads: Uploads::default(),
            random,
            socket,
            fetches: Arc::new(Semaphore::new(settings.limits.fetches)),
            pushes: Arc::new(Semaphore::new(settings.limits.pushes)),
            housekeeping: Arc::new(Semaphore::new(1)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            settings,
        }));
        git.spawn(git.clone().serve_hooks(listener));
        Ok(git)
    }

    /// Stops: ends every git process with its push, and waits a short while for them.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(Duration::from_secs(10), self.0.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.0.tasks.len(), "git conversations did not end in time");
        }
        let _ = std::fs::remove_file(&self.0.socket);
    }

    /// Removes the repository of an environment that is destroyed. Idempotent.
    ///
    /// # Errors
    /// What the file system said.
    pub fn remove_repository(&self, environment: &EnvironmentId) -> Result<(), StartError> {
        self.0.repositories.remove(environment).map_err(|e| StartError::Repositories(chain(&e)))
    }

    async fn serve_hooks(self, listener: UnixListener) {
        loop {
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                connection = listener.accept() => match connection {
                    Ok((stream, _)) => self.spawn(hook_server::serve(stream, self.0.registry.clone())),
                    Err(error) => {
                        tracing::error!(%error, "a git hook's connection could not be taken");
                        // Out of file descriptors, most likely: let others finish first.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    /// Runs a task that [`Git::stop`] waits for.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    pub(super) fn backend(&self) -> &dyn GitBackend {
        self.0.backend.as_ref()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.settings.limits
    }

    pub(super) fn data(&self) -> &Path {
        &self.0.settings.data
    }

    pub(super) fn random(&self) -> &Random {
        &self.0.random
    }

    pub(super) fn stopping(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// Waits for a turn to read.
    pub(super) async fn fetch_turn(&self) -> Result<OwnedSemaphorePermit, Crowded> {
        turn(&self.0.fetches, self.limits().turn).await
    }

    /// Waits for a turn to push.
    pub(super) async fn push_turn(&self) -> Result<OwnedSemaphorePermit, Crowded> {
        turn(&self.0.pushes, self.limits().turn).await
    }

    /// The directory of a repository, made when needed.
    pub(super) async fn directory(&self, repo: &Repo) -> Result<PathBuf, Denied> {
        self.0.repositories.ensure(&repo.environment).await.map_err(|error| {
            tracing::error!(error = chain(&error), repository = %repo.path, "a repository could not be made");
            Denied::Unavailable("the repository could not be opened; the server's log says why".to_owned())
        })
    }

    /// `git upload-pack`, as a command.
    pub(super) fn upload_pack(&self, directory: &Path, mode: Mode, protocol: Option<&str>) -> Command {
        commands::upload_pack(directory, mode, protocol)
    }

    /// `git receive-pack` that only advertises; it changes nothing and needs no right to push.
    pub(super) fn advertise_push(&self, directory: &Path) -> Command {
        self.receive_pack(directory, Mode::Advertise)
    }

    fn receive_pack(&self, directory: &Path, mode: Mode) -> Command {
        let settings = self.0.repositories.push_settings(self.limits().max_pack_bytes);
        commands::receive_pack(directory, mode, &settings)
    }

    /// A conversation that reads. `input_idle` as in [`Exchange`].
    pub(super) async fn fetch(
        &self,
        command: Command,
        input: Input,
        output: mpsc::Sender<Chunk>,
        input_idle: Option<Duration>,
    ) -> Option<End> {
        let deadline = self.limits().fetch_deadline;
        let stop = self.stopping();
        let last = output.clone();
        let exchange = Exchange { command, input, output, deadline, stop, input_idle, read_to_end: false };
        let end = report(exchange::run(exchange).await);
        // git answers errors of a fetch within the protocol, so only a cut is one for the transport.
        if !matches!(end, Some(End::Exited(..))) {
            let _ = last.send(Err(io::Error::other("cut off"))).await;
        }
        end
    }

    /// A conversation that pushes: takes the right to push, lets git and its hook work, gives the right back.
    pub(super) async fn push(&self, push: PushRequest) -> Option<End> {
        let PushRequest { repo, directory, principal, mode, input, output } = push;
        let right = self.backend().begin_push(&repo, &principal).await.map_err(|busy| busy.0);
        if let (Err(busy), Mode::Duplex) = (&right, mode) {
            // The client has sent nothing yet: an error instead of the advertisement spares it the upload.
            let _ = output.send(Ok(pktline::error(busy).into())).await;
            return None;
        }
        // Over HTTP the upload is under way already; git takes it, and the hook tells why it is refused.
        let token = self.0.random.token();
        let session = Arc::new(Session {
            repo: repo.clone(),
            directory: directory.clone(),
            push: tokio::sync::Mutex::new(right),
            over: CancellationToken::new(),
            accepted: Mutex::new(None),
        });
        self.0.registry.enter(&token, session.clone());
        let command = self
            .receive_pack(&directory, mode)
            .env(SOCKET_VARIABLE, self.0.socket.as_os_str())
            .env(TOKEN_VARIABLE, &token);
        let over_http = mode == Mode::Rpc;
        let last = output.clone();
        let exchange = Exchange {
            command,
            input,
            output,
            deadline: self.limits().push_deadline,
            stop: self.stopping(),
            input_idle: over_http.then_some(self.limits().input_idle),
            read_to_end: over_http,
        };
        let upload = self.0.uploads.begin(&directory);
        let end = report(exchange::run(exchange).await);
        drop(upload);
        self.0.registry.take(&token);
        say_why_it_ended(end.as_ref(), &last, self.limits().push_deadline).await;
        self.finish(&session).await;
        end
    }

    /// What follows a push whatever became of it.
    async fn finish(&self, session: &Session) {
        session.over.cancel();
        let branch = session.accepted.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(branch) = branch {
            maintenance::settle_head(&session.directory, &branch).await;
            let (directory, turn) = (session.directory.clone(), self.0.housekeeping.clone());
            self.spawn(maintenance::tidy(directory, self.limits().packs, turn, self.stopping()));
        }
        let mut right = session.push.lock().await;
        if let Ok(push) = std::mem::replace(&mut *right, Err("this push is over".to_owned())) {
            push.end().await;
        }
    }
}

/// A push to be carried out.
pub(super) struct PushRequest {
    pub repo: Repo,
    pub directory: PathBuf,
    pub principal: Principal,
    pub mode: Mode,
    pub input: Input,
    pub output: mpsc::Sender<Chunk>,
}

async fn turn(semaphore: &Arc<Semaphore>, wait: Duration) -> Result<OwnedSemaphorePermit, Crowded> {
    match tokio::time::timeout(wait, semaphore.clone().acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Crowded),
    }
}

/// Tells a pusher whose conversation was cut off. Where nobody can read it the transport is broken instead: a client
/// that sees a proper end of a truncated answer would wait for the rest forever.
async fn say_why_it_ended(end: Option<&End>, output: &mpsc::Sender<Chunk>, deadline: Duration) {
    let sentence = match end {
        Some(End::Exited(status, _)) if status.success() => return,
        Some(End::ClientGone) => return drop(output.send(Err(io::Error::other("the client fell silent"))).await),
        Some(End::Deadline) => {
            format!("The push took longer than {} minutes and was stopped.", deadline.as_secs() / 60)
        }
        Some(End::ServerStops) => "Wharf is being restarted; push again in a moment.".to_owned(),
        Some(End::Exited(..)) | None => "git failed on the server; its log says why. Push again.".to_owned(),
    };
    // A fatal packet ends the conversation for the client, so the transport may end properly, and must: breaking it
    // could throw away the sentence.
    let _ = output.send(Ok(pktline::fatal(&sentence).into())).await;
}

/// Writes the log line of a conversation's end.
fn report(end: io::Result<End>) -> Option<End> {
    match end {
        Ok(end) => {
            match &end {
                End::Exited(status, words) if !status.success() => {
                    tracing::info!(%status, words, "git ended with a failure");
                }
                End::Exited(..) => {}
                cut => tracing::info!(end = ?cut, "a git conversation was cut off"),
            }
            Some(end)
        }
        Err(error) => {
            tracing::error!(%error, "git could not be run");
            None
        }
    }
}

/// A client's wish for a protocol version, if it has the form `key=value:key` with harmless characters.
pub(super) fn checked_protocol(value: &str) -> Option<String> {
    let harmless =
        value.len() <= 64 && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b':' | b'.' | b'-'));
    harmless.then(|| value.to_owned())
}
