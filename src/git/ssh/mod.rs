//! git over SSH: public keys only, and nothing but git. There is no shell, no terminal, no file transfer and no port
//! forwarding to misuse, because none of them is implemented.

mod conversation;
mod exec;
mod handler;
mod host_key;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::HashAlg;
use russh::server::{Config, Handle, RunningSession, run_stream};
use russh::{Disconnect, MethodKind, MethodSet};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::service::{Git, StartError};
use handler::Connection;

/// Wrong keys tried before the connection is closed. Keys that are only offered do not count.
const MAX_ATTEMPTS: usize = 6;
/// What one channel may have under way in each direction, in bytes; a slow git or a slow client then stops the other.
const WINDOW: u32 = 1024 * 1024;
/// A client is asked whether it is still there after so long without a word from it …
const KEEPALIVE: Duration = Duration::from_secs(15);
/// … and given up after so many questions without an answer.
const KEEPALIVES: usize = 4;
/// A connection without a conversation is closed after one to two of these.
const IDLE: Duration = Duration::from_secs(60);

/// How long a client that was told to go may take to hang up.
const POLITENESS: Duration = Duration::from_secs(2);

/// What people need to know to connect safely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// `SHA256:…`, what an SSH client shows when it connects for the first time.
    pub fingerprint: String,
    /// The public key in OpenSSH form, for `known_hosts`.
    pub line: String,
}

/// Serves SSH on this listener until the room is stopped; the host key is made at the first start. Gives the host
/// key; returns at once.
///
/// # Errors
/// When the host key can be neither read nor made.
pub fn serve(git: &Git, listener: TcpListener) -> Result<HostKey, StartError> {
    let path = git.data().join("ssh_host_ed25519_key");
    let key = host_key::load_or_make(&path, git.random())
        .map_err(|reason| StartError::HostKey { path: path.clone(), reason })?;
    let public = key.public_key();
    let info = HostKey {
        fingerprint: public.fingerprint(HashAlg::Sha256).to_string(),
        line: public.to_openssh().map_err(|e| StartError::HostKey { path, reason: e.to_string() })?,
    };
    let config = Config {
        server_id: russh::SshId::Standard(concat!("SSH-2.0-Wharf_", env!("CARGO_PKG_VERSION")).into()),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        keys: vec![key],
        auth_rejection_time: Duration::from_millis(300),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: MAX_ATTEMPTS,
        window_size: WINDOW,
        inactivity_timeout: Some(KEEPALIVE * (1 + KEEPALIVES as u32) + IDLE),
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        ..Config::default()
    };
    git.spawn(accept(git.clone(), listener, Arc::new(config)));
    Ok(info)
}

async fn accept(git: Git, listener: TcpListener, config: Arc<Config>) {
    let places = Arc::new(Semaphore::new(git.limits().ssh_connections));
    let stop = git.stopping();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match places.clone().try_acquire_owned() {
                Ok(place) => {
                    let (git, config) = (git.clone(), config.clone());
                    git.clone().spawn(async move {
                        connection(git, config, stream).await;
                        drop(place);
                    });
                }
                Err(_) => tracing::warn!(%peer, "an SSH connection was refused: too many at once"),
            },
            Err(error) => {
                tracing::error!(%error, "an SSH connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What the handler of a connection tells its guard.
#[derive(Default)]
struct Signs {
    authenticated: AtomicBool,
    conversations: AtomicUsize,
}

/// Runs one connection, with an eye on its deadlines.
async fn connection(git: Git, config: Arc<Config>, stream: TcpStream) {
    let signs = Arc::new(Signs::default());
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let handler = Connection::new(git.clone(), signs.clone(), over);
    let login = git.limits().ssh_login;
    let Ok(line) = stream.as_fd().try_clone_to_owned() else { return };
    let stop = git.stopping();
    // Dropping the attempt closes the socket.
    let session = tokio::select! {
        session = tokio::time::timeout(login, run_stream(config, stream, handler)) => session,
        () = stop.cancelled() => return,
    };
    let Ok(Ok(session)) = session else { return };
    watch(&git, session, &signs, login).await;
    // A session that is still shaking hands listens to nobody but the line: this ends it for certain.
    let _ = rustix::net::shutdown(&line, rustix::net::Shutdown::Both);
}

async fn watch(git: &Git, mut session: RunningSession<Connection>, signs: &Signs, login: Duration) {
    let handle = session.handle();
    let stop = git.stopping();
    let guard = async {
        tokio::time::sleep(login).await;
        if !signs.authenticated.load(Ordering::Relaxed) {
            return "you took too long to log in";
        }
        let mut idle = false;
        loop {
            tokio::time::sleep(IDLE).await;
            let quiet = signs.conversations.load(Ordering::Relaxed) == 0;
            if quiet && idle {
                return "this connection was idle";
            }
            idle = quiet;
        }
    };
    let reason = tokio::select! {
        result = &mut session => {
            if let Err(error) = result {
                tracing::debug!(%error, "an SSH connection ended with an error");
            }
            return;
        }
        reason = guard => reason,
        () = stop.cancelled() => "the server is stopping",
    };
    part(&handle, &mut session, reason).await;
}

/// Says why and gives the client a moment to hang up.
async fn part(handle: &Handle, session: &mut RunningSession<Connection>, reason: &str) {
    let _ = handle.disconnect(Disconnect::ByApplication, reason.to_owned(), String::new()).await;
    let _ = tokio::time::timeout(POLITENESS, session).await;
}
